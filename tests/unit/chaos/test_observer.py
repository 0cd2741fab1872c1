"""Each pod is judged as its own answer comes."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

from chaos.checker import Checker
from chaos.excuses import Excuses
from chaos.observer import Observer
from chaos.sightings import Answered, Moment
from unit.chaos.moments import NEW, a_wish

PATIENCE_SECONDS = 5.0
SAYS_READY = {"status": {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]}}


def ready(**metadata: str) -> dict[str, Any]:
    return {"metadata": metadata, **SAYS_READY}


class World:
    """Two pods that serve what is wanted; `slow` answers each question when `quick` was asked three times more."""

    def __init__(self) -> None:
        self.pods = SimpleNamespace(objects={name: ready(name=name) for name in ("slow", "quick")}, synced=True)
        self.adapters = SimpleNamespace(objects={"a": ready(uid="uid-a")}, synced=True)
        self.users = SimpleNamespace(wanted=lambda: {"a": a_wish()})
        self.excuses = Excuses()
        self.asked: dict[str, list[float]] = {"slow": [], "quick": []}

    async def served(self, pod: str) -> Answered:
        self.asked[pod].append(time.monotonic())
        often = 3 * len(self.asked["slow"])
        while pod == "slow" and len(self.asked["quick"]) < often:  # noqa: ASYNC110  # as short as can be
            await asyncio.sleep(0.01)
        return Answered("boot-1", {"a": frozenset([NEW])})


async def watched(world: World, checker: Checker, asked: int) -> Moment:
    """What was seen last when `quick` was asked so often."""
    observer = Observer(cast("Any", world), checker, tell=lambda line: None)
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(observer.run())
        while len(world.asked["quick"]) < asked:  # noqa: ASYNC110  # as short as can be
            await asyncio.sleep(0.01)
        seen = observer.moment
        observer.close()
        # Ends the look at `slow` that is under way.
        world.asked["quick"] += [0.0] * 9
    assert seen is not None
    return seen


async def test_a_pod_is_judged_while_another_keeps_silent() -> None:
    checker = Checker()
    await watched(World(), checker, asked=3)
    assert checker.claims >= 2


async def test_what_was_seen_last_is_of_all_pods_and_as_old_as_the_oldest_look_in_it() -> None:
    world = World()
    seen = await watched(world, Checker(), asked=5)
    assert {pod.name for pod in seen.pods if pod.served is not None} == {"slow", "quick"}
    assert seen.at <= world.asked["slow"][0]
