"""Who cannot be held to what he does not know, and until when: faults under way."""

import math
from dataclasses import dataclass, field

OPERATOR = "operator"
API_SERVER = "API server"
REACHED_AGAIN_SECONDS = 2.0
"""A pod that was cut off is asked again with pauses of up to so long, and cannot be told of another object before."""


@dataclass(slots=True)
class Excuses:
    """By whom: the operator, the API server, or the name of a pod. Times are monotonic seconds."""

    _until: dict[tuple[str, str], float] = field(default_factory=dict)

    def begin(self, who: str, what: str) -> None:
        """A fault begins."""
        self._until[who, what] = math.inf

    def end(self, who: str, what: str, now: float, grace_seconds: float = 0.0) -> None:
        """It has ended; what went on meanwhile is to be known after so long, beside the bound that always holds."""
        self._until[who, what] = now + grace_seconds

    def holds(self, who: str, now: float) -> bool:
        """Whether it is excused, whatever for."""
        return any(whose == who and now < until for (whose, _), until in list(self._until.items()))
