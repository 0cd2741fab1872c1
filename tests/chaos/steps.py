"""What may happen in one step. Pure values: a list of them is a plan."""

from dataclasses import dataclass
from enum import StrEnum

from chaos.wishes import Wish


class Kind(StrEnum):
    """What happens."""

    CREATE = "create"
    WEIGHT = "weight"
    SOURCE = "source"
    MEMBERS = "members"
    MISSING_SOURCE = "missing source"
    WRONG_DIGEST = "wrong digest"
    DELETE = "delete"
    RECREATE = "recreate"
    """Deleted and created anew at once: another object of the same name."""
    SCALE = "scale"
    ROLL = "roll"
    """An edit of the LoRAModel that replaces its pods."""
    RECREATE_MODEL = "recreate model"
    DELETE_DOCUMENT = "delete document"
    RESTORE_DOCUMENT = "restore document"
    """The ConfigMap goes back to what it was some time ago."""
    KILL_ENGINE = "kill engine"
    KILL_POD = "kill pod"
    KILL_OPERATOR = "kill operator"
    KILL_API_SERVER = "kill API server"
    PAUSE_POD = "pause pod"
    PAUSE_OPERATOR = "pause operator"
    CUT = "cut"
    """Operator and pod lose their connections, and get no new ones."""
    SILENCE = "silence"
    """Nothing is passed on between operator and pod; connections stay."""
    FILL = "fill store"
    SLOW = "slow loads"


KILLS = frozenset({Kind.KILL_ENGINE, Kind.KILL_POD, Kind.KILL_OPERATOR, Kind.KILL_API_SERVER})
WRITES = frozenset(
    {Kind.CREATE, Kind.WEIGHT, Kind.SOURCE, Kind.MEMBERS, Kind.MISSING_SOURCE, Kind.WRONG_DIGEST, Kind.RECREATE}
)
"""After these an adapter exists and is as the step's wish says."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens."""

    kind: Kind
    name: str = ""
    """The adapter; empty when it is about something else."""
    wish: Wish | None = None
    """What the adapter should be from now on."""
    pod: int = 0
    """Which of the pods, in the order of their names."""
    number: int = 0
    """Replicas, or the largest rank of a model that is edited."""
    seconds: float = 0.0
    """How long it lasts."""
    pause_seconds: float = 0.0
    """How long to wait before the next step."""
    quiet: bool = False
    """Whether everything is healed and everybody waited for afterwards."""

    def describe(self) -> str:
        """For the log: one line."""
        words = [self.kind.value, self.name or "", "" if self.wish is None else str(self.wish)]
        if self.kind in POD_FAULTS:
            words.append(f"pod {self.pod}")
        if self.number:
            words.append(str(self.number))
        if self.seconds:
            words.append(f"for {self.seconds:g} s")
        return " ".join(word for word in words if word)


POD_FAULTS = frozenset({Kind.KILL_ENGINE, Kind.KILL_POD, Kind.PAUSE_POD, Kind.CUT, Kind.SILENCE, Kind.FILL, Kind.SLOW})
