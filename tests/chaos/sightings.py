"""What was seen at one moment: values for the checker. Times are monotonic seconds."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from chaos.wishes import Content

Served = Mapping[str, frozenset[Content]]
"""By name: what its answers are those of, which may be several; an answer of nothing known is the empty set. A name that is
missing is not served."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a pod said about all its names."""

    boot: str
    """See SeenPod, as for the rest."""
    served: Served
    failing: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SeenPod:
    """One pod."""

    name: str
    ready: bool
    """Whether its status in the API server says so, and it is not being deleted."""
    boot: str = ""
    """Another one after each start of its engine."""
    served: Served | None = None
    """None when it did not answer."""
    failing: frozenset[str] = frozenset()
    """Names that it answers with an error: it serves nothing under them that anybody could claim, and tells nothing of before."""
    silent: frozenset[str] = frozenset()
    """Names that it gave no answer to, although it did to others: nothing is known of them."""
    connected: bool = True
    """Whether the operator has had its connection to it long enough to tell it anything."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the status of an object says, as a watch told it."""

    uid: str
    ready: bool = False
    available: bool = False
    observed_generation: int = 0
    reason: str = ""
    """Of `Ready`."""
    message: str = ""
    updated: int = 0
    """Pods that are said to serve the wanted revision."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One LoRAAdapter as the driver wrote it."""

    name: str
    uid: str
    generation: int
    content: Content | None
    """What should be served; None when it cannot be had."""
    since: float
    """Since when it should."""
    ever: Collection[Content]
    """All that was ever wanted of this object; what is being written counts already."""

    def is_claimed(self, status: Status | None) -> bool:
        """Whether the status says that this very wish is fulfilled."""
        return (
            status is not None
            and status.ready
            and status.uid == self.uid
            and status.observed_generation == self.generation
        )


@dataclass(frozen=True, slots=True)
class Moment:
    """What is wanted and said at one time, and what the pods, or one of them, answered just after."""

    at: float
    adapters: Mapping[str, Wanted]
    """By name; one that is being deleted or created is missing."""
    statuses: Mapping[str, Status]
    pods: Collection[SeenPod]
    operating: bool
    """Whether the operator has run, and had its connection to the API server, long enough to know."""
