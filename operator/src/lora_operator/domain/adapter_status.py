"""A LoRAAdapter's status: a pure function of its wish, the desired document and what the pods report."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from lora_api.recipes import history
from lora_api.recipes.outcome import Blocked, Outcome, Rejected, Wanted
from lora_api.runtime_api import AdapterFacts, DesiredAdapter
from lora_api.v1alpha1.adapter import AdapterSource, AdapterSummary, HistoryEntry, LoRAAdapterStatus, PodCounts
from lora_api.v1alpha1.common import ConditionStatus
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_operator.domain import conditions, delivery, facts, memory
from lora_operator.domain.conditions import Verdict
from lora_operator.domain.delivery import Delivery
from lora_operator.domain.observed import ObservedAdapter
from lora_operator.domain.replicas import Replica

_LONGEST_LINE = 1024


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the status of every adapter of a model depends on alike."""

    replicas: tuple[Replica, ...]
    desired_pods: int
    """Pods that the LoRAModel asks for."""


@dataclass(frozen=True, slots=True)
class _Files:
    """What the status says of the files; a blend has no place of its own."""

    rank: int | None
    size_bytes: int | None
    digest: str | None = None
    source: AdapterSource | None = None
    source_hash: str | None = None


def status_of(
    adapter: ObservedAdapter,
    outcome: Outcome,
    known: AdapterFacts | Blocked | None,
    entry: DesiredAdapter | None,
    fleet: Fleet,
    now: datetime,
    *,
    unheeded: str = "",
) -> LoRAAdapterStatus:
    """The status to store.

    `known` are the facts of its own source; None for a blend. `entry` is the document's entry of this very object;
    None when its name belongs to another. `unheeded` is why a look for newer files was in vain.
    """
    past = history.after(adapter.status.history, adapter.spec, outcome, known, conditions.timestamp(now))
    delivered = _delivery(adapter, outcome, entry, past, fleet, now)
    files = _files(adapter, outcome, known)
    verdicts = tuple(_verdicts(outcome, delivered, unheeded))
    return LoRAAdapterStatus(
        conditions=conditions.with_verdicts(adapter.status.conditions, verdicts, adapter.meta.generation, now),
        observed_generation=adapter.meta.generation,
        revision=None if entry is None or entry.serve is None else entry.serve.revision,
        digest=files.digest,
        resolved_source=files.source,
        source_hash=files.source_hash,
        rank=files.rank,
        kept_energy=_kept_energy(adapter, entry, fleet),
        size_bytes=files.size_bytes,
        memory=None if entry is None else memory.of_adapter(adapter.served_name, adapter.meta.uid, fleet.replicas),
        pods=PodCounts(desired=fleet.desired_pods, updated=delivered.updated, available=delivered.available),
        failures=delivered.failures(),
        history=past,
        summary=AdapterSummary(
            # Beside the revision that is shown: where none is wanted, since the wish cannot be had, the one that stays.
            loaded=f"{delivered.updated if delivered.wanted else delivered.available}/{fleet.desired_pods}",
            resolved="" if files.source is None else conditions.cut(files.source.describe(), _LONGEST_LINE),
        ),
    )


def held_at(adapter: ObservedAdapter, entry: DesiredAdapter, history: tuple[HistoryEntry, ...]) -> datetime | None:
    """When the status will change without anything happening: an update in preparation counts as held then."""
    if entry.prepare is None or not history:
        return None
    return conditions.moment(history[0].time) + timedelta(seconds=adapter.spec.update.timeout_seconds)


def _delivery(
    adapter: ObservedAdapter,
    outcome: Outcome,
    entry: DesiredAdapter | None,
    history: tuple[HistoryEntry, ...],
    fleet: Fleet,
    now: datetime,
) -> Delivery:
    name, uid = adapter.served_name, adapter.meta.uid
    wanted = outcome.spec.revision if isinstance(outcome, Wanted) and entry is not None else None
    served = [] if entry is None else [replica.serving(name, uid) for replica in fleet.replicas]
    # a name's earlier owner may still be served under it for a moment: that is not this object being available
    own = {past.revision for past in history}
    if entry is not None and entry.serve is not None:
        own.add(entry.serve.revision)
    found = (delivery.obstacle(replica, name, uid, wanted) for replica in fleet.replicas) if wanted else ()
    return Delivery(
        wanted=wanted,
        held_at=None if entry is None else held_at(adapter, entry, history),
        available=sum(revision is not None and revision in own for revision in served),
        updated=sum(revision is not None and revision == wanted for revision in served),
        obstacles=tuple(obstacle for obstacle in found if obstacle is not None),
        serving_pods=len(fleet.replicas),
        desired_pods=fleet.desired_pods,
        timeout_seconds=adapter.spec.update.timeout_seconds,
        now=now,
        note=_note(fleet, name, wanted),
    )


def _note(fleet: Fleet, name: str, wanted: str | None) -> str:
    reports = [] if wanted is None else [replica.report(name, wanted) for replica in fleet.replicas]
    return next((r.message for r in reports if r is not None and r.reason is None and r.message), "")


def _files(adapter: ObservedAdapter, outcome: Outcome, known: AdapterFacts | Blocked | None) -> _Files:
    """Those of the last good source stay while a new one is refused, since that is what is being served."""
    if isinstance(known, AdapterFacts):
        return _Files(
            digest=known.digest,
            source=known.source,
            source_hash=facts.source_hash(adapter),
            rank=known.rank,
            size_bytes=known.size_bytes,
        )
    if isinstance(outcome, Wanted):
        return _Files(rank=outcome.rank, size_bytes=outcome.size_bytes)
    status = adapter.status
    return _Files(
        digest=status.digest,
        source=status.resolved_source,
        source_hash=status.source_hash,
        rank=status.rank,
        size_bytes=status.size_bytes,
    )


def _kept_energy(adapter: ObservedAdapter, entry: DesiredAdapter | None, fleet: Fleet) -> float | None:
    """What the revision that is served has kept, from the first pod that says so."""
    if entry is None or entry.serve is None or entry.serve.rank is None:
        return None
    reports = (replica.report(adapter.served_name, entry.serve.revision) for replica in fleet.replicas)
    found = next((report.energy for report in reports if report is not None and report.energy is not None), None)
    if found is None and adapter.status.revision == entry.serve.revision:
        return adapter.status.kept_energy
    return found


def _verdicts(outcome: Outcome, delivered: Delivery, unheeded: str) -> Iterator[Verdict]:
    steps = tuple(_steps(outcome, unheeded))
    yield from steps
    failing = next((step for step in steps if not step.is_true), None)
    if failing is None or delivered.available:
        yield delivered.available_verdict()
    else:
        yield Verdict(AdapterCondition.AVAILABLE, ConditionStatus.FALSE, failing.reason, "no pod serves it")
    if failing is None:
        yield delivered.ready_verdict()
    else:
        yield Verdict(AdapterCondition.READY, ConditionStatus.FALSE, failing.reason, failing.message)


def _steps(outcome: Outcome, unheeded: str) -> Iterator[Verdict]:
    """Accepted, Fetched and Compatible; Unknown after the first that does not hold."""
    pinned = "the files are found and pinned"
    if unheeded:
        pinned += f"; they stay in service although the last look for newer ones failed: {unheeded}"
    passed = {
        AdapterCondition.ACCEPTED: (Reason.ACCEPTED, "the model exists and lists all that the adapter needs"),
        AdapterCondition.FETCHED: (Reason.RESOLVED, pinned),
        AdapterCondition.COMPATIBLE: (Reason.VALIDATED, "the files fit the base model and its limits"),
    }
    stopped_at: AdapterCondition | None = None
    for kind in conditions.STEPS:
        if stopped_at is not None:
            yield Verdict(kind, ConditionStatus.UNKNOWN, Reason.PENDING, f"{stopped_at} comes first")
            continue
        stopped = _stopped(kind, outcome)
        if stopped is None:
            yield Verdict(kind, ConditionStatus.TRUE, *passed[kind])
        else:
            stopped_at = kind
            yield stopped


def _stopped(kind: AdapterCondition, outcome: Outcome) -> Verdict | None:
    match outcome:
        case Rejected() if kind is AdapterCondition.ACCEPTED:
            return Verdict(kind, ConditionStatus.FALSE, outcome.reason, outcome.message)
        case Blocked() if kind is outcome.condition:
            status = ConditionStatus.UNKNOWN if outcome.waiting else ConditionStatus.FALSE
            return Verdict(kind, status, outcome.reason, outcome.message)
        case _:
            return None
