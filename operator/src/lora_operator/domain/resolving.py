"""Which sources to ask a pod about now, and when to ask again."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from lora_api.runtime_api import ResolveRequest, ResolveResponse
from lora_api.v1alpha1.adapter import AdapterSource
from lora_operator.domain import facts
from lora_operator.domain.actions import ResolveSource
from lora_operator.domain.observed import ObservedAdapter, ObservedPod, Resolution, Snapshot, Unreachable

_UNREACHABLE_RETRY = timedelta(seconds=1)
"""A pod that does not answer is soon seen as gone, and another one is asked."""


def backoff_seconds(attempt: int) -> int:
    """How long to wait after the n-th refused attempt, in seconds; counts from 1, at most a minute."""
    return min(60, 1 << min(attempt, 6))


def retry_at(answer: ResolveResponse | Unreachable, uid: str, attempt: int, now: datetime) -> datetime | None:
    """When to ask again after this answer; None when it is final, or when the pod is still fetching and asked on.

    Adapters that were refused together, by a hub that is down, are asked about again one after the other.
    """
    if isinstance(answer, Unreachable):
        return now + _UNREACHABLE_RETRY
    if answer.refusal is not None and answer.refusal.retryable:
        return now + timedelta(seconds=backoff_seconds(attempt) * _spread(uid, attempt))
    return None


def _spread(uid: str, attempt: int) -> float:
    """A factor from 0.75 to 1.25, an adapter's own."""
    return 0.75 + 0.5 * int.from_bytes(hashlib.sha256(f"{uid}/{attempt}".encode()).digest()[:2]) / 0xFFFF


def questions(snapshot: Snapshot, unknown: Iterable[ObservedAdapter], now: datetime) -> tuple[ResolveSource, ...]:
    """The questions to ask now about adapters without facts."""
    pods = facts.answering(snapshot.pods)
    if not pods:
        return ()
    asked = (_question(adapter, snapshot, pods, now) for adapter in unknown)
    return tuple(question for question in asked if question is not None)


def next_question_at(snapshot: Snapshot, adapters: Mapping[str, ObservedAdapter], now: datetime) -> datetime | None:
    """The earliest later moment at which one of these adapters, by UID, is to be asked about again."""
    due = (uid for uid, answered in snapshot.resolutions.items() if answered.retry_at and answered.retry_at > now)
    asked = (facts.current_resolution(adapters[uid], snapshot) for uid in due if uid in adapters)
    return min((r.retry_at for r in asked if r is not None and r.retry_at is not None), default=None)


def looks(snapshot: Snapshot, due: Iterable[ObservedAdapter]) -> tuple[ResolveSource, ...]:
    """The questions to ask now about adapters whose files are known, in case there are newer ones."""
    pods = facts.answering(snapshot.pods)
    asked = (_look(adapter, snapshot, pods) for adapter in due if pods)
    return tuple(question for question in asked if question is not None)


def _look(adapter: ObservedAdapter, snapshot: Snapshot, pods: tuple[ObservedPod, ...]) -> ResolveSource | None:
    source = adapter.spec.source
    if source is None or snapshot.resolving.get(adapter.meta.uid) == facts.source_hash(adapter):
        return None
    resolution = facts.current_resolution(adapter, snapshot)
    unheard = resolution is not None and isinstance(resolution.answer, Unreachable)
    # the pod that was asked the last time has the files already, unless it does not answer
    attempt = resolution.attempts + 1 if resolution is not None and unheard else 1
    return _ask(adapter, source, pods, attempt, f"whether {source.describe()} holds other files by now")


def _question(
    adapter: ObservedAdapter, snapshot: Snapshot, pods: tuple[ObservedPod, ...], now: datetime
) -> ResolveSource | None:
    source = adapter.spec.source
    # a question about a source that was corrected since must not hold up the one about today's
    if source is None or snapshot.resolving.get(adapter.meta.uid) == facts.source_hash(adapter):
        return None
    attempt = _due_attempt(facts.current_resolution(adapter, snapshot), now)
    if attempt is None:
        return None
    tries = f", attempt {attempt}" if attempt > 1 else ""
    return _ask(adapter, source, pods, attempt, f"{source.describe()} is not pinned yet{tries}")


def _ask(
    adapter: ObservedAdapter, source: AdapterSource, pods: tuple[ObservedPod, ...], attempt: int, why: str
) -> ResolveSource:
    pod = _pod_for(adapter.meta.uid, attempt, pods)
    return ResolveSource(
        adapter_uid=adapter.meta.uid,
        source_hash=facts.source_hash(adapter),
        pod=pod.name,
        ip=pod.ip,
        request=ResolveRequest(source=source.place, digest=adapter.spec.digest),
        attempt=attempt,
        why=f"{adapter.meta.name}: {why}",
    )


def _due_attempt(resolution: Resolution | None, now: datetime) -> int | None:
    """The number of the attempt that is due; None when none is."""
    if resolution is None:
        return 1
    if resolution.retry_at is None or resolution.retry_at > now:
        return None
    return resolution.attempts + 1


def _pod_for(uid: str, attempt: int, pods: tuple[ObservedPod, ...]) -> ObservedPod:
    """Spreads adapters over the pods and attempts over other pods; the same while the pods are the same."""

    def rank(pod: ObservedPod) -> tuple[bool, bytes]:
        return not pod.serves, hashlib.sha256(f"{uid}/{attempt}/{pod.name}".encode()).digest()

    return min(pods, key=rank)
