"""What the overhead benchmark makes of its records."""

import json
import math
from dataclasses import replace

from bench.load.arrivals import Ask
from bench.load.responses import Response, tokens_between
from bench.overhead.page import document, page
from bench.overhead.results import SectionResult, key_figures, result_of
from bench.overhead.run import Block, SectionRun
from bench.overhead.settings import SECTIONS, settings
from bench.served.recipes import recipe
from bench.served.reference import Expected
from bench.served.world import Model

OUTPUT = (1, 2, 3)
REFERENCES = {recipe(pirate=1.0): (Expected(OUTPUT, math.inf),)}
MACHINE = {
    "cpu": "a CPU", "cores": 2, "memory_gib": 8.0, "kernel": "6.1", "python": "3.11", "vllm": "0.32", "torch": "2.13",
    "load_average": 0.1,
}  # fmt: skip


def a_response(*, first: float = 1.0, gap: float = 0.1, tokens: tuple[int, ...] = OUTPUT) -> Response:
    times = (first, first + gap, first + 2 * gap)
    return Response(
        Ask(0.0, "pirate", 0, True, 3),
        0.0,
        0.0,
        times[-1],
        200,
        tokens,
        "pirate",
        token_times=times,
        token_counts=(1,) * 3,
    )


def a_result(*, slower: float = 1.0, wrong: int = 0) -> SectionResult:
    run = SectionRun(SECTIONS[0], rate=2.0)
    for index, ours in enumerate((False, True, True, False)):
        factor = slower if ours else 1.0
        steady = [a_response(first=factor, gap=factor * 0.1) for _ in range(20)]
        steady += [a_response(tokens=(9, 9, 9)) for _ in range(wrong if index == 0 else 0)]
        run.blocks.append(Block(index // 2, ours, 100 / factor, (), tuple(steady)))
    return result_of(run, REFERENCES, seed=0)


def test_equal_servers_have_ratio_1() -> None:
    key = key_figures([a_result()])
    assert (key["throughput_ratio"], key["ttft_p99_ratio"], key["itl_p99_ratio"]) == (1.0, 1.0, 1.0)


def test_a_slower_runtime_is_seen_in_every_figure() -> None:
    key = key_figures([a_result(slower=1.25)])
    assert (key["throughput_ratio"], key["ttft_p50_ratio"], key["itl_p50_ratio"]) == (0.8, 1.25, 1.25)


def test_a_wrong_answer_is_counted_for_the_server_that_gave_it() -> None:
    result = a_result(wrong=3)
    assert result.wrong == {"runtime": 0, "bare": 3}
    assert key_figures([result])["wrong"] == 3


def test_only_tokens_that_came_in_the_window_count() -> None:
    assert tokens_between([a_response(first=1.0, gap=0.5)], 0.9, 1.6) == 2
    late = replace(a_response(first=1.0, gap=0.5), token_times=(1.0, 1.5), token_counts=(1, 2))
    assert tokens_between([late], 1.1, 1.6) == 2, "two in one chunk"


def test_the_page_says_what_the_figures_say_and_the_json_has_no_nan() -> None:
    results = [a_result(slower=1.25)]
    wanted = settings(Model.TINY, seed=0, load=0.6, burstiness=25.0, pairs=2, quick=True)
    key = key_figures(results)
    assert "| first token | p99 | 1000.0 ms | 1250.0 ms | 1.250 (1.250 to 1.250) |" in page(
        wanted, results, key, MACHINE, 60
    )
    json.dumps(document(wanted, results, key, MACHINE, 60), allow_nan=False)
