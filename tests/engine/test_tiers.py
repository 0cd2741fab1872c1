"""More adapters than the engine holds, and more than it can compute with at once."""

import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import pytest

from engine.conftest import SECONDS, World
from lora_api.runtime_api import Inventory, RevisionReport, RevisionSpec, RevisionState

FLOOD = 64
"""Requests at once; the engine computes sixteen."""

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


def test_one_adapters_flood_leaves_the_others_their_share(world: World, many: dict[str, RevisionSpec]) -> None:
    def ask(name: str, tokens: int) -> None:
        assert world.complete(name, max_tokens=tokens).status_code == 200

    with ThreadPoolExecutor(FLOOD + 4) as pool:
        # Of different lengths, so that they end one after the other.
        flood = {pool.submit(ask, "n1", 100 + 10 * (number % 20)) for number in range(FLOOD)}
        wait(flood, return_when=FIRST_COMPLETED)
        quiet = {pool.submit(ask, "n2", 100) for _ in range(4)}
        wait(quiet)
        still_waiting = sum(not request.done() for request in flood)
        for request in (*flood, *quiet):
            request.result()
    assert still_waiting > FLOOD // 4, "first come, first served would end the quiet ones last"


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
