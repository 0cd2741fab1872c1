"""How far a changed LoRAAdapter is on its way to every pod, and when it got there.

A change is one generation of a LoRAAdapter. Its marks are times at which something was first seen to hold; the time
between two marks is a stage.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.conditions import AdapterCondition
from lora_operator.domain import conditions
from lora_operator.domain.actions import Plan, WriteAdapterStatus
from lora_operator.domain.observed import ModelKey, ObservedAdapter, Snapshot
from lora_operator.domain.replicas import Replica, serving_replicas


class Stage(StrEnum):
    """What a change goes through, in order."""

    WATCH = "watch"
    """From the event to the look that saw it."""
    FETCH = "fetch"
    """One pod found, fetched and checked the source; nothing when it is known."""
    DECIDE = "decide"
    """The document was stored, and each pod was told."""
    LOAD = "load"
    """Each pod fetched, made and loaded the revision, and said so."""
    FLIP = "flip"
    """The commit was stored and told, and each pod said that it serves the revision."""
    REPORT = "report"
    """The status was stored."""


@dataclass(frozen=True, slots=True)
class Change:
    """One generation of a LoRAAdapter that is not yet known to be served by every pod."""

    key: ModelKey
    uid: str
    name: str
    generation: int
    seen: datetime
    """When the event came."""
    revision: str | None = None
    """Which revision it leads to; None until that is known."""
    looked: datetime | None = None
    known: datetime | None = None
    told: datetime | None = None
    loaded: datetime | None = None
    flipped: datetime | None = None
    reported: datetime | None = None

    def stages(self) -> Iterator[tuple[Stage, datetime, datetime]]:
        """Each stage with its begin and its end, as far as they are known."""
        marks = (self.seen, self.looked, self.known, self.told, self.loaded, self.flipped, self.reported)
        for stage, begin, end in zip(Stage, marks, marks[1:], strict=False):
            if begin is None or end is None:
                return
            yield stage, begin, end


@dataclass(frozen=True)
class Pass:
    """What one pass saw, decided and did, and when.

    Hundreds of changes may be under way among thousands of adapters: what each is looked up in is made once.
    """

    snapshot: Snapshot
    plan: Plan
    looked: datetime
    """When the look had ended."""
    acted: datetime

    @property
    def adapters(self) -> Mapping[str, ObservedAdapter]:
        """By UID."""
        return self.plan.memo.adapters

    @cached_property
    def replicas(self) -> tuple[Replica, ...]:
        """The pods that requests reach."""
        return serving_replicas(self.snapshot.pods)

    @cached_property
    def written(self) -> Mapping[str, LoRAAdapterStatus]:
        """The statuses that it stored, by UID."""
        return {action.uid: action.status for action in self.plan.actions if isinstance(action, WriteAdapterStatus)}


def advanced(change: Change, one: Pass) -> Change | None:
    """The change after one more pass; None when it is overtaken, gone, or was served before it was made.

    The caller keeps it while `reported` is unset.
    """
    adapter = one.adapters.get(change.uid)
    if adapter is None or adapter.meta.generation != change.generation:
        # An older look than the event is no reason to forget it.
        behind = adapter is not None and adapter.meta.generation < change.generation
        return change if behind else None
    change = replace(change, looked=change.looked or one.looked)
    wanted = one.plan.wanted.get(change.uid)
    if wanted is None:
        return change
    replicas = one.replicas
    serving = bool(replicas) and all(replica.serving(adapter.served_name, change.uid) == wanted for replica in replicas)
    if change.revision != wanted:
        if serving:
            return None
        return replace(change, revision=wanted, known=one.looked, told=one.acted, loaded=None, flipped=None)
    if not replicas:
        return change
    if all(replica.has_in_engine(adapter.served_name, wanted) for replica in replicas):
        change = replace(change, loaded=change.loaded or one.looked)
    if serving:
        change = replace(change, flipped=change.flipped or one.looked)
    if change.flipped is not None and _is_ready(adapter, one):
        change = replace(change, reported=one.acted)
    return change


def _is_ready(adapter: ObservedAdapter, one: Pass) -> bool:
    """Whether the status, as it is after the pass, says Ready of this generation."""
    status = one.written.get(adapter.meta.uid, adapter.status)
    return conditions.is_true_of(status.conditions, AdapterCondition.READY, adapter.meta.generation)
