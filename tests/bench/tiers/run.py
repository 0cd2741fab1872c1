"""Registers thousands of adapters, sends three kinds of load, and records everything."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from bench.load import generator
from bench.load.arrivals import Ask, Mix, arrivals, asks, zipf
from bench.load.client import Client
from bench.load.responses import Response, ended_between, tokens_between
from bench.served.choice import usable_prompts
from bench.served.recipes import TARGET_MODULES
from bench.served.world import World
from bench.server.admin import Admin
from bench.server.resources import Sampler
from bench.tiers.fleet import entry
from bench.tiers.settings import RECIPES, Settings
from lora_api.runtime_api import DesiredAdapter, Inventory
from support.runtime_process import RuntimeProcess, start_runtime

Tell = Callable[[str], None]

_REGISTER_SECONDS = 1200.0
_LOOK_EVERY_SECONDS = 1.0


class NotRegistered(Exception):
    """The runtime did not serve all names in time."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Hot names asked all the time, and some more requests beside them."""

    pair: int
    cold: bool
    """Whether the others were for names that are not in the engine."""
    seconds: float
    hot_tokens: int
    """That the hot names' clients received in that time."""
    extra: tuple[Response, ...]


@dataclass(slots=True)
class Run:
    """Everything that is known."""

    settings: Settings
    register_seconds: float = 0.0
    capacity: float = 0.0
    """Requests per second that the engine does with hot names when it always has enough."""
    memory_mib: dict[str, Mapping[str, float]] = field(default_factory=dict)
    """By moment, then by process."""
    responses: list[Response] = field(default_factory=list)
    """All of them, to be checked."""
    phases: list[Phase] = field(default_factory=list)
    zipf: list[Response] = field(default_factory=list)
    quiet_alone: list[Response] = field(default_factory=list)
    quiet_in_flood: list[Response] = field(default_factory=list)
    flood: list[Response] = field(default_factory=list)


async def run(folder: Path, world: World, settings: Settings, tell: Tell) -> Run:
    """Starts a runtime, does everything, ends it."""
    tell(f"starting the engine ({settings.max_resident} resident, {settings.max_cached} cached)")
    runtime = start_runtime(
        folder / "pod",
        volumes=world.volumes,
        max_rank=16,
        max_resident=settings.max_resident,
        max_cached=settings.max_cached,
        # Long blocks: a name's first request costs its load, and not also the prefix cache that any name must fill.
        flags=("--block-size=128", *TARGET_MODULES),
    )
    try:
        await asyncio.to_thread(runtime.wait_until_ready)
        return await _Runner(runtime, world, settings, tell).run()
    finally:
        await asyncio.to_thread(runtime.stop)


class _Runner:
    def __init__(self, runtime: RuntimeProcess, world: World, settings: Settings, tell: Tell) -> None:
        self._runtime, self._world, self._settings, self._tell = runtime, world, settings, tell
        self._client = Client(runtime.url, world.prompts)
        self._sampler = Sampler(runtime.process.pid)
        self._random = Random(settings.seed)
        self._run = Run(settings)
        usable = {
            recipe: usable_prompts([recipe], world.references, others=RECIPES, length=min(settings.lengths))
            for recipe in RECIPES
        }
        self._prompts: dict[str, Sequence[int]] = {name: usable[settings.recipe(name)] for name in settings.names}
        names = settings.names
        self._hot, self._cold = names[: settings.hot], names[2 * settings.max_cached :]

    async def run(self) -> Run:
        settings, names = self._settings, self._settings.names
        async with Admin(self._runtime.admin_url) as admin:
            await self._register(admin, names[: settings.first])
            # All of the engine's room is taken before memory is compared.
            await self._ask_all(names[: settings.first])
            self._look(f"{settings.first} registered")
            await self._register(admin, names[settings.first :])
            self._look(f"{settings.registered} registered")
            await self._calibrate()
            for index in range(2 * settings.pairs):
                self._run.phases.append(await self._phase(index // 2, cold=index % 4 in (1, 2)))
            await self._zipf()
            self._look("after Zipf traffic")
            await self._flood()
        await self._client.close()
        return self._run

    async def _register(self, admin: Admin, names: Sequence[str]) -> None:
        entries = [await asyncio.to_thread(self._entry, name) for name in names]
        began = time.monotonic()
        inventory = await admin.declare(*entries)
        while (served := _served(inventory)) < len(admin.declared):
            if time.monotonic() > began + _REGISTER_SECONDS:
                raise NotRegistered(f"{served} of {len(admin.declared)} after {_REGISTER_SECONDS:g} s")
            self._tell(f"registering: {served} of {len(admin.declared)}")
            await asyncio.sleep(_LOOK_EVERY_SECONDS if len(names) <= 200 else 10 * _LOOK_EVERY_SECONDS)
            inventory = await admin.look()
        self._run.register_seconds += time.monotonic() - began

    def _entry(self, name: str) -> DesiredAdapter:
        return entry(self._world, name, self._settings.recipe(name))

    def _look(self, moment: str) -> None:
        self._run.memory_mib[moment] = self._sampler.look().memory_mib
        self._tell(f"{moment}: " + ", ".join(f"{k} {v:.0f} MiB" for k, v in self._run.memory_mib[moment].items()))

    async def _ask_all(self, names: Sequence[str]) -> None:
        schedule = [
            Ask(index * 0.05, name, self._prompts[name][0], False, self._world.max_tokens)
            for index, name in enumerate(names)
        ]
        self._run.responses += await generator.open_loop(self._client, schedule)

    def _mix(self, names: Sequence[str], weights: Mapping[str, float] | None = None) -> Mix:
        prompts = {name: self._prompts[name] for name in names}
        return Mix(prompts, weights or dict.fromkeys(names, 1.0), self._settings.lengths, streams=1.0)

    async def _calibrate(self) -> None:
        endless = asks(self._mix(self._hot), self._random)
        self._run.responses += await generator.closed_loop(self._client, endless, 16, time.monotonic() + 3)
        began = time.monotonic()
        until = began + self._settings.phase_seconds
        found = await generator.closed_loop(self._client, endless, 16, until)
        self._run.capacity = ended_between(found, began, until) / self._settings.phase_seconds
        self._run.responses += found
        self._tell(f"{self._run.capacity:.2f} requests/s at most with hot names")

    async def _phase(self, pair: int, *, cold: bool) -> Phase:
        settings = self._settings
        # The same arrivals in both phases of a pair: only whom they ask differs.
        schedule = self._extra(Random(f"{settings.seed}/{pair}"), self._cold if cold else self._hot)
        endless = asks(self._mix(self._hot), Random(f"{settings.seed}/{pair}/hot"))
        began = time.monotonic()
        until = began + settings.phase_seconds
        async with asyncio.TaskGroup() as group:
            hot = group.create_task(generator.closed_loop(self._client, endless, settings.hot_clients, until))
            extra = group.create_task(generator.open_loop(self._client, schedule))
        self._run.responses += [*hot.result(), *extra.result()]
        tokens = tokens_between(hot.result(), began, until)
        phase = Phase(pair, cold, settings.phase_seconds, tokens, tuple(extra.result()))
        self._tell(
            f"phase {len(self._run.phases) + 1}/{2 * settings.pairs} with {len(schedule)} more for "
            f"{'cold' if cold else 'hot'} names: hot names got {tokens / settings.phase_seconds:.0f} tokens/s"
        )
        return phase

    def _extra(self, random: Random, names: Sequence[str]) -> list[Ask]:
        settings = self._settings
        at = arrivals(self._mix(self._hot), self._run.capacity * settings.extra_share, settings.phase_seconds, random)
        # Never the same cold name twice in a run, so that each costs a load.
        chosen = self._next_cold(len(at)) if names is self._cold else [random.choice(names) for _ in at]
        return [replace(ask, model=n, prompt=self._prompts[n][0]) for ask, n in zip(at, chosen, strict=True)]

    def _next_cold(self, count: int) -> list[str]:
        taken, self._cold[:] = self._cold[:count], self._cold[count:] + self._cold[:count]
        return taken

    async def _zipf(self) -> None:
        settings, names = self._settings, self._settings.names
        mix = self._mix(names, zipf(names))
        schedule = arrivals(mix, self._run.capacity * settings.zipf_load, settings.zipf_seconds, self._random)
        self._run.zipf = await generator.open_loop(self._client, schedule)
        self._run.responses += self._run.zipf
        asked = len({response.ask.model for response in self._run.zipf})
        self._tell(f"Zipf traffic: {len(schedule)} requests for {asked} names")

    async def _flood(self) -> None:
        settings = self._settings
        flooding, quiet = self._hot[0], self._hot[1]
        self._run.quiet_alone = await self._one_after_another(quiet)
        until = time.monotonic() + settings.flood_seconds
        endless: Iterator[Ask] = asks(self._mix([flooding]), self._random)
        flood = asyncio.create_task(generator.closed_loop(self._client, endless, settings.flood_clients, until))
        await asyncio.sleep(min(2.0, settings.flood_seconds / 4))
        self._run.quiet_in_flood = await self._one_after_another(quiet)
        self._run.flood = await flood
        self._run.responses += [*self._run.quiet_alone, *self._run.quiet_in_flood, *self._run.flood]
        self._tell(f"flood: {len(self._run.flood)} requests for one name, {len(self._run.quiet_in_flood)} for another")

    async def _one_after_another(self, name: str) -> list[Response]:
        until = time.monotonic() + self._settings.flood_seconds / 2
        return await generator.closed_loop(self._client, asks(self._mix([name]), self._random), 1, until)


def _served(inventory: Inventory) -> int:
    return sum(adapter.serving is not None for adapter in inventory.adapters)
