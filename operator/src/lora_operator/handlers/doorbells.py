"""Which event rings for which LoRAModel."""

from typing import Any

import kopf

from lora_api import labels
from lora_api.v1alpha1.adapter import LoRAAdapter
from lora_api.v1alpha1.model import LoRAModel
from lora_operator.reconcile.doorbell import Doorbell


def register(registry: kopf.OperatorRegistry, bell: Doorbell) -> None:
    """Adds the event handlers to the registry."""

    @kopf.on.event(labels.GROUP, labels.VERSION, LoRAModel.plural, registry=registry)
    async def model_event(namespace: str | None, name: str | None, meta: kopf.Meta, **_: Any) -> None:
        bell.ring(namespace, name, LoRAModel.kind, meta.get("resourceVersion"))

    @kopf.on.event(labels.GROUP, labels.VERSION, LoRAAdapter.plural, registry=registry)
    async def adapter_event(event: kopf.RawEvent, **_: Any) -> None:
        bell.adapter(event["object"], event["type"])

    @kopf.on.event("", "v1", "pods", labels={labels.MODEL: kopf.PRESENT}, registry=registry)
    async def pod_event(namespace: str | None, meta: kopf.Meta, **_: Any) -> None:
        bell.ring(namespace, meta.labels.get(labels.MODEL), "Pod", meta.get("resourceVersion"))
