"""Builders of what a look at the cluster sees: each argument that a test leaves out is the ordinary case."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from lora_api.runtime_api import (
    AdapterFacts,
    AdapterReport,
    Desired,
    Inventory,
    Refusal,
    ResolveResponse,
    ResolveState,
    RevisionReport,
    RevisionState,
)
from lora_api.v1alpha1.adapter import AdapterSource, LoRAAdapterSpec, LoRAAdapterStatus
from lora_api.v1alpha1.common import HuggingFaceSource
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_api.v1alpha1.model import LoRAModelSpec, LoRAModelStatus
from lora_operator.domain import facts
from lora_operator.domain.observed import (
    ModelKey,
    ObjectMeta,
    ObservedAdapter,
    ObservedDeployment,
    ObservedModel,
    ObservedPod,
    PodProblem,
    Resolution,
    Snapshot,
    Unreachable,
)

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=30)
NAMESPACE = "team"


def a_model(
    name: str = "smol",
    *,
    generation: int = 1,
    replicas: int = 1,
    status: LoRAModelStatus | None = None,
    **spec: Any,
) -> ObservedModel:
    """A LoRAModel; `spec` are further fields of it, in camelCase."""
    wish = {"source": {"huggingFace": {"repo": "team/smol"}}, "replicas": replicas} | spec
    meta = ObjectMeta(name, NAMESPACE, f"uid-{name}", generation, LONG_AGO)
    return ObservedModel(meta, LoRAModelSpec.model_validate(wish), status or LoRAModelStatus())


def an_adapter(
    name: str = "pirate",
    *,
    uid: str | None = None,
    generation: int = 1,
    created: datetime = LONG_AGO,
    annotations: Mapping[str, str] | None = None,
    status: LoRAAdapterStatus | None = None,
    **spec: Any,
) -> ObservedAdapter:
    """A LoRAAdapter of the model `smol` with a source of its own; `spec` are further fields, in camelCase."""
    wish: dict[str, Any] = {"modelRef": {"name": "smol"}} | spec
    if "blend" not in wish:
        wish.setdefault("source", {"huggingFace": {"repo": f"team/{name}"}})
    meta = ObjectMeta(name, NAMESPACE, uid or f"uid-{name}", generation, created, annotations or {})
    return ObservedAdapter(meta, LoRAAdapterSpec.model_validate(wish), status or LoRAAdapterStatus())


def a_blend(
    name: str, members: Mapping[str, float], *, how: Mapping[str, Any] | None = None, **rest: Any
) -> ObservedAdapter:
    """A LoRAAdapter that blends others: weight by name of the member; `how` are the other fields of spec.blend."""
    listed = [{"adapterRef": {"name": member}, "weight": weight} for member, weight in members.items()]
    return an_adapter(name, blend={"members": listed} | dict(how or {}), **rest)


def a_digest(content: str) -> str:
    return "sha256:" + hashlib.sha256(content.encode()).hexdigest()


def some_facts(content: str = "pirate", *, rank: int = 8, size_bytes: int = 1000) -> AdapterFacts:
    """What a pod finds out about files with this content."""
    commit = hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest()
    source = AdapterSource(hugging_face=HuggingFaceSource(repo=f"team/{content}", revision=commit))
    return AdapterFacts(source=source, digest=a_digest(content), rank=rank, size_bytes=size_bytes)


def a_resolution(adapter: ObservedAdapter, found: AdapterFacts | None = None) -> Resolution:
    """A pod's answer that the adapter's source is good."""
    answer = ResolveResponse(state=ResolveState.RESOLVED, facts=found or some_facts(adapter.meta.name))
    return Resolution(facts.source_hash(adapter), answer, attempts=1, asked_at=NOW)


def a_refusal(
    adapter: ObservedAdapter,
    reason: Reason = Reason.SHAPE_MISMATCH,
    *,
    condition: AdapterCondition = AdapterCondition.COMPATIBLE,
    retry_at: datetime | None = None,
    attempts: int = 1,
) -> Resolution:
    """A pod's answer that the adapter's source cannot be served."""
    refusal = Refusal(condition=condition, reason=reason, message="it does not fit", retryable=retry_at is not None)
    answer = ResolveResponse(state=ResolveState.REFUSED, refusal=refusal)
    return Resolution(facts.source_hash(adapter), answer, attempts=attempts, retry_at=retry_at)


def resolved(*adapters: ObservedAdapter) -> dict[str, Resolution]:
    """Good answers about all of them."""
    return {adapter.meta.uid: a_resolution(adapter) for adapter in adapters}


def a_report(name: str, **revisions: RevisionState) -> AdapterReport:
    """What a pod says of one name: the state by revision, with `r_` before it as it may begin with a digit."""
    return AdapterReport(
        name=name,
        revisions=tuple(
            RevisionReport(revision=revision.removeprefix("r_"), state=state) for revision, state in revisions.items()
        ),
    )


def an_inventory(*adapters: AdapterReport, document: Desired | None = None, **rest: Any) -> Inventory:
    """What a pod says that works on a document."""
    return Inventory(
        boot_id="boot-1",
        etag="e",
        desired_sequence=None if document is None else document.sequence,
        desired_etag=None if document is None else document.etag,
        adapters=adapters,
        **rest,
    )


def a_pod(
    name: str = "smol-a",
    *,
    ready: bool = True,
    terminating: bool = False,
    ip: str = "10.0.0.1",
    inventory: Inventory | Unreachable | None = None,
    problem: PodProblem | None = None,
    crash: PodProblem | None = None,
    refusal: str | None = None,
) -> ObservedPod:
    said = inventory or an_inventory()
    return ObservedPod(name, ip, ready, terminating, LONG_AGO, said, problem, crash, refusal=refusal)


def unreachable(message: str = "connection refused") -> Unreachable:
    return Unreachable(message)


def a_deployment(
    replicas: int = 1, *, updated: int | None = None, ready: int | None = None, mark: str | None = None
) -> ObservedDeployment:
    return ObservedDeployment(
        generation=1,
        observed_generation=1,
        replicas=replicas,
        updated=replicas if updated is None else updated,
        ready=replicas if ready is None else ready,
        mixture_mark=mark,
    )


def a_snapshot(*adapters: ObservedAdapter, model: ObservedModel | None = None, **rest: Any) -> Snapshot:
    """A look at the model `smol` with these adapters."""
    return Snapshot(ModelKey(NAMESPACE, "smol"), model or a_model(), adapters, **rest)


def a_snapshot_without_model(*adapters: ObservedAdapter, **rest: Any) -> Snapshot:
    return Snapshot(ModelKey(NAMESPACE, "smol"), None, adapters, **rest)
