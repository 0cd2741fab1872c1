"""What holds for each adapter of a model, before anything is done about it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import compress
from typing import TypeVar

from lora_api.mixture_api import MixtureSpec
from lora_api.recipes import revisions
from lora_api.recipes.outcome import Blocked, Outcome, Rejected, Wanted
from lora_api.runtime_api import AdapterFacts, Desired, DesiredAdapter
from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.conditions import AdapterCondition
from lora_operator.domain import acceptance, adapter_status, conditions, facts, memo, polling, replicas, rollout
from lora_operator.domain.adapter_status import Fleet
from lora_operator.domain.memo import Adapters, Memo
from lora_operator.domain.observed import ObservedAdapter, Snapshot

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Conclusions:
    """What was found. Of adapters that did not move, the memo has all there is to say: their status is as it is stored."""

    document: Desired | None
    """The document that should be in force; None when the model may have none."""
    moved: tuple[ObservedAdapter, ...]
    """Those about which was concluded anew, in the order of the snapshot."""
    statuses: Mapping[str, LoRAAdapterStatus]
    """Of these, by UID."""
    memo: Memo
    """All of it, for the next pass as well."""


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
    serving = replicas.serving_replicas(snapshot.pods)
    common, said = memo.common_of(snapshot, policy, serving, hands_off=hands_off), memo.said_by(serving)
    if earlier.common != common:
        earlier = memo.NOTHING
    adapters = memo.adapters_of(snapshot, earlier)
    same = memo.accepts_alike(earlier, adapters)
    rejections = earlier.rejections if same else acceptance.rejections(snapshot, policy)
    moved = memo.moved(earlier, snapshot, adapters, rejections, said)
    gone = earlier.adapters.keys() - adapters.keys()

    known = _after(earlier.known, gone | moved, _known(snapshot, adapters, rejections, moved))
    blends = _after(earlier.blends, gone | moved, {u: adapters[u] for u in moved if adapters[u].spec.blend is not None})
    outcomes = _outcomes(snapshot, adapters, rejections, known, moved, earlier, has_blends=bool(blends))
    moved |= {uid for uid, outcome in outcomes.items() if outcome is not earlier.outcomes.get(uid)}
    outcomes = _after(earlier.outcomes, gone, outcomes)
    wanted = {u: found.spec.revision for u in moved if isinstance(found := outcomes[u], Wanted)}

    in_order = tuple(compress(adapters.values(), map(moved.__contains__, adapters)))
    entries: Mapping[str, DesiredAdapter] = {}
    document = None
    if snapshot.model is not None and not hands_off:
        made = rollout.entries(snapshot.desired, in_order, outcomes, serving)
        entries = _after(earlier.entries, gone | moved, made)
        document = rollout.next_desired(snapshot.desired, entries.values(), snapshot.pods, mixture)
    fleet = Fleet(serving, 0 if snapshot.model is None else snapshot.model.spec.replicas)
    statuses: dict[str, LoRAAdapterStatus] = {}
    at_rest: dict[str, bool] = {}
    polled: dict[str, ObservedAdapter] = {}
    for adapter in in_order:
        uid = adapter.meta.uid
        its, entry, unheeded = known.get(uid), entries.get(uid), facts.unheeded(adapter, snapshot)
        status = adapter_status.status_of(adapter, outcomes[uid], its, entry, fleet, now, unheeded=unheeded)
        statuses[uid] = status
        if status == adapter.status and _rests(its, entry):
            at_rest[uid] = conditions.is_true(status.conditions, AdapterCondition.READY)
        if isinstance(its, AdapterFacts) and polling.interval(adapter) is not None:
            polled[uid] = adapter
    later = Memo(
        common=common,
        document=document,
        listed=snapshot.adapters,
        adapters=adapters,
        resolutions=snapshot.resolutions,
        said=said,
        rejections=rejections,
        known=known,
        outcomes=outcomes,
        wanted=_after(earlier.wanted, gone | moved, wanted),
        entries=entries,
        blends=blends,
        polled=_after(earlier.polled, gone | moved, polled),
        at_rest=_after(earlier.at_rest, gone | moved, at_rest),
    )
    return Conclusions(document, in_order, statuses, later)


def _after(before: Mapping[str, Value], without: Collection[str], now: Mapping[str, Value]) -> Mapping[str, Value]:
    """The same for all but these; `before` itself if nothing is another."""
    if not without and not now:
        return before
    found = dict(before)
    for uid in without:
        found.pop(uid, None)
    found |= now
    return found


def _known(
    snapshot: Snapshot, adapters: Adapters, rejections: Mapping[str, Rejected], moved: Collection[str]
) -> Mapping[str, AdapterFacts | Blocked]:
    """Of each accepted adapter that has a source."""
    accepted = (adapters[uid] for uid in moved if uid not in rejections)
    return {a.meta.uid: facts.facts_of(a, snapshot) for a in accepted if a.spec.blend is None}


def _outcomes(
    snapshot: Snapshot,
    adapters: Adapters,
    rejections: Mapping[str, Rejected],
    known: Mapping[str, AdapterFacts | Blocked],
    moved: Collection[str],
    earlier: Memo,
    *,
    has_blends: bool,
) -> Mapping[str, Outcome]:
    """Of what moved at least; what came to the same is the same object."""
    if not moved:
        return {}
    model = snapshot.model
    if model is None:
        found: Mapping[str, Outcome] = {uid: rejections[uid] for uid in moved}
    else:
        # What members come to decides over blends, of which there are few.
        concerned = snapshot.adapters if has_blends else tuple(adapters[uid] for uid in moved)
        max_rank = model.spec.adapters.max_rank
        found = revisions.outcomes(concerned, rejections, known, max_rank, earlier.outcomes, moved)
    before = earlier.outcomes
    return {uid: old if (old := before.get(uid)) == outcome else outcome for uid, outcome in found.items()}


def _rests(known: AdapterFacts | Blocked | None, entry: DesiredAdapter | None) -> bool:
    """Whether the same will be concluded at any later time: nothing is prepared, and no pod is being asked."""
    return not isinstance(known, Blocked) and (entry is None or entry.prepare is None)
