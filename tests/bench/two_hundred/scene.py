"""Two hundred adapters on two pods: created, deleted, added to, restarted under."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.scale.board import Late
from bench.scale.pods import Pods, Seen
from bench.scale.run import Idle
from bench.scale.world import World, connect, world_of
from bench.two_hundred.results import Bulk, Creation, Found, Restart
from bench.two_hundred.settings import TWO_PODS, Settings
from local_cluster import Cluster

Tell = Callable[[str], None]

_LOOK_SECONDS = 0.01
_QUIET_SECONDS = 3.0
_PATIENCE_SECONDS = 120.0
_BEHIND_SECONDS = 1.0
"""So long after one that loads for long, the other is created."""


async def run(cluster: Cluster, folder: Path, settings: Settings, tell: Tell) -> Found:
    """Does everything."""
    async with (
        await connect(cluster.kubeconfig) as kube,
        world_of(cluster, kube, TWO_PODS, folder) as world,
        world.board,
    ):
        await world.declare_models()
        async with world.operated():
            pods = await world.start_pods(settings.slow_seconds, spares=settings.restarts)
            return await _Scene(cluster, world, pods, settings, tell).play()


class _Scene:
    def __init__(self, cluster: Cluster, world: World, pods: Pods, settings: Settings, tell: Tell) -> None:
        self._cluster, self._world, self._pods, self._settings, self._tell = cluster, world, pods, settings, tell
        self._found = Found(settings)

    async def play(self) -> Found:
        found, settings = self._found, self._settings
        await self._one_more(0)  # until when the pods are known
        *others, last = settings.bulks
        for count in others:
            found.bulks.append(bulk := await self._create(count))
            await self._delete(bulk)
        found.bulks.append(bulk := await self._create(last))
        found.idle = await self._idle()
        found.creations += [await self._one_more(last) for _ in range(settings.creations)]
        found.restarts += [await self._restart(index, last) for index in range(settings.restarts)]
        found.beside_slow += [await self._beside_slow(last) for _ in range(settings.slow)]
        await self._delete(bulk)
        return found

    async def _create(self, count: int) -> Bulk:
        board, names = self._world.board, _names(0, count)
        objects = await self._objects()
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            half = group.create_task(self._pods_until(lambda seen: seen.served >= count / 2))
            served = group.create_task(self._pods_until(lambda seen: seen.served >= count))
            ready = await board.until_ready(await self._world.create(names))
        made = await self._objects() - objects
        self._tell(f"{count} at once: served by all {served.result() - began:.2f} s, Ready {ready - began:.2f} s")
        return Bulk(count, half.result() - began, served.result() - began, ready - began, made)

    async def _delete(self, bulk: Bulk) -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            unloaded = group.create_task(self._pods_until(lambda seen: not seen.served and not seen.loaded))
            await self._world.delete(list(self._world.adapters))
        bulk.unloaded = unloaded.result() - began
        self._tell(f"{bulk.count} deleted: unloaded {bulk.unloaded:.2f} s")
        await asyncio.sleep(_QUIET_SECONDS)

    async def _idle(self) -> Idle:
        await asyncio.sleep(_QUIET_SECONDS)
        self._world.audit.skip()
        before = self._pods.traffic()
        await asyncio.sleep(self._settings.idle_seconds)
        idle = Idle(self._settings.idle_seconds, self._world.audit.read(), self._pods.traffic().since(before))
        self._tell(f"idle {idle.seconds:.0f} s: {dict(idle.asked.counts)}, {idle.told.polls} polls")
        return idle

    async def _one_more(self, there: int) -> Creation:
        [name] = names = _names(there, there + 1)
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            served = group.create_task(self._pods_until(lambda seen: seen.served > there))
            ready = await self._world.board.until_ready(await self._world.create(names))
        await self._remove(name, there)
        return Creation(served.result() - began, ready - began)

    async def _remove(self, name: str, there: int) -> None:
        await self._world.delete([name])
        await self._pods_until(lambda seen: seen.loaded == there)
        await asyncio.sleep(0.3)

    async def _restart(self, index: int, count: int) -> Restart:
        world, board = self._world, self._world.board
        began = time.monotonic()
        self._pods.kill(index)
        await world.say_ready(index, ready=False)
        await board.until(lambda: not any(generation for generation, _ in board.ready.values()), lambda: "still Ready")
        told = time.monotonic() - began
        began = time.monotonic()
        await asyncio.to_thread(self._pods.begin_anew, index)
        answers = time.monotonic() - began
        began, early, half, served = time.monotonic(), 0, float("nan"), float("nan")
        while True:
            seen, after = self._pods.look()[index], time.monotonic() - began
            half = after if half != half and seen.served >= count / 2 else half
            served = after if served != served and seen.served >= count else served
            early += seen.settled and seen.served < count
            if seen.settled and seen.served >= count:
                break
            if after > _PATIENCE_SECONDS:
                raise Late(f"a pod that began anew serves {seen.served} of {count}")
            await asyncio.sleep(_LOOK_SECONDS / 10)
        await world.say_ready(index, ready=True)
        ready = await board.until_ready(world.adapters) - began
        self._tell(f"pod {index} began anew: serves all {served:.2f} s after it answers, may be Ready {after:.2f} s")
        return Restart(told, answers, half, served, after, ready, early)

    async def _beside_slow(self, there: int) -> float:
        world = self._world
        slow = await world.create(["slow-0"])
        await asyncio.sleep(_BEHIND_SECONDS)
        [name] = names = _names(there, there + 1)
        began = time.monotonic()
        ready = await world.board.until_ready(await world.create(names)) - began
        if "slow-0" in {name for name, (generation, _) in world.board.ready.items() if generation}:
            raise Late("the slow adapter was loaded before the one beside it")
        await world.board.until_ready(slow)
        await world.delete(["slow-0"])
        await self._remove(name, there)
        self._tell(f"beside one that loads for {self._settings.slow_seconds:.0f} s: Ready {ready:.3f} s")
        return ready

    async def _pods_until(self, true: Callable[[Seen], bool]) -> float:
        """When it is first true of every pod."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not all(map(true, self._pods.look())):
            if time.monotonic() > deadline:
                raise Late(f"the pods do not come to what is wanted: {self._pods.look()}")
            await asyncio.sleep(_LOOK_SECONDS)
        return time.monotonic()

    async def _objects(self) -> int:
        """How many there are in the namespace: all but LoRAAdapters, and Events, which go by themselves."""
        kinds = await self._kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name")
        counted = [kind for kind in kinds if kind.split(".")[0] not in ("events", "loraadapters")]
        return len(await self._kubectl("get", ",".join(counted), "-n", self._world.namespace, "--output=name"))

    async def _kubectl(self, *arguments: str) -> Sequence[str]:
        return (await asyncio.to_thread(self._cluster.kubectl, *arguments)).split()


def _names(start: int, end: int) -> list[str]:
    return [f"a-{number:05}" for number in range(start, end)]
