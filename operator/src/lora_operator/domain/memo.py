"""What the last pass concluded about adapters that are at rest, so that a pass costs what has changed since.

Nothing but time depends on it: with or without, the same plan is made, which the tests of interleavings compare.
Objects are compared by identity: what a look did not have to read again is the same object as before.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from lora_api.recipes.outcome import Blocked, Outcome, Rejected
from lora_api.runtime_api import AdapterFacts, AdapterReport, Capacity, DesiredAdapter
from lora_api.v1alpha1.adapter import LoRAAdapterSpec
from lora_operator.domain.acceptance import Policy
from lora_operator.domain.observed import ObservedAdapter, ObservedModel, Resolution, Snapshot, Unreachable
from lora_operator.domain.replicas import Replica

Reports = Mapping[str, AdapterReport]


@dataclass(frozen=True, slots=True)
class Crew:
    """All that statuses take from the serving pods, apart from their reports of single names."""

    pods: tuple[tuple[str, Capacity | None, Unreachable | None], ...]
    desired_pods: int


@dataclass(frozen=True, slots=True)
class AtRest:
    """An adapter whose entry and status were as they should be, and all that this followed from."""

    adapter: ObservedAdapter
    resolution: Resolution | None
    rejected: Rejected | None
    max_rank: int
    members: tuple[Outcome, ...]
    known: AdapterFacts | Blocked | None
    outcome: Outcome
    entry: DesiredAdapter | None


@dataclass(frozen=True, slots=True)
class Wishes:
    """All that the acceptance of adapters follows from."""

    policy: Policy
    model: ObservedModel | None
    adapters: tuple[tuple[str, LoRAAdapterSpec], ...]

    def same(self, other: "Wishes") -> bool:
        """Whether the same is accepted."""
        if len(self.adapters) != len(other.adapters) or self.policy != other.policy:
            return False
        if self.model is None or other.model is None:
            if self.model is not other.model:
                return False
        elif self.model.meta.uid != other.model.meta.uid or self.model.spec != other.model.spec:
            return False
        pairs = zip(self.adapters, other.adapters, strict=True)
        return all(uid == its and (mine is spec or _alike(mine, spec)) for (uid, mine), (its, spec) in pairs)


def _alike(one: LoRAAdapterSpec, other: LoRAAdapterSpec) -> bool:
    """Whether both are accepted or neither; what an update is to do has no part in that."""
    return (one.served_name, one.source, one.blend) == (other.served_name, other.source, other.blend)


@dataclass(frozen=True, slots=True)
class Memo:
    """What a pass hands to the next one over the same model."""

    wishes: Wishes | None = None
    rejections: Mapping[str, Rejected] = field(default_factory=dict)
    at_rest: Mapping[str, AtRest] = field(default_factory=dict)
    """By UID."""
    crew: Crew = Crew((), 0)
    said: tuple[Reports, ...] = ()
    """What the serving pods reported."""


NOTHING = Memo()


def wishes(snapshot: Snapshot, policy: Policy) -> Wishes:
    """What the snapshot's adapters and model ask for."""
    return Wishes(policy, snapshot.model, tuple((a.meta.uid, a.spec) for a in snapshot.adapters))


def undisturbed(
    memo: Memo, snapshot: Snapshot, rejections: Mapping[str, Rejected], max_rank: int
) -> Mapping[str, AtRest]:
    """Those of which the same is to be concluded as before, unless a blend's members say otherwise; by UID."""
    found = {}
    for adapter in snapshot.adapters:
        uid = adapter.meta.uid
        before = memo.at_rest.get(uid)
        if (
            before is not None
            and before.adapter is adapter
            and before.resolution is snapshot.resolutions.get(uid)
            and before.max_rank == max_rank
            and before.rejected == rejections.get(uid)
        ):
            found[uid] = before
    return found


def crew_of(replicas: tuple[Replica, ...], desired_pods: int) -> Crew:
    """The serving pods as statuses see them."""
    pods = ((r.name, r.capacity, r.said if isinstance(r.said, Unreachable) else None) for r in replicas)
    return Crew(tuple(pods), desired_pods)


def said_by(replicas: tuple[Replica, ...]) -> tuple[Reports, ...]:
    """What the serving pods report; nothing of those that do not answer."""
    return tuple({} if isinstance(r.said, Unreachable) else r.said for r in replicas)


def told_anew(memo: Memo, crew: Crew, said: tuple[Reports, ...]) -> Collection[str] | None:
    """The served names of which some pod reports something else than at the last pass; None when that may be all."""
    if memo.crew != crew:
        return None
    news: set[str] = set()
    for before, now in zip(memo.said, said, strict=True):
        if before is not now:
            news.update(name for name, report in now.items() if before.get(name) is not report)
            news.update(name for name in before if name not in now)
    return news
