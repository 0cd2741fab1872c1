"""From what was seen to what is reported. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.control import answers
from bench.control.changes import Change, Kind
from bench.control.flips import Flip, Flips
from bench.control.observer import Sighting
from bench.control.traces import Trace
from bench.figures.quantiles import MEDIAN, P99
from bench.report.documents import rounded
from bench.served.reference import References

UNTRACED = ("", 0)
"""Of a change that the operator sends no trace of."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One change as its observers saw it. Times are monotonic seconds."""

    change: Change
    which: tuple[str, int]
    """UID and generation, or `UNTRACED`."""
    asked: float
    """When the request to the API server was about to be sent."""
    asked_at: float
    """The same in seconds since 1970, as traces have it."""
    ready: float | None
    """When a watch told Ready=True of this generation; None when it never did, or there is no status to tell it."""
    sightings: Mapping[str, Sequence[Sighting]]
    """By pod."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What follows from it."""

    change: Change
    served: float
    """Seconds from the request to the end of the first new answer of the last pod; NaN when it never came."""
    seen_split: float
    """Seconds from the begin of the first new answer of any pod to the end of the first new answer of the last one."""
    ready: float
    stages: Mapping[str, float]
    """Seconds: from the request to the event, and then what the operator's trace says."""
    flipped: float
    """Seconds from the request until each pod has logged that it serves it; NaN when one did not."""
    split: float
    """Seconds in which pods may have answered with different revisions: from the begin of the first pod's flip to the end of
    the last one's."""
    wrong: int
    """Answers that are of neither revision, an old one after a new one, an error for a name that was served, or against what
    the pod has logged."""


def judge(observed: Observed, trace: Trace | None, references: References, flips: Flips = Flips({})) -> Judged:  # noqa: B008
    """Holds every answer against PEFT's, and what pods have logged against the answers. Without a trace there are no stages."""
    change = observed.change
    old, new = answers.old(change, references), answers.new(change, references)
    first = {pod: next(filter(new, seen), None) for pod, seen in observed.sightings.items()}
    wrong = sum(_wrong(seen, old, new) for seen in observed.sightings.values())
    flipped = {} if trace is None else flips.of(trace, observed.asked_at)
    told = bool(flipped) and flipped.keys() == first.keys()
    ended = max((flip.ended for flip in flipped.values()), default=float("nan"))
    begun = min((flip.begun for flip in flipped.values()), default=float("nan"))
    for pod, flip in flipped.items():
        wrong += _against(flip, observed, pod, old, new)
    found = [sighting for sighting in first.values() if sighting is not None]
    whole = len(found) == len(first)
    last = max((sighting.ended for sighting in found), default=float("nan"))
    return Judged(
        change=change,
        served=last - observed.asked if whole else float("nan"),
        seen_split=last - min(sighting.started for sighting in found) if whole else float("nan"),
        ready=float("nan") if observed.ready is None else observed.ready - observed.asked,
        stages={} if trace is None else {"request": trace.begun - observed.asked_at, **trace.stages},
        flipped=ended - observed.asked_at if told else float("nan"),
        split=ended - begun if told else float("nan"),
        wrong=wrong,
    )


def _wrong(seen: Sequence[Sighting], old: answers.Is, new: answers.Is) -> int:
    flipped, wrong = False, 0
    for sighting in seen:
        if new(sighting):
            flipped = True
        elif flipped or not old(sighting):
            wrong += 1
    return wrong


def _against(flip: Flip, observed: Observed, pod: str, old: answers.Is, new: answers.Is) -> int:
    """How many answers cannot be if the pod flipped then: an old one asked for after it, or a new one before it."""
    clock = observed.asked_at - observed.asked
    late = (s for s in observed.sightings[pod] if old(s) and s.started + clock > flip.ended)
    early = (s for s in observed.sightings[pod] if new(s) and s.ended + clock < flip.begun)
    return sum(1 for _ in (*late, *early))


@dataclass(frozen=True, slots=True)
class Row:
    """All changes of one kind. Seconds."""

    kind: str
    count: int
    served_p50: float
    served_p99: float
    ready_p50: float
    flipped_p50: float
    flipped_p99: float
    split_p50: float
    split_p99: float
    split_max: float
    seen_split_p99: float


def rows(judged: Sequence[Judged]) -> list[Row]:
    """One row a kind, and one of all edits together."""
    edits = [each for each in judged if each.change.kind in (Kind.WEIGHT, Kind.SOURCE)]
    groups = [("edit", edits)] + [(kind.value, [j for j in judged if j.change.kind is kind]) for kind in Kind]
    return [_row(name, group) for name, group in groups if group]


def stage_rows(judged: Sequence[Judged]) -> list[tuple[str, float, float]]:
    """Name, median and p99 in seconds of each stage, over the edits."""
    edits = [each for each in judged if each.change.kind in (Kind.WEIGHT, Kind.SOURCE)]
    names = dict.fromkeys(name for each in edits for name in each.stages)
    found = {name: np.array([each.stages[name] for each in edits if name in each.stages]) for name in names}
    return [(name, MEDIAN(values), P99(values)) for name, values in found.items()]


def key_figures(judged: Sequence[Judged], pods: int) -> dict[str, Any]:
    """The last line of the output."""
    by_kind = {row.kind: row for row in rows(judged)}
    edit, slow = by_kind["edit"], by_kind.get(Kind.SLOW.value)
    create, bare = by_kind.get(Kind.CREATE.value), by_kind.get(Kind.BARE.value)
    delete, bare_delete = by_kind.get(Kind.DELETE.value), by_kind.get(Kind.BARE_DELETE.value)
    told = [each for each in judged if each.change.after is not None and each.change.kind is not Kind.BARE]
    return {
        "changes": edit.count,
        "pods": pods,
        "p50_ms": milliseconds(edit.served_p50),
        "p99_ms": milliseconds(edit.served_p99),
        "split_p99_ms": milliseconds(edit.split_p99),
        "seen_split_p99_ms": milliseconds(edit.seen_split_p99),
        "flipped_p50_ms": milliseconds(edit.flipped_p50),
        "flipped_p99_ms": milliseconds(edit.flipped_p99),
        "stages": {name: milliseconds(median) for name, median, _ in stage_rows(judged)},
        "create_p50_ms": None if create is None else milliseconds(create.served_p50),
        "bare_create_p50_ms": None if bare is None else milliseconds(bare.served_p50),
        "bare_create_p99_ms": None if bare is None else milliseconds(bare.served_p99),
        "deletions": 0 if delete is None else delete.count,
        "delete_p50_ms": None if delete is None else milliseconds(delete.served_p50),
        "delete_p99_ms": None if delete is None else milliseconds(delete.served_p99),
        "bare_delete_p50_ms": None if bare_delete is None else milliseconds(bare_delete.served_p50),
        "split_slow_max_ms": None if slow is None else milliseconds(slow.split_max),
        "wrong": sum(each.wrong for each in judged),
        "never": sum(math.isnan(each.served) for each in judged),
        "unready": sum(math.isnan(each.ready) for each in told),
        "untold": sum(math.isnan(each.split) for each in told),
    }


def _row(kind: str, group: Sequence[Judged]) -> Row:
    names = ("served", "ready", "flipped", "split", "seen_split")
    served, ready, flipped, split, seen_split = (np.array([getattr(j, name) for j in group]) for name in names)
    return Row(
        kind=kind,
        count=len(group),
        served_p50=MEDIAN(served),
        served_p99=P99(served),
        ready_p50=MEDIAN(ready),
        flipped_p50=MEDIAN(flipped),
        flipped_p99=P99(flipped),
        split_p50=MEDIAN(split),
        split_p99=P99(split),
        split_max=float(split.max()),
        seen_split_p99=P99(seen_split),
    )


def milliseconds(seconds: float) -> float | None:
    """As the JSON has it; None for what never came."""
    return rounded(seconds * 1000, 1)
