"""Until when nobody can be held to what he does not know: faults under way, and a while to find out after each."""

import math
from dataclasses import dataclass, field

OPERATOR = "operator"
API_SERVER = "API server"


@dataclass(slots=True)
class Excuses:
    """By whom: the operator, the API server, or the name of a pod. Times are monotonic seconds."""

    _until: dict[tuple[str, str], float] = field(default_factory=dict)

    def begin(self, who: str, what: str) -> None:
        """A fault begins."""
        self._until[who, what] = math.inf

    def end(self, who: str, what: str, now: float, grace_seconds: float) -> None:
        """It has ended; what went on meanwhile is to be known after so long."""
        self._until[who, what] = now + grace_seconds

    def holds(self, who: str, now: float) -> bool:
        """Whether it is excused, whatever for."""
        return any(whose == who and now < until for (whose, _), until in list(self._until.items()))
