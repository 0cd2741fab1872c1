"""Runs the same load on both servers in turns, and records everything."""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from bench.load import generator
from bench.load.arrivals import Mix, arrivals, asks
from bench.load.client import Client
from bench.load.responses import Response, tokens_between
from bench.overhead.settings import Section, Settings
from bench.served.choice import usable_prompts
from bench.served.recipes import BASE, TARGET_MODULES, Recipe, recipe
from bench.served.world import BASE_NAME, World
from bench.server.admin import Admin
from bench.server.bare import start_bare
from lora_api.runtime_api import DesiredAdapter
from support.runtime_process import RuntimeProcess, start_runtime

MAX_RANK = 16
_WARM_UP_SECONDS = 4.0
# As vLLM's default on CPU: the prefix cache serves neither.
_FLAGS = ("--block-size=128", *TARGET_MODULES)

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Block:
    """Some seconds of load on one server."""

    pair: int
    ours: bool
    tokens_per_second: float
    """With as many clients as the engine takes into one batch."""
    saturated: tuple[Response, ...]
    steady: tuple[Response, ...]


@dataclass(slots=True)
class SectionRun:
    """Everything that is known of one comparison."""

    section: Section
    rate: float = 0.0
    """Requests per second of the steady load."""
    blocks: list[Block] = field(default_factory=list)

    def arm(self, *, ours: bool) -> list[Block]:
        """The blocks of one server, in the order of the pairs."""
        return sorted((block for block in self.blocks if block.ours is ours), key=lambda block: block.pair)


def recipe_of(model: str) -> Recipe:
    """What a served name answers with."""
    return BASE if model == BASE_NAME else recipe(**{model: 1.0})


async def run(folder: Path, world: World, settings: Settings, tell: Tell) -> list[SectionRun]:
    """Starts the runtime once, and beside it one bare vLLM after the other."""
    tell("starting the runtime")
    with _running(_start_ours(folder / "ours", world, settings)) as ours:
        await asyncio.to_thread(ours.wait_until_ready)
        await _serve(ours, world)
        return [await _section(folder, ours, world, settings, section, tell) for section in settings.sections]


async def _section(
    folder: Path, ours: RuntimeProcess, world: World, settings: Settings, section: Section, tell: Tell
) -> SectionRun:
    tell(f"{section.title}: starting the bare vLLM")
    found = SectionRun(section)
    with _running(_start_bare(folder / section.title, world, settings, section)) as bare:
        await asyncio.to_thread(bare.wait_until_ready)
        mix = Mix(
            {model: _prompts_for(model, section, settings, world) for model in section.models},
            dict.fromkeys(section.models, 1.0),
            settings.lengths,
            streams=1.0,
        )
        clients = {True: Client(ours.url, world.prompts), False: Client(bare.url, world.prompts)}
        for client in clients.values():
            await generator.closed_loop(
                client, asks(mix, Random(settings.seed)), settings.clients, time.monotonic() + _WARM_UP_SECONDS
            )
        for index in range(2 * settings.pairs):
            # ABBA: neither server is always the later one
            arm = index % 4 in (1, 2)
            block = await _block(clients[arm], mix, settings, found, index // 2, arm)
            found.blocks.append(block)
            tell(_line(section, settings, block, len(found.blocks)))
        for client in clients.values():
            await client.close()
    return found


def _prompts_for(model: str, section: Section, settings: Settings, world: World) -> list[int]:
    # Beside what is asked here, an answer may be that of the base, if an adapter were left out.
    others = (BASE, *map(recipe_of, section.models))
    return usable_prompts([recipe_of(model)], world.references, others=others, length=min(settings.lengths))


async def _block(client: Client, mix: Mix, settings: Settings, found: SectionRun, pair: int, ours: bool) -> Block:
    # The same requests for both servers of a pair.
    name = f"{settings.seed}/{found.section.title}/{pair}"
    begun = time.monotonic() + settings.ramp_seconds
    end = begun + settings.saturated_seconds
    saturated = await generator.closed_loop(client, asks(mix, Random(name)), settings.clients, end)
    throughput = tokens_between(saturated, begun, end) / settings.saturated_seconds
    if not found.rate:
        found.rate = settings.load * throughput / statistics.fmean(settings.lengths)
    schedule = arrivals(mix, found.rate, settings.steady_seconds, Random(name), burstiness=settings.burstiness)
    steady = await generator.open_loop(client, schedule)
    return Block(pair, ours, throughput, tuple(saturated), tuple(steady))


async def _serve(ours: RuntimeProcess, world: World) -> None:
    specs = {name: world.spec(recipe_of(name)) for name in world.adapters}
    async with Admin(ours.admin_url) as admin:
        inventory = await admin.declare(
            *(DesiredAdapter(name=name, uid=name, serve=spec) for name, spec in specs.items())
        )
        want = {name: spec.revision for name, spec in specs.items()}
        await admin.until(inventory, lambda found: {a.name: a.serving for a in found.adapters} == want)


@contextmanager
def _running(process: RuntimeProcess) -> Iterator[RuntimeProcess]:
    try:
        yield process
    finally:
        process.stop()


def _start_ours(folder: Path, world: World, settings: Settings) -> RuntimeProcess:
    return start_runtime(
        folder,
        volumes=world.volumes,
        max_rank=MAX_RANK,
        max_resident=settings.max_resident,
        max_cached=settings.max_cached,
        flags=_FLAGS,
    )


def _start_bare(folder: Path, world: World, settings: Settings, section: Section) -> RuntimeProcess:
    return start_bare(
        folder,
        base=world.volumes / "models" / BASE_NAME,
        served_name=BASE_NAME,
        adapters=world.adapters,
        max_rank=MAX_RANK,
        max_resident=settings.max_resident,
        max_cached=settings.max_cached,
        plugins=section.plugins,
        flags=_FLAGS,
    )


def _line(section: Section, settings: Settings, block: Block, number: int) -> str:
    return (
        f"{section.title}: block {number}/{2 * settings.pairs} on {'the runtime' if block.ours else 'bare vLLM'}: "
        f"{block.tokens_per_second:.1f} tokens/s, then {len(block.steady)} requests"
    )
