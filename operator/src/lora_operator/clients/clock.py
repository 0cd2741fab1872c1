"""The only place that reads the clock and rolls dice; everything else is told."""

import datetime
import random  # noqa: TID251
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime.datetime:
        """The time, aware, in UTC."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime.datetime:
        """The time, aware, in UTC."""
        return datetime.datetime.now(datetime.UTC)  # noqa: TID251


def jitter() -> float:
    """A factor around 1 (0.75 to 1.25), so that what failed together is not retried together."""
    return random.uniform(0.75, 1.25)  # noqa: S311  # not a secret
