"""Scalings are copied from the slots of the KV cache when a request ends, before others get the slots."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lora_runtime.mixture.vllm import kept_scalings
from lora_runtime.mixture.vllm.kept_scalings import KeptScalings
from lora_runtime.mixture.vllm.worker import MixtureWorker

BLOCK = 4


@dataclass
class New:
    req_id: str
    num_computed_tokens: int
    block_ids: tuple[list[int], ...]


@dataclass
class Cached:
    req_ids: list[str] = field(default_factory=list)
    num_computed_tokens: list[int] = field(default_factory=list)
    new_block_ids: list[tuple[list[int], ...] | None] = field(default_factory=list)
    resumed_req_ids: set[str] = field(default_factory=set)


@dataclass
class Scheduled:
    num_scheduled_tokens: dict[str, int] = field(default_factory=dict)
    scheduled_new_reqs: list[New] = field(default_factory=list)
    scheduled_cached_reqs: Cached = field(default_factory=Cached)
    finished_req_ids: set[str] = field(default_factory=set)
    preempted_req_ids: set[str] | None = None


@dataclass
class Runner:
    """Is told steps."""

    rows: torch.Tensor

    def execute_model(self, scheduled: Any) -> None:
        pass


def a_worker(requests: int = 8, window: int | None = None) -> tuple[Runner, KeptScalings]:
    rows = torch.arange(8 * BLOCK + 1, dtype=torch.float16)[:, None].repeat(1, 2)
    runner = Runner(rows)
    return runner, KeptScalings(runner, rows, BLOCK, requests, window)


def tokens(found: torch.Tensor | None) -> list[int] | None:
    return None if found is None else [int(value) for value in found[:, 0]]


def serve(
    runner: Runner,
    name: str,
    blocks: list[int],
    prompt: int,
    cached: int = 0,
    more: int = 0,
    later: tuple[int, ...] = (),
) -> None:
    """A request from its first step to the step after its last; `later` blocks it gets with its second step."""
    runner.execute_model(Scheduled({name: prompt - cached}, [New(name, cached, (blocks,))]))
    for step in range(more):
        given = (list(later),) if later and step == 0 else None
        runner.execute_model(Scheduled({name: 1}, scheduled_cached_reqs=Cached([name], [prompt + step], [given])))
    runner.execute_model(Scheduled(finished_req_ids={name}))


def test_those_of_all_computed_tokens_are_kept_with_what_was_cached_before() -> None:
    runner, kept = a_worker()
    serve(runner, "cmpl-a-0-12345678", [5, 2], prompt=7, cached=4, more=3, later=(0,))
    runner.rows.zero_()  # others have the slots now
    assert tokens(kept.of("cmpl-a-0")) == [20, 21, 22, 23, 8, 9, 10, 11, 0, 1]


def test_a_request_under_way_has_those_that_it_has_come_to() -> None:
    runner, kept = a_worker()
    runner.execute_model(Scheduled({"cmpl-a-0-12345678": 3}, [New("cmpl-a-0-12345678", 0, ([1],))]))
    assert tokens(kept.of("cmpl-a-0")) == [4, 5, 6]
    assert kept.of("cmpl-b-0") is None


def test_the_oldest_go_first_by_number() -> None:
    runner, kept = a_worker(requests=2)
    for name in "abc":
        serve(runner, f"{name}-12345678", [1], prompt=2)
    assert [kept.of(name) is not None for name in "abc"] == [False, True, True]


def test_the_oldest_go_first_by_bytes_and_one_that_is_too_long_by_itself_pushes_none_out() -> None:
    eight_tokens_fit = kept_scalings.MOST_BYTES // 2 // 8
    rows = torch.zeros(3 * BLOCK, eight_tokens_fit, dtype=torch.float16)
    runner = Runner(rows)
    kept = KeptScalings(runner, rows, BLOCK, 9)
    for name, length in {"a": 3, "b": 4, "c": 4, "d": 9}.items():
        serve(runner, f"{name}-12345678", [0, 1, 2], prompt=length)
    assert [kept.of(name) is not None for name in "abcd"] == [False, True, True, False]


@pytest.mark.parametrize(
    "again",
    [
        lambda name, blocks: Scheduled({name: 4}, [New(name, 0, blocks)]),
        lambda name, blocks: Scheduled({name: 4}, scheduled_cached_reqs=Cached([name], [0], [blocks], {name})),
    ],
    ids=["as one of the new ones", "as one that was there before"],
)
def test_a_request_that_was_preempted_has_none_before_it_runs_again(again: Callable[..., Scheduled]) -> None:
    runner, kept = a_worker()
    name = "cmpl-a-0-12345678"
    runner.execute_model(Scheduled({name: 3}, [New(name, 0, ([1],))]))
    runner.execute_model(Scheduled(preempted_req_ids={name}))  # others may have its slots from here on
    assert kept.of("cmpl-a-0") is None
    runner.execute_model(again(name, ([2],)))
    assert tokens(kept.of("cmpl-a-0")) == [8, 9, 10, 11]


def test_one_that_ends_while_it_is_preempted_is_not_kept() -> None:
    runner, kept = a_worker()
    name = "cmpl-a-0-12345678"
    runner.execute_model(Scheduled({name: 3}, [New(name, 0, ([1],))]))
    runner.execute_model(Scheduled(preempted_req_ids={name}))
    runner.execute_model(Scheduled(finished_req_ids={name}))
    assert kept.of("cmpl-a-0") is None


def test_one_that_was_under_way_before_anything_was_kept_has_none() -> None:
    runner, kept = a_worker()
    name = "cmpl-a-0-12345678"
    runner.execute_model(Scheduled({name: 1}, scheduled_cached_reqs=Cached([name], [8], [([3],)])))
    assert kept.of("cmpl-a-0") is None


def test_what_is_longer_than_a_sliding_window_has_given_slots_away_and_is_not_kept() -> None:
    runner, kept = a_worker(window=6)
    serve(runner, "short-12345678", [0, 1], prompt=4, more=2)
    serve(runner, "long-12345678", [0, 1], prompt=4, more=3)
    assert tokens(kept.of("short")) == [0, 1, 2, 3, 4, 5]
    assert kept.of("long") is None


def test_graphs_of_whole_steps_are_refused_at_once_and_not_by_the_first_request() -> None:
    worker = MixtureWorker()
    worker.rank = 0
    graphs = SimpleNamespace(name="FULL", has_full_cudagraphs=lambda: True)
    worker.vllm_config = SimpleNamespace(compilation_config=SimpleNamespace(cudagraph_mode=graphs))
    with pytest.raises(RuntimeError, match=r"CUDA graphs of whole steps \(FULL\)"):
        worker.keep_scalings(4)
