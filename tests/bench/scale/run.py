"""Lets the operator start, idle and follow changes at ever larger numbers of adapters, and records what it took."""

import asyncio
import functools
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.scale.audit import Requests
from bench.scale.board import Late
from bench.scale.pods import Traffic
from bench.scale.settings import ONE_MODEL, TEN_MODELS, Settings, Shape
from bench.scale.world import World, connect, world_of
from local_cluster import Cluster

Tell = Callable[[str], None]

_QUIET_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one kind of change took, of each change on average."""

    seconds: tuple[float, ...]
    """From the edit to Ready, of each."""
    changes: int
    asked: Requests
    """Of the API server, for all of them."""
    told: Traffic
    """The pods, for all of them."""

    @property
    def writes(self) -> float:
        """API writes of one change."""
        return self.asked.writes / self.changes

    @property
    def median_seconds(self) -> float:
        """Of one change."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class Idle:
    """What is asked while nothing happens."""

    seconds: float
    asked: Requests
    told: Traffic

    @property
    def requests_per_minute(self) -> float:
        """Asked of the API server."""
        return 60 * self.asked.total / self.seconds


@dataclass(slots=True)
class Point:
    """Everything that is known of one number of adapters."""

    shape: Shape
    adapters: int
    cold_start_seconds: float = 0.0
    idle: Idle | None = None
    """For some seconds."""
    long_idle: Idle | None = None
    """For longer than the operator's rarest regular work, at some numbers."""
    change: Cost | None = None
    create: Cost | None = None
    burst: int = 0
    burst_seconds: float = 0.0
    burst_asked: Requests | None = None
    rss_mib: float = 0.0
    """Peak of a process that has started with that many, idled and followed changes; the burst counts as well."""
    document_bytes: int = 0
    """Of one model."""


@dataclass(slots=True)
class Run:
    """The whole run."""

    settings: Settings
    points: list[Point] = field(default_factory=list)
    slow: list[list[float]] = field(default_factory=list)
    """Seconds of changes beside an adapter that loads for long, by phase."""
    alone: list[list[float]] = field(default_factory=list)
    """The same without it."""


async def run(cluster: Cluster, folder: Path, settings: Settings, tell: Tell) -> Run:
    """Does everything."""
    done = Run(settings)
    async with await connect(cluster.kubeconfig) as kube:
        for shape, steps in ((ONE_MODEL, settings.growth), (TEN_MODELS, (settings.spread,))):
            async with world_of(cluster, kube, shape, folder) as world:
                await _Runner(world, done, tell).run(steps)
    return done


class _Runner:
    def __init__(self, world: World, done: Run, tell: Tell) -> None:
        self._world, self._done, self._settings, self._tell = world, done, done.settings, tell

    async def run(self, steps: Sequence[int]) -> None:
        world = self._world
        await world.declare_models()
        async with world.board:
            async with world.operated():
                await world.start_pods(self._settings.slow_seconds)
                await world.create(["slow-0"])
                await world.board.until_ready({"slow-0": 1})
                await self._grow(steps[0])
            await world.mount_ca()
            for number, step in enumerate(steps):
                if number:
                    async with world.operated():
                        await self._grow(step)
                self._done.points.append(await self._point(step, last=number == len(steps) - 1))

    async def _grow(self, count: int) -> None:
        began = time.monotonic()
        made = await self._world.create(_names(len(self._world.adapters) - 1, count))
        await self._world.board.until_ready(made)
        self._tell(f"{self._world.shape.name}: {len(made)} more adapters Ready in {time.monotonic() - began:.1f} s")
        await asyncio.sleep(_QUIET_SECONDS)

    async def _point(self, count: int, *, last: bool) -> Point:
        world, settings = self._world, self._settings
        point = Point(world.shape, count)
        world.peak_rss_mib = 0.0
        # What was edited while no operator ran is what a steady one has carried out.
        edited: dict[str, int] = {}
        for index in range(world.shape.models):
            edited |= await world.change(_nth(index))
        began = time.monotonic()
        async with world.operated():
            point.cold_start_seconds = await world.board.until_ready(edited) - began
            self._tell(f"{count} on {world.shape.name}: cold start {point.cold_start_seconds:.1f} s")
            await asyncio.sleep(_QUIET_SECONDS)
            point.idle = await self._idle(settings.idle_seconds)
            if last or count == settings.long_idle_at:
                point.long_idle = await self._idle(settings.long_idle_seconds)
            point.change = await self._changes(settings.changes)
            point.create = await self._creations(max(2, settings.changes // 4), count)
            await self._burst(point, count)
            if last and world.shape is ONE_MODEL:
                await self._beside_a_slow_one()
        point.rss_mib = world.peak_rss_mib
        point.document_bytes = await world.document_bytes("m0")
        self._tell(f"{count} on {world.shape.name}: {point.rss_mib:.0f} MiB, document {point.document_bytes} bytes")
        return point

    async def _idle(self, seconds: float) -> Idle:
        world = self._world
        assert world.pods is not None
        world.audit.skip()
        before = world.pods.traffic()
        await asyncio.sleep(seconds)
        idle = Idle(seconds, world.audit.read(), world.pods.traffic().since(before))
        self._tell(f"idle {seconds:.0f} s: {dict(idle.asked.counts)}, {idle.told.polls} polls")
        return idle

    async def _changes(self, count: int) -> Cost:
        return await self._costs(
            [functools.partial(self._world.change, _nth(number)) for number in range(count)], "change"
        )

    async def _creations(self, count: int, after: int) -> Cost:
        names = _names(after, after + count)
        cost = await self._costs([functools.partial(self._world.create, [name]) for name in names], "creation")
        await self._remove(names)
        return cost

    async def _costs(self, edits: Sequence[Callable[[], Awaitable[dict[str, int]]]], what: str) -> Cost:
        world = self._world
        assert world.pods is not None
        world.audit.skip()
        before = world.pods.traffic()
        seconds = []
        for edit in edits:
            began = time.monotonic()
            wanted = await edit()
            seconds.append(await world.board.until_ready(wanted) - began)
            await asyncio.sleep(0.3)
        await asyncio.sleep(_QUIET_SECONDS)
        cost = Cost(tuple(seconds), len(edits), world.audit.read(), world.pods.traffic().since(before))
        self._tell(
            f"one {what}: {cost.median_seconds:.3f} s, {cost.writes:.2f} API writes {dict(cost.asked.counts)}, "
            f"{cost.told.requests / cost.changes:.1f} pod requests + {cost.told.polls / cost.changes:.1f} polls, "
            f"{cost.told.received_bytes / cost.changes:.0f} bytes to and "
            f"{cost.told.sent_bytes / cost.changes:.0f} from the pods"
        )
        return cost

    async def _burst(self, point: Point, after: int) -> None:
        world = self._world
        names = _names(after, after + self._settings.burst)
        world.audit.skip()
        began = time.monotonic()
        made = await world.create(names)
        created = time.monotonic() - began
        point.burst = len(names)
        point.burst_seconds = await world.board.until_ready(made) - began
        # Events come later.
        await asyncio.sleep(_QUIET_SECONDS)
        point.burst_asked = world.audit.read()
        self._tell(f"burst of {len(names)}: Ready in {point.burst_seconds:.1f} s (all created after {created:.1f} s)")
        await self._remove(names)

    async def _remove(self, names: Sequence[str]) -> None:
        await self._world.delete(names)
        await self._world.board.until_gone(names)
        await asyncio.sleep(_QUIET_SECONDS)

    async def _beside_a_slow_one(self) -> None:
        """Phases in the order ABBA."""
        settings = self._settings
        for index in range(2 * settings.pairs):
            slow = index % 4 in (1, 2)
            phase = await self._phase(slow=slow)
            (self._done.slow if slow else self._done.alone).append(phase)
            self._tell(
                f"phase {index + 1}: {'beside a slow one' if slow else 'alone'} {statistics.median(phase):.3f} s"
            )

    async def _phase(self, *, slow: bool) -> list[float]:
        world = self._world
        awaited: dict[str, int] = {}
        if slow:
            awaited = await world.change("slow-0")
            await asyncio.sleep(0.5)
        seconds = []
        for number in range(self._settings.changes_in_phase):
            began = time.monotonic()
            wanted = await world.change(_nth(number))
            seconds.append(await world.board.until_ready(wanted) - began)
        if slow:
            if world.board.ready["slow-0"][0] >= awaited["slow-0"]:
                raise Late("the slow adapter was loaded before the changes beside it")
            await world.board.until_ready(awaited)
        await asyncio.sleep(1.0)
        return seconds


def _names(start: int, end: int) -> list[str]:
    return [_nth(number) for number in range(start, end)]


def _nth(number: int) -> str:
    return f"a-{number:05}"
