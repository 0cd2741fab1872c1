"""What was found, and the figures. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.figures.quantiles import MEDIAN
from bench.report.documents import rounded
from bench.scale.run import Idle
from bench.two_hundred.settings import TWO_PODS, Settings


@dataclass(slots=True)
class Bulk:
    """Adapters created at once, and later deleted at once. Seconds from just before the first request."""

    count: int
    half_served: float
    """Until every pod serves half of them."""
    served: float
    ready: float
    objects: int
    """That are in the namespace when they are Ready and were not before, the LoRAAdapters left out."""
    unloaded: float = float("nan")
    """From just before the first deletion, until no pod serves or has any of them."""


@dataclass(frozen=True, slots=True)
class Creation:
    """One more adapter. Seconds from just before the request."""

    served: float
    """By every pod."""
    ready: float


@dataclass(frozen=True, slots=True)
class Restart:
    """A pod's process is killed, and another one begins in its place. Seconds."""

    told: float
    """From the kill until no adapter is said to be Ready."""
    answers: float
    """From when the new process begins until it answers the operator."""
    half_served: float
    """From then until it serves half of all adapters."""
    served: float
    settled: float
    """From then until the pod may be Ready."""
    ready: float
    """From then until every adapter is said to be Ready."""
    early: int
    """Looks at which the pod might be Ready and did not serve every adapter."""


@dataclass(slots=True)
class Found:
    """The whole run."""

    settings: Settings
    bulks: list[Bulk] = field(default_factory=list)
    idle: Idle | None = None
    creations: list[Creation] = field(default_factory=list)
    restarts: list[Restart] = field(default_factory=list)
    beside_slow: list[float] = field(default_factory=list)
    """Seconds from the creation of an adapter to Ready, a second after the creation of one that loads for long."""


def key_figures(found: Found) -> dict[str, Any]:
    """The last line of the output."""
    last, idle = found.bulks[-1], found.idle
    assert idle is not None
    a_minute = 60 / idle.seconds
    return {
        "adapters": last.count,
        "pods": TWO_PODS.pods,
        "served_s": rounded(last.served),
        "ready_s": rounded(last.ready),
        "unloaded_s": rounded(last.unloaded),
        "objects_per_adapter": rounded(last.objects / last.count),
        "idle_requests_per_min": rounded(a_minute * idle.asked.total, 1),
        "idle_pod_requests_per_min": rounded(a_minute * (idle.told.requests + idle.told.polls) / TWO_PODS.pods, 1),
        "create_served_p50_ms": _ms(MEDIAN(np.array([each.served for each in found.creations]))),
        "create_served_max_ms": _ms(_worst([each.served for each in found.creations])),
        "create_ready_p50_ms": _ms(MEDIAN(np.array([each.ready for each in found.creations]))),
        "create_ready_max_ms": _ms(_worst([each.ready for each in found.creations])),
        "restart_served_s": rounded(_worst([each.served for each in found.restarts])),
        "early": sum(each.early for each in found.restarts),
        "beside_slow_s": rounded(_worst(found.beside_slow)),
    }


def _worst(seconds: Sequence[float]) -> float:
    return max(seconds, default=float("nan"))


def _ms(seconds: float) -> float | None:
    return rounded(seconds * 1000, 1)
