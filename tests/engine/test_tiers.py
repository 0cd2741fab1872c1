"""More adapters than the engine holds, and more than it can compute with at once."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from engine.conftest import SECONDS, World
from lora_api.runtime_api import Inventory, RevisionReport, RevisionSpec, RevisionState

FLOOD = 64
"""Requests at once; the engine computes sixteen."""
QUIET = 4
"""Requests of another adapter that come after them."""

NAMES = 14
"""The engine of this folder holds ten adapters, of which four can be in use at once."""


def weight_of(number: int) -> float:
    return round(0.2 + number / 20, 2)


@pytest.fixture
def many(world: World) -> Iterator[dict[str, RevisionSpec]]:
    """Many served names, each with another revision; the one served longest ago is out of the engine."""
    specs = {f"n{number}": world.spec(("a", weight_of(number))) for number in range(NAMES)}
    world.serve(**specs)
    yield specs
    world.serve()


def test_every_one_of_more_adapters_than_fit_answers_as_peft_does(world: World, many: dict[str, RevisionSpec]) -> None:
    expected = {f"n{n}": world.reference(("a", weight_of(n))) for n in range(NAMES)}
    for _ in range(2):
        assert {name: world.tokens(name) for name in many} == expected


def test_more_adapters_at_once_than_slots_are_all_answered(world: World, many: dict[str, RevisionSpec]) -> None:
    expected = {f"n{n}": world.reference(("a", weight_of(n))) for n in range(NAMES)}
    with ThreadPoolExecutor(2 * NAMES) as pool:
        asked = [(name, pool.submit(world.tokens, name)) for name in list(many) * 3]
        wrong = [name for name, answer in asked if answer.result(SECONDS) != expected[name]]
    assert wrong == []


def test_a_cold_adapter_is_updated_without_a_wrong_answer(world: World, many: dict[str, RevisionSpec]) -> None:
    cold = "n0"
    for name in list(many)[1:]:
        world.tokens(name)
    world.serve(**{**many, cold: world.spec(("b", 1.0))})
    assert world.tokens(cold) == world.reference(("b", 1.0))


async def test_one_adapters_flood_leaves_the_others_their_share(world: World, many: dict[str, RevisionSpec]) -> None:
    flooding, quiet = "n1", "n2"
    for name in (flooding, quiet):
        world.tokens(name)
    ended: list[str] = []
    asked: asyncio.Queue[None] = asyncio.Queue()

    async def told(event: str, _: object) -> None:
        if event == "http11.send_request_body.complete":
            asked.put_nowait(None)

    async def ask(name: str, tokens: int) -> None:
        body = world.completion(name, max_tokens=tokens)
        answer = await http.post("/v1/completions", json=body, extensions={"trace": told})
        assert answer.status_code == 200
        ended.append(name)

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(base_url=world.runtime.url, timeout=60, limits=limits) as http,
        asyncio.TaskGroup() as group,
    ):
        # All have come before the first can end, however slow this program is.
        with world.runtime.engine_held():
            for number in range(FLOOD):
                # Of different lengths, so that they end one after the other.
                group.create_task(ask(flooding, 200 + 10 * (number % 20)))
            for _ in range(FLOOD):
                await asked.get()
            for _ in range(QUIET):
                group.create_task(ask(quiet, 100))
            for _ in range(QUIET):
                await asked.get()
    last = max(place for place, name in enumerate(ended) if name == quiet)
    assert last < FLOOD // 2, "first come, first served would end the quiet ones last"


def test_an_adapter_that_cannot_be_loaded_is_refused_alone_reported_and_served_again_when_it_can(
    world: World, many: dict[str, RevisionSpec]
) -> None:
    cold, revision = "n0", many["n0"].revision
    for name in list(many)[1:]:
        world.tokens(name)
    (version,) = world.store.glob(f"versions/{revision}-*")
    hidden = version.with_name("hidden")
    version.rename(hidden)
    try:
        answer = world.complete(cold)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert cold in answer.json()["error"]["message"]
        assert world.tokens("n1") == world.reference(("a", weight_of(1)))
        reported = world.until(lambda found: _report(found, cold).state is RevisionState.FAILED)
        assert "when a request wanted it" in _report(reported, cold).message
    finally:
        hidden.rename(version)
    deadline = time.monotonic() + SECONDS
    while world.complete(cold).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    world.until(lambda found: _report(found, cold).state is RevisionState.SERVING)


def _report(inventory: Inventory, name: str) -> RevisionReport:
    adapter = inventory.adapter(name)
    assert adapter is not None
    return adapter.revisions[0]
