"""What holds for each adapter of a model, before anything is done about it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from lora_api.mixture_api import MixtureSpec
from lora_api.recipes import revisions
from lora_api.recipes.outcome import Blocked, Outcome, Rejected, Wanted
from lora_api.runtime_api import AdapterFacts, Desired, DesiredAdapter
from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_operator.domain import acceptance, adapter_status, facts, memo, replicas, rollout
from lora_operator.domain.adapter_status import Fleet
from lora_operator.domain.memo import AtRest, Memo
from lora_operator.domain.observed import ObservedAdapter, Snapshot


@dataclass(frozen=True, slots=True)
class Conclusions:
    """All by UID."""

    known: Mapping[str, AdapterFacts | Blocked]
    """The facts of each accepted adapter that has a source."""
    outcomes: Mapping[str, Outcome]
    document: Desired | None
    """The document that should be in force; None when the model may have none."""
    entries: Mapping[str, DesiredAdapter]
    """Of that document."""
    statuses: Mapping[str, LoRAAdapterStatus]
    memo: Memo

    @property
    def wanted(self) -> Mapping[str, str]:
        """The revision that each adapter comes to, where it comes to one."""
        return {uid: found.spec.revision for uid, found in self.outcomes.items() if isinstance(found, Wanted)}


def conclude(
    snapshot: Snapshot,
    policy: acceptance.Policy,
    now: datetime,
    earlier: Memo,
    *,
    hands_off: bool,
    mixture: MixtureSpec | None = None,
) -> Conclusions:
    """Concludes; what `earlier` has of adapters that nothing has happened to is taken as it is.

    Args:
        snapshot: what the cluster looks like.
        policy: what the operator was told to allow.
        now: the time, aware.
        earlier: what the last pass handed over.
        hands_off: whether the model may have no document.
        mixture: what the pods are to serve as their model.
    """
    wishes = memo.wishes(snapshot, policy)
    same = earlier.wishes is not None and wishes.same(earlier.wishes)
    rejections = earlier.rejections if same else acceptance.rejections(snapshot, policy)
    max_rank = 0 if snapshot.model is None else snapshot.model.spec.adapters.max_rank
    before = memo.undisturbed(earlier, snapshot, rejections, max_rank)
    known: Mapping[str, AdapterFacts | Blocked] = {}
    outcomes: Mapping[str, Outcome] = rejections
    document = None
    if snapshot.model is not None:
        known = _known(snapshot, rejections, before)
        outcomes = revisions.outcomes(snapshot.adapters, rejections, known, max_rank, before)
        if not hands_off:
            document = rollout.next_desired(
                snapshot.desired, snapshot.adapters, outcomes, snapshot.pods, before, mixture
            )
    entries = {} if document is None else {entry.uid: entry for entry in document.adapters}
    seen = _Seen(snapshot, known, outcomes, entries, rejections, max_rank, before)
    serving = replicas.serving_replicas(snapshot.pods)
    fleet = Fleet(serving, 0 if snapshot.model is None else snapshot.model.spec.replicas)
    crew, said = memo.crew_of(serving, fleet.desired_pods), memo.said_by(serving)
    statuses, at_rest = _statuses(seen, fleet, memo.told_anew(earlier, crew, said), now)
    later = Memo(wishes, rejections, at_rest, crew, said)
    return Conclusions(known, outcomes, document, entries, statuses, later)


def _known(
    snapshot: Snapshot, rejections: Mapping[str, Rejected], before: Mapping[str, AtRest]
) -> Mapping[str, AdapterFacts | Blocked]:
    known: dict[str, AdapterFacts | Blocked] = {}
    for adapter in snapshot.adapters:
        uid = adapter.meta.uid
        if adapter.spec.blend is not None or uid in rejections:
            continue
        same = before.get(uid)
        kept = None if same is None else same.known
        known[uid] = kept if kept is not None else facts.facts_of(adapter, snapshot)
    return known


@dataclass(frozen=True, slots=True)
class _Seen:
    snapshot: Snapshot
    known: Mapping[str, AdapterFacts | Blocked]
    outcomes: Mapping[str, Outcome]
    entries: Mapping[str, DesiredAdapter]
    rejections: Mapping[str, Rejected]
    max_rank: int
    before: Mapping[str, AtRest]


def _statuses(
    seen: _Seen, fleet: Fleet, news: Collection[str] | None, now: datetime
) -> tuple[Mapping[str, LoRAAdapterStatus], Mapping[str, AtRest]]:
    """The status of each adapter, and those that are at rest; `news` are the names that pods said something new of."""
    snapshot = seen.snapshot
    uids = {adapter.meta.name: adapter.meta.uid for adapter in snapshot.adapters}
    statuses: dict[str, LoRAAdapterStatus] = {}
    at_rest: dict[str, AtRest] = {}
    for adapter in snapshot.adapters:
        uid = adapter.meta.uid
        outcome, entry, same = seen.outcomes[uid], seen.entries.get(uid), seen.before.get(uid)
        if (
            news is not None
            and same is not None
            and same.outcome is outcome
            and same.entry is entry
            and adapter.served_name not in news
        ):
            statuses[uid], at_rest[uid] = adapter.status, same
            continue
        known = seen.known.get(uid)
        unheeded = facts.unheeded(adapter, snapshot)
        status = adapter_status.status_of(adapter, outcome, known, entry, fleet, now, unheeded=unheeded)
        statuses[uid] = status
        if status == adapter.status and _rests(known, entry):
            at_rest[uid] = _at_rest(seen, adapter, uids)
    return statuses, at_rest


def _rests(known: AdapterFacts | Blocked | None, entry: DesiredAdapter | None) -> bool:
    """Whether the same will be concluded at any later time: nothing is prepared, and no pod is being asked."""
    return not isinstance(known, Blocked) and (entry is None or entry.prepare is None)


def _at_rest(seen: _Seen, adapter: ObservedAdapter, uids: Mapping[str, str]) -> AtRest:
    uid = adapter.meta.uid
    rejected = seen.rejections.get(uid)
    members = {} if rejected is not None else revisions.members_of(adapter, uids, seen.outcomes)
    return AtRest(
        adapter=adapter,
        resolution=seen.snapshot.resolutions.get(uid),
        rejected=rejected,
        max_rank=seen.max_rank,
        members=tuple(members.values()),
        known=seen.known.get(uid),
        outcome=seen.outcomes[uid],
        entry=seen.entries.get(uid),
    )
