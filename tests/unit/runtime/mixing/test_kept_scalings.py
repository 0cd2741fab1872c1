"""Scalings are copied from the slots of the KV cache when a request ends, before others get the slots."""

from dataclasses import dataclass, field
from typing import Any

import torch

from lora_runtime.mixture.vllm import kept_scalings
from lora_runtime.mixture.vllm.kept_scalings import KeptScalings

BLOCK = 4


@dataclass
class State:
    block_ids: tuple[list[int], ...]


@dataclass
class New:
    req_id: str
    num_computed_tokens: int


@dataclass
class Cached:
    req_ids: list[str] = field(default_factory=list)
    num_computed_tokens: list[int] = field(default_factory=list)


@dataclass
class Scheduled:
    num_scheduled_tokens: dict[str, int] = field(default_factory=dict)
    scheduled_new_reqs: list[New] = field(default_factory=list)
    scheduled_cached_reqs: Cached = field(default_factory=Cached)
    finished_req_ids: set[str] = field(default_factory=set)


@dataclass
class Runner:
    """Forgets who has ended, and writes each step's number at the slots of its tokens, as vLLM's own does."""

    rows: torch.Tensor
    requests: dict[str, State] = field(default_factory=dict)

    def execute_model(self, scheduled: Any) -> None:
        for name in scheduled.finished_req_ids:
            self.requests.pop(name)


def a_worker(requests: int = 8) -> tuple[Runner, KeptScalings]:
    rows = torch.arange(8 * BLOCK + 1, dtype=torch.float16)[:, None].repeat(1, 2)
    runner = Runner(rows)
    return runner, KeptScalings(runner, rows, BLOCK, requests)


def tokens(found: torch.Tensor | None) -> list[int] | None:
    return None if found is None else [int(value) for value in found[:, 0]]


def serve(runner: Runner, name: str, blocks: list[int], prompt: int, cached: int = 0, more: int = 0) -> None:
    """A request from its first step to the step after its last."""
    runner.requests[name] = State((blocks,))
    runner.execute_model(Scheduled({name: prompt - cached}, [New(name, cached)]))
    for step in range(more):
        runner.execute_model(Scheduled({name: 1}, scheduled_cached_reqs=Cached([name], [prompt + step])))
    runner.execute_model(Scheduled(finished_req_ids={name}))


def test_those_of_all_computed_tokens_are_kept_with_what_was_cached_before() -> None:
    runner, kept = a_worker()
    serve(runner, "cmpl-a-0-12345678", [5, 2], prompt=5, cached=4, more=2)
    runner.rows.zero_()  # others have the slots now
    assert tokens(kept.of("cmpl-a-0")) == [20, 21, 22, 23, 8, 9, 10]


def test_a_request_under_way_has_those_that_it_has_come_to() -> None:
    runner, kept = a_worker()
    runner.requests["cmpl-a-0-12345678"] = State(([1],))
    runner.execute_model(Scheduled({"cmpl-a-0-12345678": 3}, [New("cmpl-a-0-12345678", 0)]))
    assert tokens(kept.of("cmpl-a-0")) == [4, 5, 6]
    assert kept.of("cmpl-b-0") is None


def test_the_oldest_go_first_by_number_and_by_bytes() -> None:
    runner, kept = a_worker(requests=2)
    for name in "abc":
        serve(runner, f"{name}-12345678", [1], prompt=2)
    assert [kept.of(name) is not None for name in "abc"] == [False, True, True]
    assert kept_scalings.MOST_BYTES >= 1 << 20
