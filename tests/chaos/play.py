"""A run: a world, a driver and an observer, and what came of it."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.checker import Checker, Verdict
from chaos.driver import Driver, NeverQuiet
from chaos.looks import Looks
from chaos.observer import Observer
from chaos.plan import Scene, plan
from chaos.world import World

Tell = Callable[[str], None]


@dataclass(slots=True)
class Result:
    """What a run was, and what it found."""

    seed: int
    steps: int
    seconds: float = 0.0
    kinds: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    """How often a status began to say why its object was not Ready."""
    kills: int = 0
    """Steps that killed something."""
    rests: list[float] = field(default_factory=list)
    claims: int = 0
    silent_share: float = 0.0
    """Of the time for which claims stood: when they could not be judged, since the pod did not answer."""
    excused_share: float = 0.0
    """The same, since the operator or its API server was away."""
    looks: Looks = field(default_factory=Looks)
    longest_lie_seconds: float = 0.0
    verdicts: list[Verdict] = field(default_factory=list)
    unsettled: str = ""
    """Why a quiet point did not come."""
    operator_deaths: int = 0
    """How often the operator ended by itself."""

    def key_figures(self) -> dict[str, Any]:
        """The last line of the output."""
        count = {what: sum(each.what == what for each in self.verdicts) for what in ("false ready", "lost", "wrong")}
        return {
            "seed": self.seed,
            "steps": self.steps,
            "kills": self.kills,
            "false_ready": count["false ready"],
            "lost": count["lost"],
            "longest_lie_s": round(self.longest_lie_seconds, 2),
            "wrong": count["wrong"],
            "claims": self.claims,
            "claims_silent_pct": round(100 * self.silent_share, 2),
            "claims_excused_pct": round(100 * self.excused_share, 2),
            "looks": self.looks.count,
            "looks_answered": self.looks.answered,
            "gap_median_s": round(self.looks.gap(0.5), 2),
            "gap_p99_s": round(self.looks.gap(0.99), 2),
            "gap_longest_s": round(self.looks.gap(1.0), 2),
            "quiet_points": len(self.rests),
            "unsettled": int(bool(self.unsettled)),
            "operator_deaths": self.operator_deaths,
        }

    @property
    def is_good(self) -> bool:
        """Whether nothing was found. By itself the operator never ends: it outlasts an API server that is away, see ADR 12."""
        return not self.verdicts and not self.unsettled and not self.operator_deaths


def play(
    world: World, scene: Scene, folder: Path, seed: int, count: int, tell: Tell, patience_seconds: float
) -> Result:
    """Runs a plan in a world; each quiet point must come within so many seconds."""
    result = Result(seed, count)
    began = time.monotonic()
    checker = Checker()
    with _observed(Observer(world, checker, tell)) as observer:
        driver = Driver(world, world.owner, observer, folder / "steps.jsonl", patience_seconds, tell)
        try:
            driver.run(plan(scene, seed, count))
        except NeverQuiet as error:
            result.unsettled = str(error)
            tell(f"never quiet: {error}")
    result.seconds = time.monotonic() - began
    result.steps = driver.done.total()
    result.kinds = {kind.value: number for kind, number in sorted(driver.done.items())}
    result.kills, result.rests = driver.kills, driver.rests
    result.reasons = dict(sorted(observer.reasons.items()))
    result.claims, result.looks = checker.claims, observer.looks
    claimed = checker.judged_seconds + checker.silent_seconds + checker.excused_seconds
    if claimed:
        result.silent_share, result.excused_share = checker.silent_seconds / claimed, checker.excused_seconds / claimed
    result.longest_lie_seconds, result.verdicts = checker.longest_lie_seconds, checker.verdicts
    result.operator_deaths = world.deaths
    return result


@contextlib.contextmanager
def _observed(observer: Observer) -> Iterator[Observer]:
    thread = threading.Thread(target=asyncio.run, args=(observer.run(),))
    thread.start()
    try:
        yield observer
    finally:
        observer.close()
        thread.join(30)
