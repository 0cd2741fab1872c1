"""What is known of an adapter's source: its pinned place, digest, rank and size.

Facts are remembered in the LoRAAdapter's status, so that a restarted operator asks nothing again, and a moved
branch is noticed only when the user asks for it: once, by an annotation, or regularly, by `source.pollSeconds`.
"""

import hashlib
import json

from lora_api import labels
from lora_api.recipes.outcome import Blocked
from lora_api.runtime_api import AdapterFacts, ResolveResponse, ResolveState
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_operator.domain.observed import ObservedAdapter, ObservedPod, Resolution, Snapshot, Unreachable


def source_hash(adapter: ObservedAdapter) -> str:
    """Names the question `where are the files?`: 16 hex digits of source, digest and refresh annotation."""
    spec = adapter.spec
    place = spec.source and spec.source.place.model_dump(mode="json", by_alias=True, exclude_none=True)
    question = [place, spec.digest, adapter.meta.annotations.get(labels.REFRESH)]
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:16]


def current_resolution(adapter: ObservedAdapter, snapshot: Snapshot) -> Resolution | None:
    """The answer to today's question; an answer about an earlier source is none."""
    resolution = snapshot.resolutions.get(adapter.meta.uid)
    if resolution is None or resolution.source_hash != source_hash(adapter):
        return None
    return resolution


def answering(pods: tuple[ObservedPod, ...]) -> tuple[ObservedPod, ...]:
    """The pods that can be asked for files: their admin port answers, be it long before the engine does."""
    return tuple(pod for pod in pods if pod.ip and not pod.terminating and not isinstance(pod.inventory, Unreachable))


def facts_of(adapter: ObservedAdapter, snapshot: Snapshot) -> AdapterFacts | Blocked:
    """The facts of an adapter with a source, or why there are none."""
    if adapter.spec.source is None:
        return Blocked(AdapterCondition.FETCHED, Reason.SOURCE_NOT_FOUND, "spec must set source or blend")
    resolution = current_resolution(adapter, snapshot)
    news = None if resolution is None else _facts_in(resolution)
    known = news or remembered(adapter)
    if known is not None:
        return known
    if resolution is not None:
        return _answered(resolution.answer)
    if answering(snapshot.pods):
        return _fetching("a pod is being asked for the files")
    return Blocked(
        AdapterCondition.FETCHED,
        Reason.MODEL_NOT_AVAILABLE,
        f"no pod of model {snapshot.key.name} answers yet, so that nobody can fetch the files",
        waiting=True,
    )


def unheeded(adapter: ObservedAdapter, snapshot: Snapshot) -> str:
    """Why the last look for newer files changed nothing, although it did not find the same ones; else empty."""
    resolution = current_resolution(adapter, snapshot)
    if resolution is None or remembered(adapter) is None or isinstance(resolution.answer, Unreachable):
        return ""
    refusal = resolution.answer.refusal
    return "" if refusal is None else f"{refusal.reason}: {refusal.message}"


def remembered(adapter: ObservedAdapter) -> AdapterFacts | None:
    """The facts in its status, if they answer today's question."""
    status = adapter.status
    if status.source_hash != source_hash(adapter):
        return None
    if status.resolved_source is None or status.digest is None:
        return None
    if status.rank is None or status.size_bytes is None:
        return None
    return AdapterFacts(
        source=status.resolved_source,
        digest=status.digest,
        rank=status.rank,
        size_bytes=status.size_bytes,
    )


def _facts_in(resolution: Resolution) -> AdapterFacts | None:
    return None if isinstance(resolution.answer, Unreachable) else resolution.answer.facts


def _answered(answer: ResolveResponse | Unreachable) -> AdapterFacts | Blocked:
    if isinstance(answer, Unreachable):
        return _fetching(f"the pod that was asked for the files does not answer: {answer.message}")
    if answer.facts is not None:
        return answer.facts
    if answer.refusal is not None:
        refusal = answer.refusal
        return Blocked(refusal.condition, refusal.reason, refusal.message)
    if answer.state is ResolveState.FETCHING and answer.bytes_total:
        percent = 100 * (answer.bytes_done or 0) // answer.bytes_total
        return _fetching(f"a pod has fetched {percent}% of {answer.bytes_total} bytes")
    return _fetching("a pod is fetching the files")


def _fetching(message: str) -> Blocked:
    return Blocked(AdapterCondition.FETCHED, Reason.FETCHING, message, waiting=True)
