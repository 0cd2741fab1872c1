"""Numbers as people read them."""

from datetime import datetime, timedelta

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(count: int | None) -> str:
    """Bytes in the largest unit of which there is at least one; `-` when unknown."""
    if count is None:
        return "-"
    value = float(count)
    for unit in _UNITS[:-1]:
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} {_UNITS[-1]}"


def age(since: datetime, now: datetime) -> str:
    """How long ago, in the one unit that `kubectl get` would show."""
    passed = max(now - since, timedelta())
    if passed < timedelta(minutes=2):
        return f"{int(passed.total_seconds())}s"
    if passed < timedelta(hours=2):
        return f"{int(passed.total_seconds() // 60)}m"
    if passed < timedelta(days=2):
        return f"{int(passed.total_seconds() // 3600)}h"
    return f"{passed.days}d"


def number(value: float) -> str:
    """A weight in its shortest form: 1, not 1.0."""
    return f"{value:g}"
