"""What is counted of a generation, with a `generate` that says what the test tells it to."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from lora_runtime.engine.in_flight import HttpRequest, InFlight
from lora_runtime.metrics.generations import observed
from lora_runtime.metrics.labels import AdapterLabels
from lora_runtime.metrics.traffic import Traffic
from lora_runtime.observer import Outcome


@dataclass
class Piece:
    token_ids: list[int]
    finish_reason: str | None = None
    index: int = 0


@dataclass
class Times:
    first_token_ts: float
    last_token_ts: float


@dataclass
class Output:
    """What vLLM's RequestOutput has of these."""

    outputs: list[Piece]
    finished: bool = False
    metrics: Times | None = None
    prompt_token_ids: list[int] = field(default_factory=lambda: [1, 2, 3])


def stream(*sizes: int, reason: str = "length") -> list[Output]:
    """One answer in pieces of so many tokens."""
    pieces = [Output([Piece([7] * size)]) for size in sizes]
    pieces[-1].finished, pieces[-1].outputs[0].finish_reason = True, reason
    return pieces


class Engine:
    """Hands out outputs, one second after another, and knows whether it was closed."""

    def __init__(self, outputs: Iterable[Output | Exception]) -> None:
        self.outputs = outputs
        self.now = 100.0
        self.closed = False
        self.waits: asyncio.Event | None = None
        self.waiting = asyncio.Event()

    async def generate(self, prompt: str, *, lora_request: str | None = None) -> AsyncGenerator[Any, None]:
        try:
            for output in self.outputs:
                self.now += 1
                if isinstance(output, Exception):
                    raise output
                yield output
            if self.waits is not None:
                self.waiting.set()
                await self.waits.wait()
        finally:
            self.closed = True


class Stage:
    """The observed engine, inside one HTTP request."""

    def __init__(self, *outputs: Output | Exception) -> None:
        self.engine = Engine(outputs)
        self.registry = CollectorRegistry()
        self.in_flight = InFlight(lambda: self.engine.now)
        self.generate = observed(
            self.engine.generate,
            self.in_flight,
            Traffic(AdapterLabels("base", 5), self.registry),
            lambda lora: lora or "base",
            lambda: self.engine.now,
        )

    async def all(self, lora_request: str | None = "a") -> HttpRequest:
        with self.in_flight.request() as request:
            async for _ in self.generate("Ahoy", lora_request=lora_request):
                pass
        return request

    def value(self, name: str, adapter: str = "a") -> float | None:
        return self.registry.get_sample_value(f"lora_runtime_{name}", {"adapter": adapter})


async def test_a_stream_counts_its_tokens_its_first_and_the_time_between_pieces() -> None:
    stage = Stage(*stream(1, 1, 3))
    request = await stage.all()
    assert request.outcome is None
    assert stage.value("prompt_tokens_total") == 3
    assert stage.value("generation_tokens_total") == 5
    assert stage.value("time_to_first_token_seconds_sum") == 1
    assert stage.value("inter_token_latency_seconds_count") == 2
    assert stage.value("inter_token_latency_seconds_sum") == 2


async def test_a_whole_answer_has_its_first_token_when_the_engine_had_it() -> None:
    whole = Output([Piece([7] * 10, "stop")], finished=True, metrics=Times(first_token_ts=50.0, last_token_ts=50.75))
    stage = Stage(whole)
    await stage.all()
    assert stage.value("generation_tokens_total") == 10
    assert stage.value("time_to_first_token_seconds_sum") == 0.25
    assert stage.value("inter_token_latency_seconds_count") == 0, "nobody waited between two tokens"


async def test_without_vllm_s_times_a_whole_answer_has_no_first_token() -> None:
    stage = Stage(Output([Piece([7], "stop")], finished=True))
    await stage.all()
    assert stage.value("time_to_first_token_seconds_count") == 0
    assert stage.value("generation_tokens_total") == 1


async def test_several_answers_to_one_prompt_are_timed_each_for_itself() -> None:
    pieces = [Output([Piece([7], index=index)]) for index in (0, 1, 0, 1)]
    pieces[-1].finished = True
    stage = Stage(*pieces)
    await stage.all()
    assert stage.value("prompt_tokens_total") == 3
    assert stage.value("generation_tokens_total") == 4
    assert stage.value("inter_token_latency_seconds_sum") == 4, "two seconds between the pieces of each"


async def test_the_wait_for_an_adapter_is_part_of_the_time_to_the_first_token() -> None:
    stage = Stage(*stream(1, 1))
    with stage.in_flight.request():
        stage.engine.now += 5
        async for _ in stage.generate("Ahoy", lora_request="a"):
            pass
        stage.engine.outputs = stream(1, 1)
        async for _ in stage.generate("And again", lora_request="a"):
            pass
    assert stage.value("time_to_first_token_seconds_sum") == (5 + 1) + 1, "the second one began later"


async def test_a_generation_that_fails_is_failed_and_its_error_goes_on() -> None:
    stage = Stage(Output([Piece([7])]), RuntimeError("the engine is dead"))
    with stage.in_flight.request() as request, pytest.raises(RuntimeError, match="dead"):
        async for _ in stage.generate("Ahoy", lora_request="a"):
            pass
    assert request.outcome is Outcome.FAILED
    assert stage.value("generation_tokens_total") == 1


async def test_a_consumer_that_leaves_aborts_and_vllm_is_told() -> None:
    stage = Stage(Output([Piece([7])]), Output([Piece([7])]))
    with stage.in_flight.request() as request:
        outputs = stage.generate("Ahoy", lora_request="a")
        await anext(outputs)
        await outputs.aclose()
    assert request.outcome is Outcome.ABORTED
    assert stage.engine.closed
    assert stage.value("generation_tokens_total") == 1


async def test_a_cancelled_request_is_aborted() -> None:
    stage = Stage(Output([Piece([7])]))
    stage.engine.waits = asyncio.Event()
    task = asyncio.create_task(stage.all())
    await asyncio.wait_for(stage.engine.waiting.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stage.engine.closed


@pytest.mark.parametrize(("reason", "outcome"), [("stop", None), ("abort", Outcome.ABORTED), ("error", Outcome.FAILED)])
async def test_an_answer_ends_as_vllm_says(reason: str, outcome: Outcome | None) -> None:
    request = await Stage(*stream(1, 1, reason=reason)).all()
    assert request.outcome is outcome


async def test_a_consumer_that_closes_after_the_last_output_has_had_it_all() -> None:
    stage = Stage(*stream(1))
    with stage.in_flight.request() as request:
        outputs = stage.generate("Ahoy", lora_request="a")
        await anext(outputs)
        await outputs.aclose()
    assert request.outcome is None


async def test_the_base_has_its_name_and_warm_ups_outside_requests_are_not_counted() -> None:
    stage = Stage(*stream(1))
    await stage.all(lora_request=None)
    assert stage.value("generation_tokens_total", adapter="base") == 1
    async for _ in stage.generate("warm", lora_request="a"):
        pass
    assert stage.value("generation_tokens_total") is None
