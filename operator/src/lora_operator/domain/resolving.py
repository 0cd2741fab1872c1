"""Which sources to ask a pod about now, and when to ask again."""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from lora_api.runtime_api import ResolveRequest, ResolveResponse
from lora_operator.domain import facts
from lora_operator.domain.actions import ResolveSource
from lora_operator.domain.observed import ObservedAdapter, ObservedPod, Resolution, Snapshot, Unreachable

_UNREACHABLE_RETRY = timedelta(seconds=1)
"""A pod that does not answer is soon seen as gone, and another one is asked."""


def backoff_seconds(attempt: int) -> int:
    """How long to wait after the n-th refused attempt, in seconds; counts from 1, at most a minute."""
    return min(60, 1 << min(attempt, 6))


def retry_at(answer: ResolveResponse | Unreachable, attempt: int, now: datetime) -> datetime | None:
    """When to ask again after this answer; None when it is final, or when the pod is still fetching and asked on."""
    if isinstance(answer, Unreachable):
        return now + _UNREACHABLE_RETRY
    if answer.refusal is not None and answer.refusal.retryable:
        return now + timedelta(seconds=backoff_seconds(attempt))
    return None


def questions(snapshot: Snapshot, unknown: Iterable[ObservedAdapter], now: datetime) -> tuple[ResolveSource, ...]:
    """The questions to ask now about adapters without facts."""
    pods = facts.answering(snapshot.pods)
    if not pods:
        return ()
    asked = (_question(adapter, snapshot, pods, now) for adapter in unknown)
    return tuple(question for question in asked if question is not None)


def next_question_at(snapshot: Snapshot, unknown: Iterable[ObservedAdapter], now: datetime) -> datetime | None:
    """The earliest later moment at which some adapter is to be asked about again."""
    resolutions = (facts.current_resolution(adapter, snapshot) for adapter in unknown)
    times = (resolution.retry_at for resolution in resolutions if resolution is not None)
    return min((time for time in times if time is not None and time > now), default=None)


def _question(
    adapter: ObservedAdapter, snapshot: Snapshot, pods: tuple[ObservedPod, ...], now: datetime
) -> ResolveSource | None:
    uid, source, source_hash = adapter.meta.uid, adapter.spec.source, facts.source_hash(adapter)
    # a question about a source that was corrected since must not hold up the one about today's
    if source is None or snapshot.resolving.get(uid) == source_hash:
        return None
    attempt = _due_attempt(facts.current_resolution(adapter, snapshot), now)
    if attempt is None:
        return None
    pod = _pod_for(uid, attempt, pods)
    return ResolveSource(
        adapter_uid=uid,
        source_hash=source_hash,
        pod=pod.name,
        ip=pod.ip,
        request=ResolveRequest(source=source, digest=adapter.spec.digest),
        attempt=attempt,
        why=f"{adapter.meta.name}: {source.describe()} is not pinned yet"
        + (f", attempt {attempt}" if attempt > 1 else ""),
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
