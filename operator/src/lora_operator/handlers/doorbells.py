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
    async def adapter_event(event: kopf.RawEvent, meta: kopf.Meta, status: kopf.Status, **_: Any) -> None:
        stored = event["object"]
        if bell.at_work and meta["generation"] > status.get("observedGeneration", 0):
            key = ModelKey(stored["metadata"]["namespace"], stored["spec"]["modelRef"]["name"])
            changes.seen(key, meta["uid"], meta["name"], meta["generation"])
        bell.adapter(stored, event["type"])

    @kopf.on.event("", "v1", "pods", labels={labels.MODEL: kopf.PRESENT}, registry=registry)
    async def pod_event(namespace: str | None, meta: kopf.Meta, **_: Any) -> None:
        bell.ring(namespace, meta.labels.get(labels.MODEL), "Pod", meta.get("resourceVersion"))
