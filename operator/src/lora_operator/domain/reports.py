"""Statuses that are not as they are stored: which of them to store now, and which may wait."""

import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.model import LoRAModelStatus
from lora_operator.domain import telling, transitions
from lora_operator.domain.actions import Action, WriteAdapterStatus, WriteModelStatus
from lora_operator.domain.observed import ObservedAdapter, Snapshot

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Report:
    """A status that is not as it is stored."""

    uid: str
    """Of the object."""
    write: WriteModelStatus | WriteAdapterStatus
    may_wait: bool
    in_turn: bool = False
    """Whether it waits for those that began to wait before."""


def of(
    snapshot: Snapshot,
    moved: Iterable[ObservedAdapter],
    statuses: Mapping[str, LoRAAdapterStatus],
    of_model: LoRAModelStatus | None,
) -> Iterator[Report]:
    """All of them.

    Args:
        snapshot: what the cluster looks like.
        moved: the adapters whose status may be another one.
        statuses: what is to be told of each of these, by UID.
        of_model: what is to be told of the model, if there is one.
    """
    model = snapshot.model
    if model is not None and of_model is not None and _is_news(of_model, model.status):
        write = WriteModelStatus(of_model, transitions.model_events(model, of_model))
        yield Report(model.meta.uid, write, telling.only_counts(model, of_model))
    for adapter in moved:
        meta, new = adapter.meta, statuses[adapter.meta.uid]
        if new is not adapter.status and _is_news(new, adapter.status):
            news = transitions.adapter_events(adapter, new)
            yield Report(
                meta.uid,
                WriteAdapterStatus(meta.name, meta.uid, new, news, meta.version),
                telling.may_wait(adapter, new),
                telling.takes_turns(adapter),
            )


def told_now(
    reports: Iterable[Report], untold: Mapping[str, datetime] | None, now: datetime
) -> tuple[list[Action], Mapping[str, datetime]]:
    """The statuses to store now, and until when others wait, by UID.

    Args:
        reports: all that there are.
        untold: what waited the last time, and until when; None tells everything at once.
        now: by the clock that never jumps.
    """
    told: list[Action] = []
    steps: list[tuple[datetime, Report]] = []
    for report in reports:
        until = None if untold is None else untold.get(report.uid, _NEVER)
        if until is None or not report.may_wait or until <= now:
            told.append(report.write)
        else:
            steps.append((until, report))
    waiting: dict[str, datetime] = {}
    turn = 0
    for until, report in sorted(steps, key=operator.itemgetter(0)):
        # Sooner than it was said, where those before it have arrived meanwhile.
        waiting[report.uid] = min(until, now + telling.patience(turn if report.in_turn else 0))
        turn += report.in_turn
    return told, waiting


def _is_news(new: LoRAAdapterStatus | LoRAModelStatus, stored: LoRAAdapterStatus | LoRAModelStatus) -> bool:
    """Whether they differ in what is the operator's to say: others may add conditions of types of their own."""
    if new == stored:
        return False
    ours = {condition.type for condition in new.conditions}
    found = {condition.type: condition for condition in stored.conditions if condition.type in ours}
    mine = {condition.type: condition for condition in new.conditions}
    return mine != found or new.model_copy(update={"conditions": stored.conditions}) != stored
