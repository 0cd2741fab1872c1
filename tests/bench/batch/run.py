"""Sends the same prompts in one call and one after another, in turns, and records every answer."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.batch.settings import Settings
from bench.served.choice import usable_prompts
from bench.served.recipes import ADAPTERS, BASE, PURE, TARGET_MODULES, recipe
from bench.served.world import BASE_NAME, World
from bench.server.admin import Admin
from lora_api.runtime_api import DesiredAdapter
from support.runtime_process import RuntimeProcess, start_runtime

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt for one adapter."""

    adapter: str
    prompt: int
    """Index in the world."""


@dataclass(frozen=True, slots=True)
class Round:
    """All prompts once."""

    together: bool
    """In one call; else one after another."""
    seconds: float
    answers: tuple[tuple[int, ...], ...]
    """Tokens, in the order of what was asked."""


@dataclass(slots=True)
class Run:
    """Everything that is known."""

    settings: Settings
    asked: tuple[Asked, ...]
    rounds: list[Round] = field(default_factory=list)


async def run(folder: Path, world: World, settings: Settings, tell: Tell) -> Run:
    """Starts a runtime, does everything, ends it."""
    tell("starting the engine")
    # Long blocks: no round finds in the prefix cache what an earlier one left.
    flags = ("--block-size=128", *TARGET_MODULES)
    runtime = start_runtime(
        folder / "pod", volumes=world.volumes, max_rank=16, max_resident=len(ADAPTERS), max_cached=8, flags=flags
    )
    try:
        await asyncio.to_thread(runtime.wait_until_ready)
        await _serve(runtime, world)
        return await _rounds(runtime, world, Run(settings, _asked(world, settings)), tell)
    finally:
        await asyncio.to_thread(runtime.stop)


async def _rounds(runtime: RuntimeProcess, world: World, made: Run, tell: Tell) -> Run:
    async with httpx.AsyncClient(base_url=runtime.url, timeout=300) as client:
        await _round(client, world, made.asked, together=True)
        for index in range(2 * made.settings.pairs):
            found = await _round(client, world, made.asked, together=index % 4 in (0, 3))
            made.rounds.append(found)
            how = "in one call" if found.together else "one after another"
            tell(f"round {index + 1}/{2 * made.settings.pairs}: {len(made.asked)} prompts {how}: {found.seconds:.2f} s")
    return made


async def _round(client: httpx.AsyncClient, world: World, asked: Sequence[Asked], *, together: bool) -> Round:
    began = time.monotonic()
    if together:
        names = [one.adapter for one in asked]
        more = {"prompt_to_adapter_mapping": names}
        answers = await _answers(client, world, BASE_NAME, [world.prompts[one.prompt] for one in asked], more)
    else:
        answers = [
            answer
            for one in asked
            for answer in await _answers(client, world, one.adapter, [world.prompts[one.prompt]], {})
        ]
    return Round(together, time.monotonic() - began, tuple(answers))


async def _answers(
    client: httpx.AsyncClient, world: World, model: str, prompts: Sequence[Sequence[int]], more: dict[str, Any]
) -> list[tuple[int, ...]]:
    body = {
        "model": model,
        "prompt": prompts,
        "max_tokens": world.max_tokens,
        "temperature": 0,
        "ignore_eos": True,
        "return_token_ids": True,
        **more,
    }
    answer = (await client.post("/v1/completions", json=body)).raise_for_status().json()
    return [tuple(choice["token_ids"]) for choice in answer["choices"]]


def _asked(world: World, settings: Settings) -> tuple[Asked, ...]:
    """The adapters in turn, each with prompts to which its answer is like nobody else's."""
    usable = {
        name: usable_prompts([recipe(**{name: 1.0})], world.references, others=(BASE, *PURE)) for name in ADAPTERS
    }
    turns = [divmod(number, len(ADAPTERS)) for number in range(settings.prompts)]
    return tuple(
        Asked(name, usable[name][turn % len(usable[name])]) for turn, name in ((t, ADAPTERS[n]) for t, n in turns)
    )


async def _serve(runtime: RuntimeProcess, world: World) -> None:
    specs = {name: world.spec(recipe(**{name: 1.0})) for name in ADAPTERS}
    async with Admin(runtime.admin_url) as admin:
        inventory = await admin.declare(
            *(DesiredAdapter(name=name, uid=name, serve=spec) for name, spec in specs.items())
        )
        want = {name: spec.revision for name, spec in specs.items()}
        await admin.until(inventory, lambda found: {a.name: a.serving for a in found.adapters} == want)
