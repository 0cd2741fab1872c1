"""The only place that reads the time."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The moment, for ages."""
    return datetime.now(UTC)  # noqa: TID251


def monotonic() -> float:
    """Seconds that only ever grow, for deadlines."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Waits."""
    time.sleep(seconds)
