"""From an answer's id to what the workers kept of exactly its own generations."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lora_runtime.engine.in_flight import InFlight
from lora_runtime.mixing.vllm.scalings import Scalings
from lora_runtime.mixture.package import Names


@dataclass
class Parameters:
    n: int = 1


@dataclass
class Piece:
    token_ids: list[int]


@dataclass
class Output:
    prompt_token_ids: list[int]
    outputs: list[Piece]


@dataclass
class Client:
    """An engine that keeps, as its workers do, of each request that has ended, under the id that it came with."""

    kept: dict[str, list[float]] = field(default_factory=dict)
    ends: dict[int, asyncio.Event] = field(default_factory=dict)

    async def generate(self, prompt: list[int], sampling_params: Parameters, request_id: str) -> AsyncIterator[Output]:
        if (end := self.ends.get(prompt[0])) is not None:
            await end.wait()
        self.kept[request_id] = [*map(float, prompt), 0.5, 99.0]
        yield Output(prompt, [Piece([7])])
        yield Output(prompt, [Piece([8])])

    async def collective_rpc(self, method: str, *, timeout: float, args: tuple[Any, ...]) -> list[Any]:
        if method == "keep_scalings":
            return [None]
        found = self.kept.get(args[0])
        return [None if found is None else (len(found), base64.b64encode(np.array(found, "<f2").tobytes()).decode())]


@dataclass
class Server:
    client: Client = field(default_factory=Client)
    in_flight: InFlight = field(default_factory=InFlight)

    def __post_init__(self) -> None:
        self.scalings = Scalings(self.client, self.in_flight, 4, lambda: Names(("law",), ()))

    async def ask(self, prompt: list[int], request_id: str, n: int = 1) -> None:
        with self.in_flight.request():
            async for _ in self.client.generate(prompt, Parameters(n), request_id):
                pass

    async def told(self, name: str) -> list[list[float]]:
        found = await self.scalings.of(name)
        return [np.frombuffer(base64.b64decode(one["scalings"]), "<f2").tolist() for one in found]


async def test_an_answer_has_a_row_for_each_token_but_the_last_however_many_were_computed() -> None:
    server = Server()
    await server.ask([1, 2, 3], "cmpl-a-0")
    [told] = await server.scalings.of("a")
    assert (told["tokens"], told["shape"], told["promptTokens"]) == ([1, 2, 3, 7], [4, 1, 1], 3)
    assert await server.told("cmpl-a") == [[1, 2, 3, 0.5]]


async def test_of_two_requests_with_one_id_that_end_in_another_order_each_has_its_own() -> None:
    server = Server()
    server.client.ends[1] = asyncio.Event()
    earlier = asyncio.create_task(server.ask([1, 1], "chatcmpl-mine"))
    await asyncio.sleep(0)
    await server.ask([2, 2], "chatcmpl-mine")
    server.client.ends[1].set()
    await earlier
    assert await server.told("mine") == [[2, 2, 0.5]], "the later one is meant, whichever ended last"


async def test_several_answers_to_one_prompt_are_not_known() -> None:
    server = Server()
    await server.ask([1, 2], "chatcmpl-many", n=2)
    assert await server.told("many") == []
