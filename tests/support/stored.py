"""Builders of objects as a user of the API server reads them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lora_cli.domain.objects import Adapter, Model, adapter_of, model_of

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
_CREATED = "2026-01-01T11:00:00Z"
_AT = {"observedGeneration": 1, "lastTransitionTime": _CREATED}


def a_condition(kind: str, status: str, reason: str, message: str = "because") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, **_AT}


def a_stored_adapter(name: str = "pirate", **how: Any) -> Adapter:
    """A LoRAAdapter as a command reads it; see adapter_json."""
    return adapter_of(adapter_json(name, **how))


def a_stored_model(name: str = "smol", **how: Any) -> Model:
    """A LoRAModel as a command reads it; see model_json."""
    return model_of(model_json(name, **how))


def adapter_json(
    name: str = "pirate",
    *,
    ready: tuple[str, str] | None = ("True", "Serving"),
    compatible: bool = True,
    seen: bool = True,
    status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A LoRAAdapter of `smol`, served by both pods unless `ready` (status and reason) says otherwise."""
    wish: dict[str, Any] = {"modelRef": {"name": "smol"}} | spec
    if "blend" not in wish:
        wish.setdefault("source", {"huggingFace": {"repo": f"team/{name}"}})
    conditions = [] if ready is None else [
        a_condition("Compatible", str(compatible), "Validated" if compatible else "ShapeMismatch"),
        a_condition("Ready", *ready),
    ]  # fmt: skip
    told = {
        "conditions": conditions,
        "observedGeneration": 1 if seen else 0,
        "revision": "aaaaaaaa",
        "pods": {"desired": 2, "updated": 2, "available": 2},
        "summary": {"loaded": "2/2"},
    }
    return _stored("LoRAAdapter", name, wish, told | dict(status or {}))


def model_json(
    name: str = "smol",
    *,
    ready: tuple[str, str] = ("True", "Serving"),
    status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A LoRAModel with two pods."""
    wish = {"source": {"huggingFace": {"repo": "team/smol"}}, "replicas": 2} | spec
    told = {"conditions": [a_condition("Ready", *ready)], "observedGeneration": 1, "summary": {"replicas": "2/2"}}
    return _stored("LoRAModel", name, wish, told | dict(status or {}))


def _stored(kind: str, name: str, spec: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    meta = {
        "name": name, "namespace": "team", "uid": f"uid-{name}", "generation": 1,
        "creationTimestamp": _CREATED,
    }  # fmt: skip
    return {"kind": kind, "metadata": meta, "spec": dict(spec), "status": dict(status)}
