"""How fast one pod may have news for the operator, which works for others, too."""

from dataclasses import dataclass

_BURST = 50.0
_PER_SECOND = 20.0


@dataclass(slots=True)
class Pace:
    """Lets a burst through at once, and what goes on without an end slowly."""

    room: float = _BURST
    since: float = 0.0

    def pause(self, now: float) -> float:
        """Seconds to wait before the next one."""
        self.room = min(_BURST, self.room + (now - self.since) * _PER_SECOND) - 1
        self.since = now
        return max(0.0, -self.room / _PER_SECOND)
