"""What the last pass concluded, so that a pass costs what has changed since.

Nothing but time depends on it: with or without, the same plan is made, which the tests of interleavings compare.
Objects are compared by identity: what a look did not have to read again is the same object as before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from lora_api.differing import differing
from lora_api.recipes.outcome import Blocked, Outcome, Rejected
from lora_api.runtime_api import AdapterFacts, AdapterReport, Capacity, Desired, DesiredAdapter
from lora_api.v1alpha1.adapter import LoRAAdapterSpec
from lora_api.v1alpha1.model import LoRAModelSpec
from lora_operator.domain.acceptance import Policy
from lora_operator.domain.observed import ObservedAdapter, Resolution, Snapshot, Unreachable
from lora_operator.domain.replicas import Replica

Reports = Mapping[str, AdapterReport]
Adapters = Mapping[str, ObservedAdapter]

_uid = attrgetter("meta.uid")


@dataclass(frozen=True, slots=True)
class Common:
    """What conclusions about all adapters of a model follow from alike."""

    policy: Policy
    model: tuple[str, LoRAModelSpec] | None
    """Its UID and its wish."""
    pods: tuple[tuple[str, Capacity | None, str | None, Unreachable | None], ...]
    """The serving ones, without their reports of single names."""
    hands_off: bool
    """Whether the model may have no document."""


@dataclass(frozen=True, slots=True)
class Memo:
    """What a pass hands to the next one over the same model. All mappings but the reports are by UID."""

    common: Common | None = None
    document: Desired | None = None
    """The one that was concluded. Its entries are below."""
    listed: tuple[ObservedAdapter, ...] = ()
    adapters: Adapters = field(default_factory=dict)
    """The same."""
    resolutions: Mapping[str, Resolution] = field(default_factory=dict)
    said: tuple[Reports, ...] = ()
    """What the serving pods reported, by served name."""
    rejections: Mapping[str, Rejected] = field(default_factory=dict)
    known: Mapping[str, AdapterFacts | Blocked] = field(default_factory=dict)
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    wanted: Mapping[str, str] = field(default_factory=dict)
    """Revisions."""
    entries: Mapping[str, DesiredAdapter] = field(default_factory=dict)
    blends: Adapters = field(default_factory=dict)
    polled: Adapters = field(default_factory=dict)
    """Those whose source is looked at regularly, as far as their files are known."""
    at_rest: Mapping[str, bool] = field(default_factory=dict)
    """Those whose status was as it should be, and will be at any later time; and whether they are Ready."""


NOTHING = Memo()


def common_of(snapshot: Snapshot, policy: Policy, serving: tuple[Replica, ...], *, hands_off: bool) -> Common:
    """What holds for all adapters."""
    model = snapshot.model
    pods = ((r.name, r.capacity, r.refusal, r.said if isinstance(r.said, Unreachable) else None) for r in serving)
    return Common(policy, None if model is None else (model.meta.uid, model.spec), tuple(pods), hands_off)


def adapters_of(snapshot: Snapshot, memo: Memo) -> Adapters:
    """The adapters by UID, in the order of the snapshot."""
    if snapshot.adapters is memo.listed:
        return memo.adapters
    return dict(zip(map(_uid, snapshot.adapters), snapshot.adapters, strict=True))


def said_by(replicas: tuple[Replica, ...]) -> tuple[Reports, ...]:
    """What the serving pods report; nothing of those that do not answer."""
    return tuple({} if isinstance(r.said, Unreachable) else r.said for r in replicas)


def accepts_alike(memo: Memo, adapters: Adapters) -> bool:
    """Whether the same adapters are accepted as before, of the same model."""
    return memo is not NOTHING and all(
        (old := memo.adapters.get(uid)) is not None
        and (new := adapters.get(uid)) is not None
        and _alike(old.spec, new.spec)
        for uid in differing(memo.adapters, adapters)
    )


def _alike(one: LoRAAdapterSpec, other: LoRAAdapterSpec) -> bool:
    """Whether both are accepted or neither; what an update is to do has no part in that."""
    return (one.served_name, one.source, one.blend) == (other.served_name, other.source, other.blend)


def moved(
    memo: Memo,
    snapshot: Snapshot,
    adapters: Adapters,
    rejections: Mapping[str, Rejected],
    said: tuple[Reports, ...],
) -> set[str]:
    """The UIDs of adapters about which something else may hold than before, by themselves; others followed a blend's members."""
    found = differing(memo.adapters, adapters) | differing(memo.resolutions, snapshot.resolutions)
    found |= adapters.keys() - memo.at_rest.keys()
    if rejections is not memo.rejections:
        either = memo.rejections.keys() | rejections.keys()
        found |= {uid for uid in either if memo.rejections.get(uid) != rejections.get(uid)}
    concluded, in_force = _entries(memo.document), _entries(snapshot.desired)
    names = differing(concluded, in_force)
    if memo is not NOTHING:
        names = names.union(*map(differing, memo.said, said))
    # Who has no entry has no name either, whatever pods say of it.
    found |= {entries[name].uid for entries in (concluded, in_force) for name in names if name in entries}
    return found & adapters.keys()


def _entries(document: Desired | None) -> Mapping[str, DesiredAdapter]:
    return {} if document is None else document.by_name
