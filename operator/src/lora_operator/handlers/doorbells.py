"""Which event rings for which LoRAModel."""

from typing import Any

import kopf

from lora_api import labels
from lora_api.v1alpha1.adapter import LoRAAdapter
from lora_api.v1alpha1.model import LoRAModel
from lora_operator.domain.observed import ModelKey
from lora_operator.reconcile.changes import Changes
from lora_operator.reconcile.doorbell import Doorbell


def register(registry: kopf.OperatorRegistry, bell: Doorbell, changes: Changes) -> None:
    """Adds the event handlers to the registry."""

    @kopf.on.event(labels.GROUP, labels.VERSION, LoRAModel.plural, registry=registry)
    async def model_event(namespace: str | None, name: str | None, meta: kopf.Meta, **_: Any) -> None:
        bell.ring(namespace, name, LoRAModel.kind, meta.get("resourceVersion"))

    @kopf.on.event(labels.GROUP, labels.VERSION, LoRAAdapter.plural, registry=registry)
    async def adapter_event(
        namespace: str | None, spec: kopf.Spec, meta: kopf.Meta, status: kopf.Status, **_: Any
    ) -> None:
        model = (spec.get("modelRef") or {}).get("name")
        if bell.at_work and namespace and model and meta["generation"] > status.get("observedGeneration", 0):
            changes.seen(ModelKey(namespace, model), meta["uid"], meta["name"], meta["generation"])
        bell.ring(namespace, model, LoRAAdapter.kind, meta.get("resourceVersion"))

    @kopf.on.event("", "v1", "pods", labels={labels.MODEL: kopf.PRESENT}, registry=registry)
    async def pod_event(namespace: str | None, meta: kopf.Meta, **_: Any) -> None:
        bell.ring(namespace, meta.labels.get(labels.MODEL), "Pod", meta.get("resourceVersion"))
