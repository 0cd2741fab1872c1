"""When each pod began to answer with a revision, by its own log."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.control.traces import Trace

_LINE = re.compile(r"(\d{4}-\S+ \S+) \S+ serving adapter=(\S+) revision=(\S+) took_ms=([\d.]+)$", re.MULTILINE)
_STEP_SECONDS = 0.001
"""Of the times in a log."""


@dataclass(frozen=True, slots=True)
class Flip:
    """One pod goes over to a revision, at some moment between the two. Seconds since 1970."""

    begun: float
    ended: float


@dataclass(frozen=True, slots=True)
class Flips:
    """All that the pods' logs tell."""

    logs: Mapping[str, str]
    """By pod."""

    def of(self, trace: Trace, asked_at: float) -> dict[str, Flip]:
        """The flips to what a change led to, by pod: the first ones after it was asked for."""
        found = {}
        for pod, log in self.logs.items():
            later = (flip for flip in _flips(log, trace.name, trace.revision) if flip.ended > asked_at)
            if (first := next(later, None)) is not None:
                found[pod] = first
        return found


def _flips(log: str, name: str, revision: str) -> Iterator[Flip]:
    for time, adapter, served, took_ms in _LINE.findall(log):
        if (adapter, served) == (name, revision):
            # Cut off, not rounded.
            told = datetime.strptime(time, "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=UTC).timestamp()
            yield Flip(told - float(took_ms) / 1000, told + _STEP_SECONDS)
