"""Objects of the API server as the domain sees them. Pure."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lora_api import labels
from lora_api.runtime_api import CONFIG_MAP_KEY, Desired, Inventory
from lora_api.v1alpha1.adapter import LoRAAdapter, LoRAAdapterStatus
from lora_api.v1alpha1.model import LoRAModel
from lora_operator.domain.observed import (
    ModelKey,
    ObjectMeta,
    ObservedAdapter,
    ObservedDeployment,
    ObservedModel,
    ObservedPod,
    Unreachable,
)
from lora_operator.reconcile.pod_problems import last_crash, pod_problem

Object = Mapping[str, Any]

_ENDED = frozenset({"Succeeded", "Failed"})


def read_meta(stored: Object) -> ObjectMeta:
    """The metadata that decisions need."""
    metadata = stored["metadata"]
    return ObjectMeta(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        annotations=metadata.get("annotations") or {},
        version=metadata.get("resourceVersion", ""),
    )


def read_model(stored: Object) -> ObservedModel:
    """A LoRAModel.

    Raises:
        pydantic.ValidationError: it does not fit the schema; the API server would have refused it.
    """
    model = LoRAModel.model_validate(stored)
    return ObservedModel(read_meta(stored), model.spec, model.status)


def model_of(adapter: Object) -> ModelKey:
    """The LoRAModel that a LoRAAdapter names."""
    return ModelKey(adapter["metadata"]["namespace"], adapter["spec"]["modelRef"]["name"])


def read_adapter(stored: Object, before: ObservedAdapter | None = None) -> ObservedAdapter:
    """A LoRAAdapter; of an earlier reading of the same object, what is the same is the same object.

    Raises:
        pydantic.ValidationError: it does not fit the schema; the API server would have refused it.
    """
    meta = read_meta(stored)
    if before is not None and before.meta.generation == meta.generation:
        return ObservedAdapter(meta, before.spec, LoRAAdapterStatus.model_validate(stored.get("status") or {}))
    adapter = LoRAAdapter.model_validate(stored)
    return ObservedAdapter(meta, adapter.spec, adapter.status)


def read_deployment(stored: Object) -> ObservedDeployment:
    """The Deployment's generation and counts."""
    status, template = stored.get("status") or {}, stored["spec"]["template"]
    return ObservedDeployment(
        generation=stored["metadata"]["generation"],
        observed_generation=status.get("observedGeneration", 0),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        mixture_mark=_mixture_mark(template),
    )


def read_desired(stored: Object | None) -> Desired | None:
    """The document in the model's ConfigMap; None when there is none, or none that can be read."""
    packed = ((stored or {}).get("binaryData") or {}).get(CONFIG_MAP_KEY)
    if packed is None:
        return None
    try:
        return Desired.unpacked(base64.b64decode(packed))
    except (ValueError, binascii.Error):
        return None


def has_ended(pod: Object) -> bool:
    """Whether the pod ran to its end or was evicted: it stays listed, and its Deployment has made another."""
    return (pod.get("status") or {}).get("phase") in _ENDED


def is_of_deployment(pod: Object, model: str) -> bool:
    """Whether the model's Deployment made the pod. Anybody may give a pod of theirs the labels by which pods are found."""
    metadata = pod["metadata"]
    made_by = f"{model}-{(metadata.get('labels') or {}).get('pod-template-hash')}"
    owner = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None)
    return owner is not None and (owner["kind"], owner["name"]) == ("ReplicaSet", made_by)


def pod_ip(pod: Object) -> str:
    """The pod's address; empty until it has one."""
    return str((pod.get("status") or {}).get("podIP") or "")


def read_pod(pod: Object, inventory: Inventory | Unreachable, refusal: str | None = None) -> ObservedPod:
    """A pod together with what its runtime says, and what it said of a document that it did not take."""
    meta, status = pod["metadata"], pod.get("status") or {}
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    return ObservedPod(
        name=meta["name"],
        ip=pod_ip(pod),
        ready=ready,
        terminating="deletionTimestamp" in meta,
        created=datetime.fromisoformat(meta["creationTimestamp"]),
        inventory=inventory,
        problem=pod_problem(pod),
        crash=last_crash(pod),
        mixture_mark=_mixture_mark(pod),
        refusal=refusal,
    )


def _mixture_mark(pod: Object) -> str | None:
    """Of a pod, or of the template of one."""
    found: str | None = ((pod.get("metadata") or {}).get("annotations") or {}).get(labels.MIXTURE)
    return found


def applied_hash(child: Object) -> str:
    """The hash of what was last applied."""
    return str((child["metadata"].get("annotations") or {}).get(labels.TEMPLATE_HASH, ""))


def foreign_owner(child: Object, model: ObjectMeta) -> str | None:
    """Who has the child's name, when it is not this very model; in words."""
    metadata = child["metadata"]
    owner = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None)
    if owner is None:
        return "nobody in particular (it has no controller)"
    if owner["uid"] == model.uid:
        return None
    if (owner["kind"], owner["name"]) == (LoRAModel.kind, model.name):
        return "an earlier LoRAModel of this name, with which it is being deleted"
    return f"{owner['kind']} {owner['name']}"
