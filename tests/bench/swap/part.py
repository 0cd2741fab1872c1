"""Runs one engine through its phases, with load and swaps, and records everything."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from bench.checking.timeline import Timeline
from bench.load import generator
from bench.load.arrivals import Mix, arrivals, asks, zipf
from bench.load.client import Client
from bench.load.responses import Response
from bench.served.choice import usable_prompts
from bench.served.recipes import BASE
from bench.served.world import BASE_NAME, World
from bench.server.admin import Admin
from bench.server.resources import Sample, Sampler, folder_mib
from bench.swap.plan import Swaps
from bench.swap.settings import REBORN_SHARE, PartSettings, Settings
from bench.swap.swapper import Done, Swapper
from support.runtime_process import RuntimeProcess, start_runtime

MAX_RANK = 16

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Phase:
    """Some seconds of load."""

    pair: int
    swaps: bool
    responses: tuple[Response, ...]
    swaps_made: int
    cpu_seconds: Mapping[str, float]
    """Of each process of the server, and of the clients."""


@dataclass(slots=True)
class PartRun:
    """Everything that is known of one engine's run."""

    settings: PartSettings
    capacity: float = 0.0
    """Requests per second that the engine does when it always has enough."""
    rate: float = 0.0
    """Requests per second that were sent."""
    phases: list[Phase] = field(default_factory=list)
    others: list[Response] = field(default_factory=list)
    """Those of the calibration: checked, not measured."""
    timelines: dict[str, Timeline] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    store_mib: list[float] = field(default_factory=list)
    """Size of the runtime's store after each phase."""


async def run_part(folder: Path, world: World, settings: Settings, part: PartSettings, tell: Tell) -> PartRun:
    """Starts a runtime, runs all phases, ends it."""
    tell(f"{part.title}: starting the engine ({part.max_resident} resident, {part.max_cached} cached)")
    runtime = start_runtime(
        folder / part.title,
        volumes=world.volumes,
        max_rank=MAX_RANK,
        max_resident=part.max_resident,
        max_cached=part.max_cached,
        flags=part.flags,
    )
    try:
        await asyncio.to_thread(runtime.wait_until_ready)
        return await _Runner(runtime, folder / part.title, world, settings, part, tell).run()
    finally:
        await asyncio.to_thread(runtime.stop)


def mix_of(world: World, part: PartSettings) -> Mix:
    """All names that are loaded, and the base; each is asked only what tells its recipes apart."""
    names = [name.name for name in part.names]
    shares = zipf(names) if part.spread else dict.fromkeys(names, 1.0)
    shares[BASE_NAME] = sum(shares.values()) / len(shares)
    shares[part.reborn.name] = sum(shares.values()) * REBORN_SHARE
    pools = {name.name: name.pool for name in (*part.names, part.reborn)} | {BASE_NAME: (BASE,)}
    served = {BASE, *(recipe for pool in pools.values() for recipe in pool)}
    prompts = {name: usable_prompts(pool, world.references, others=served) for name, pool in pools.items()}
    return Mix(prompts, shares, (world.max_tokens,))


class _Runner:
    def __init__(
        self, runtime: RuntimeProcess, folder: Path, world: World, settings: Settings, part: PartSettings, tell: Tell
    ) -> None:
        self._runtime = runtime
        self._folder = folder
        self._world = world
        self._settings = settings
        self._part = part
        self._tell = tell
        self._mix = mix_of(world, part)
        self._client = Client(runtime.url, world.prompts)
        self._sampler = Sampler(runtime.process.pid)
        self._run = PartRun(part)

    async def run(self) -> PartRun:
        run, part = self._run, self._part
        async with Admin(self._runtime.admin_url) as admin:
            swapper = Swapper(admin, self._world)
            served = await swapper.begin((*part.names, part.reborn))
            run.timelines, run.done = swapper.timelines, swapper.done
            run.timelines[BASE_NAME] = Timeline(BASE, time.monotonic())
            swaps = Swaps((*part.names, part.reborn), served, Random(self._settings.seed))
            await self._calibrate()
            sampling = asyncio.create_task(self._sampler.run())
            try:
                for index in range(2 * part.pairs):
                    # ABBA: neither kind of phase is always the later one
                    swapping = index % 4 in (1, 2)
                    run.phases.append(await self._phase(index // 2, swapper if swapping else None, swaps))
                    run.store_mib.append(await asyncio.to_thread(folder_mib, self._folder / "store"))
            finally:
                sampling.cancel()
                with suppress(asyncio.CancelledError):
                    await sampling
                await self._client.close()
        run.samples = self._sampler.samples
        return run

    async def _calibrate(self) -> None:
        """Finds out what the engine does when it always has enough to do, after everything has been used once."""
        endless = asks(self._mix, Random(self._settings.seed))
        clients = self._settings.clients
        self._run.others += await generator.closed_loop(self._client, endless, clients, time.monotonic() + 3)
        began = time.monotonic()
        deadline = began + self._settings.calibration_seconds
        found = await generator.closed_loop(self._client, endless, clients, deadline)
        self._run.capacity = len(found) / (max(r.ended for r in found) - began)
        self._run.others += found
        self._run.rate = self._run.capacity * self._settings.load
        self._tell(
            f"{self._part.title}: {self._run.capacity:.2f} requests/s at most; sending {self._run.rate:.2f} per second"
        )

    async def _phase(self, pair: int, swapper: Swapper | None, swaps: Swaps) -> Phase:
        # The same arrivals in both phases of a pair: only the swaps differ.
        random = Random(f"{self._settings.seed}/{self._part.title}/{pair}")
        schedule = arrivals(self._mix, self._run.rate, self._part.phase_seconds, random)
        before = len(self._run.done)
        cpu = self._cpu_seconds()
        swapping = asyncio.create_task(self._swap(swapper, swaps)) if swapper is not None else None
        responses = await generator.open_loop(self._client, schedule)
        if swapping is not None:
            await swapping
        made = len(self._run.done) - before
        spent = {name: seconds - cpu.get(name, 0.0) for name, seconds in self._cpu_seconds().items()}
        phase = Phase(pair, swapper is not None, tuple(responses), made, spent)
        self._tell(self._line(phase))
        return phase

    def _cpu_seconds(self) -> dict[str, float]:
        return self._sampler.look().cpu_seconds | {"clients": time.process_time()}

    async def _swap(self, swapper: Swapper, swaps: Swaps) -> None:
        begun = time.monotonic()
        due = self._part.swap_every_seconds / 2
        while due < self._part.phase_seconds:
            await asyncio.sleep(max(0.0, begun + due - time.monotonic()))
            await swapper.make(swaps.next())
            self._sampler.swaps += 1
            due = max(due + self._part.swap_every_seconds, time.monotonic() - begun)

    def _line(self, phase: Phase) -> str:
        latencies = sorted(r.latency for r in phase.responses if r.status == 200)
        worst = f"{latencies[-1]:.2f} s" if latencies else "none answered"
        return (
            f"{self._part.title}: phase {len(self._run.phases) + 1}/{2 * self._part.pairs} "
            f"{f'with {phase.swaps_made} swaps' if phase.swaps else 'without swaps'}: "
            f"{len(phase.responses)} requests, slowest {worst}"
        )
