"""The only place that reads the clock and rolls dice; everything else is told."""

import datetime
import random  # noqa: TID251
import time
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime.datetime:
        """The time, aware, in UTC: for what is stored, and told to people. May jump when somebody sets the clock."""
        ...

    def steady(self) -> datetime.datetime:
        """The time as if nobody had set the clock since the start of the process: for what is due, and for ages."""
        ...


class SystemClock:
    """The clock of this machine."""

    def __init__(self) -> None:
        self._started = self.now() - datetime.timedelta(seconds=elapsed())

    def now(self) -> datetime.datetime:
        """The time, aware, in UTC."""
        return datetime.datetime.now(datetime.UTC)  # noqa: TID251

    def steady(self) -> datetime.datetime:
        """The time by the clock's reading at the start."""
        return self._started + datetime.timedelta(seconds=elapsed())


def elapsed() -> float:
    """Seconds since the machine started, as nobody can set them; a machine's sleep counts where it is known."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def jitter() -> float:
    """A factor around 1 (0.75 to 1.25), so that what failed together is not retried together."""
    return random.uniform(0.75, 1.25)  # noqa: S311  # not a secret
