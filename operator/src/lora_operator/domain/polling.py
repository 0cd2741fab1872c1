"""Looking regularly whether a source holds other files than those that are known: `source.pollSeconds`.

Nothing is stored about it. Looks are due at fixed moments, each adapter at its own: a restarted operator keeps to
them, does not ask about all adapters at once, and writes nothing when a look finds nothing new.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from lora_operator.domain import facts
from lora_operator.domain.observed import ObservedAdapter, Snapshot, Unreachable


def due(snapshot: Snapshot, known: Iterable[ObservedAdapter], now: datetime) -> tuple[ObservedAdapter, ...]:
    """The adapters, of those whose files are known, whose sources are to be looked at now, by name."""
    return tuple(sorted((a for a in known if _is_due(a, snapshot, now)), key=lambda adapter: adapter.meta.name))


def next_due_at(known: Iterable[ObservedAdapter], now: datetime) -> datetime | None:
    """The earliest later moment at which a source is to be looked at."""
    every = ((adapter, interval(adapter)) for adapter in known)
    return min(
        (_last_moment(a, seconds, now) + timedelta(seconds=seconds) for a, seconds in every if seconds), default=None
    )


def _is_due(adapter: ObservedAdapter, snapshot: Snapshot, now: datetime) -> bool:
    every = interval(adapter)
    if every is None:
        return False
    resolution = facts.current_resolution(adapter, snapshot)
    if resolution is None:
        looked_at = snapshot.asking_since
    elif isinstance(resolution.answer, Unreachable):
        # not looked at all: another pod is asked soon
        return resolution.retry_at is not None and resolution.retry_at <= now
    elif resolution.answer.facts not in (None, facts.remembered(adapter)):
        return False  # its last find is not stored yet, and would be forgotten while the next answer is awaited
    else:
        looked_at = resolution.asked_at
    return looked_at is not None and looked_at < _last_moment(adapter, every, now)


def interval(adapter: ObservedAdapter) -> int | None:
    """How often its source is looked at, in seconds; None when it is not."""
    return None if adapter.spec.source is None else adapter.spec.source.poll_seconds


def _last_moment(adapter: ObservedAdapter, every: int, now: datetime) -> datetime:
    """The last of the adapter's moments that is not after `now`."""
    own = int.from_bytes(hashlib.sha256(adapter.meta.uid.encode()).digest()[:8]) % every
    seconds = int(now.timestamp())
    return datetime.fromtimestamp(seconds - (seconds - own) % every, UTC)
