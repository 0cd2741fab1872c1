"""What the swap benchmark makes of its records."""

import json
import math

import pytest

from bench.checking.timeline import Timeline
from bench.checking.verdicts import Verdict
from bench.load.arrivals import Ask
from bench.load.responses import Response
from bench.served.recipes import recipe
from bench.served.reference import Expected
from bench.served.world import Model
from bench.server.resources import Sample
from bench.swap.page import document, page
from bench.swap.part import PartRun, Phase
from bench.swap.plan import REBORN, Kind, Swap
from bench.swap.results import PartResult, key_figures, result_of
from bench.swap.settings import RESIDENT, settings
from bench.swap.swapper import Done

SERVED = recipe(pirate=1.0)
OUTPUT = (1, 2, 3)
MACHINE = {
    "cpu": "a CPU", "cores": 2, "memory_gib": 8.0, "kernel": "6.1", "python": "3.11", "vllm": "0.32", "torch": "2.13",
    "load_average": 0.1,
}  # fmt: skip


def a_response(*, latency: float, model: str = "x", tokens: tuple[int, ...] = OUTPUT, gap: float = 0.1) -> Response:
    times = tuple(100 + latency - gap * (2 - n) for n in range(3))
    return Response(Ask(0.0, model, 0, True, 3), 100.0, 100.0, 100 + latency, 200, tokens, model, token_times=times)


def a_run(*, slower: float = 1.0, torn: int = 0, mib_per_swap: float = 0.0, reborn_latency: float = 1.0) -> PartRun:
    """Four phases in the order ABBA; with swaps, latency and gaps are `slower` times as long."""
    run = PartRun(RESIDENT)
    for index, swaps in enumerate((False, True, True, False)):
        factor = slower if swaps else 1.0
        good = [a_response(latency=factor * (1 + n / 100), gap=factor * 0.1) for n in range(100)]
        bad = [a_response(latency=1.0, tokens=(1, 2, 9)) for _ in range(torn if index == 1 else 0)]
        apart = [a_response(latency=reborn_latency if swaps else 1.0, model=REBORN.name)]
        run.phases.append(Phase(index // 2, swaps, (*good, *bad, *apart), 5 if swaps else 0, {}))
    run.timelines = {"x": Timeline(SERVED, at=0.0), REBORN.name: Timeline(SERVED, at=0.0)}
    run.done = [Done(Swap("x", Kind.WEIGHT, SERVED), float(n), n + 0.25) for n in range(10)]
    # a swap in every other second, and half a MiB a second for load alone
    run.samples = [
        Sample(
            float(n), n // 2, {"server": 100.0, "Worker": 500 + mib_per_swap * (n // 2) + 0.5 * n}, {"server": 10}, {}
        )
        for n in range(40)
    ]
    return run


def a_result(run: PartRun) -> PartResult:
    return result_of(run, {SERVED: (Expected(OUTPUT, math.inf),)}, seed=0)


def test_equal_phases_have_ratio_1() -> None:
    key = key_figures([a_result(a_run())])
    assert (key["latency_p99_ratio"], key["itl_p99_ratio"]) == (1.0, 1.0)
    assert (key["failed"], key["torn"], key["stale"], key["swaps"]) == (0, 0, 0, 10)


def test_slower_phases_with_swaps_are_seen() -> None:
    key = key_figures([a_result(a_run(slower=1.5))])
    assert (key["latency_p99_ratio"], key["itl_p99_ratio"]) == (1.5, 1.5)


def test_a_torn_response_is_counted_and_told() -> None:
    result = a_result(a_run(torn=2))
    assert key_figures([result])["torn"] == 2
    assert [j.verdict for j in result.wrong] == [Verdict.TORN] * 2


def test_responses_of_every_engine_count_but_times_are_those_of_the_first() -> None:
    key = key_figures([a_result(a_run()), a_result(a_run(slower=3.0, torn=1))])
    assert (key["torn"], key["swaps"], key["latency_p99_ratio"]) == (1, 20, 1.0)


def test_the_times_of_the_name_that_is_deleted_count_in_neither_arm() -> None:
    assert key_figures([a_result(a_run(reborn_latency=50.0))])["latency_p99_ratio"] == 1.0


def test_a_leak_is_told_per_100_swaps_and_apart_from_what_load_alone_takes() -> None:
    result = a_result(a_run(mib_per_swap=0.2))
    assert key_figures([result])["leak_mib_per_100_swaps"] == pytest.approx(20)
    assert key_figures([result])["drift_mib_per_minute"] == pytest.approx(30)
    assert result.leaks["server"].per_unit == 0


def test_the_page_says_what_the_figures_say_and_the_json_has_no_nan() -> None:
    results = [a_result(a_run(slower=1.5, torn=1))]
    wanted = settings(Model.TINY, seed=0, load=0.6, pairs=2, phase_seconds=5, quick=False)
    key = key_figures(results)
    text = page(wanted, results, key, MACHINE, 60)
    assert "1 torn" in text
    assert "is the output of none of pirate 1" in text
    assert "| latency | p99 | 1.980 s | 2.970 s | 1.500 (1.500 to 1.500) |" in text
    json.dumps(document(wanted, results, key, MACHINE, 60), allow_nan=False)
