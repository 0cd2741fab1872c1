"""What a server without a cluster tells, as the objects that an API server would have. Pure."""

import copy
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from lora_api import labels
from lora_api.error_codes import ErrorCode
from lora_api.local_api import LocalAdapter, LocalState
from lora_api.runtime_api import RevisionState
from lora_api.v1alpha1.adapter import LoRAAdapter
from lora_api.v1alpha1.conditions import AdapterCondition, ModelCondition, Reason
from lora_api.v1alpha1.model import LoRAModel
from lora_cli.domain.objects import Json
from lora_cli.errors import Failed

_GENERATION = 1
"""Of the model, which nobody edits."""


def model(state: LocalState) -> Json:
    """The LoRAModel that a server would be."""
    ready = [adapter for adapter in state.adapters if adapter.ready]
    reason = Reason.SERVING if state.settled else Reason.LOADING
    said = "the server answers" if state.settled else "what was declared at its start is being loaded"
    capacity = None if state.capacity is None else state.capacity.model_dump(mode="json", by_alias=True)
    spec = {
        "source": {} if state.source is None else _written(state.source),
        "servedName": state.base,
        "adapters": {} if state.max_rank is None else {"maxRank": state.max_rank},
    }
    status = {
        "conditions": [
            _condition(ModelCondition.AVAILABLE, True, Reason.SERVING, "the server answers", _GENERATION, state),
            _condition(ModelCondition.READY, state.settled, reason, said, _GENERATION, state),
        ],
        "observedGeneration": _GENERATION,
        "replicas": 1,
        "readyReplicas": 1,
        "adapters": len(state.adapters),
        "readyAdapters": len(ready),
        "capacity": capacity,
        "summary": {"replicas": "1/1", "adapters": f"{len(ready)}/{len(state.adapters)}"},
    }
    return _stored(LoRAModel.kind, model_name(state), spec, status, state)


def adapter(told: LocalAdapter, state: LocalState) -> Json:
    """One of its LoRAAdapters."""
    serving = None if told.report is None else told.report.serving
    available = serving is not None
    found = next((r for r in (() if told.report is None else told.report.revisions) if r.revision == serving), None)
    served = Reason.SERVING if available else told.reason
    facts = told.facts
    updated, generation = int(told.ready), told.generation
    said = "the server answers with it" if told.ready else ""
    conditions = [
        _condition(AdapterCondition.AVAILABLE, available, served, "" if available else told.message, generation, state),
        _condition(AdapterCondition.READY, told.ready, told.reason, told.message or said, generation, state),
    ]
    if told.revision is not None:
        # Else it is not known, or said by Ready, why it comes to none.
        fits = _condition(AdapterCondition.COMPATIBLE, True, Reason.VALIDATED, "it fits", generation, state)
        conditions.insert(0, fits)
    status: Json = {
        "conditions": conditions,
        "observedGeneration": generation,
        "revision": serving,
        "pods": {"desired": 1, "updated": updated, "available": int(available)},
        "summary": {"loaded": f"{updated}/1"},
        "history": [_written(entry) for entry in told.history],
    }
    if facts is not None:
        status |= {"digest": facts.digest, "resolvedSource": _written(facts.source), "sizeBytes": facts.size_bytes}
        status["rank"] = facts.rank
    if found is not None and found.state is RevisionState.SERVING:
        slot = None if state.capacity is None else state.capacity.slot_bytes
        status["rank"] = found.rank
        status["memory"] = {"diskBytes": found.size_bytes, "hostBytes": found.host_bytes, "slotBytes": slot}
    spec = {**_written(told.spec), "modelRef": {"name": model_name(state)}}
    return _stored(LoRAAdapter.kind, told.name, spec, status, state, generation, told.version)


def model_name(state: LocalState) -> str:
    """What an object may be called that is the base model: its served name may have letters that objects' may not."""
    return re.sub(r"[^a-z0-9.]+", "-", state.base.lower()).strip("-.") or "base"


def merged(stored: Any, patch: Any) -> Any:
    """What a merge patch (RFC 7386) makes of a value."""
    if not isinstance(patch, Mapping):
        return patch
    found = dict(stored) if isinstance(stored, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


def patched(stored: Json, steps: Sequence[Json]) -> Json:
    """What the steps of a JSON patch (RFC 6902) make of an object: those that `changes.steps` writes.

    Raises:
        Failed: the object is not what they test it for.
    """
    changed = copy.deepcopy(stored)
    for step in steps:
        *way, field = step["path"].removeprefix("/").split("/")
        holder = changed
        for key in way:
            holder = holder[key]
        match step["op"]:
            case "test" if holder.get(field) == step["value"]:
                pass
            case "test":
                name = stored["metadata"]["name"]
                raise Failed(ErrorCode.CONFLICT, f"somebody else has changed {name} meanwhile; look again")
            case "add":
                holder[field] = step["value"]
            case "remove":
                del holder[field]
            case other:
                raise NotImplementedError(f"a patch with the step {other}")
    return changed


def _stored(
    kind: str, name: str, spec: Json, status: Json, state: LocalState, generation: int = _GENERATION, version: str = ""
) -> Json:
    meta = {
        "name": name,
        "namespace": "",
        # A model and an adapter may have one name.
        "uid": f"{kind}/{name}",
        "generation": generation,
        "resourceVersion": version,
        "creationTimestamp": state.started,
    }
    return {"apiVersion": labels.API_VERSION, "kind": kind, "metadata": meta, "spec": spec, "status": status}


def _condition(kind: StrEnum, holds: bool, reason: Reason, message: str, generation: int, state: LocalState) -> Json:
    return {
        "type": kind.value,
        "status": str(holds),
        "observedGeneration": generation,
        "lastTransitionTime": state.started,
        "reason": reason.value,
        "message": message,
    }


def _written(value: Any) -> Json:
    written: Json = value.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return written
