"""What was read is read again only when an event says that it is another."""

import asyncio

import pytest

from lora_operator.clients import resources
from lora_operator.domain.observed import ModelKey
from lora_operator.reconcile.lately import Lately

KEY, OTHER = ModelKey("team", "smol"), ModelKey("team", "tall")
MODELS, PODS = resources.MODELS, resources.PODS


class Server:
    """Counts how often it is asked, and answers with the count."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self) -> int:
        self.asked += 1
        return self.asked


async def test_what_nobody_doubts_is_read_once() -> None:
    lately, server = Lately(), Server()
    assert [await lately.read(KEY, MODELS, server) for _ in range(3)] == [1, 1, 1]


async def test_each_kind_of_each_model_is_doubted_for_itself() -> None:
    lately, server = Lately(), Server()
    everything = [(KEY, MODELS), (KEY, PODS), (OTHER, MODELS)]
    assert [await lately.read(*one, server) for one in everything] == [1, 2, 3]
    lately.doubt(KEY, MODELS.kind)
    assert [await lately.read(*one, server) for one in everything] == [4, 2, 3]
    lately.doubt(KEY)
    assert [await lately.read(*one, server) for one in everything] == [5, 6, 3]
    lately.doubt_all(MODELS.kind)
    assert [await lately.read(*one, server) for one in everything] == [7, 6, 8]


async def test_an_answer_that_was_doubted_on_its_way_is_used_once_and_not_kept() -> None:
    lately, server, on_its_way, doubted = Lately(), Server(), asyncio.Event(), asyncio.Event()

    async def slow() -> int:
        on_its_way.set()
        await doubted.wait()
        return await server()

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(lately.read(KEY, MODELS, slow))
        await on_its_way.wait()
        lately.doubt(KEY, MODELS.kind)
        doubted.set()
    assert reading.result() == 1
    assert await lately.read(KEY, MODELS, server) == 2


async def test_a_read_that_failed_is_made_again() -> None:
    lately, server = Lately(), Server()

    async def refuse() -> int:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await lately.read(KEY, MODELS, refuse)
    assert await lately.read(KEY, MODELS, server) == 1
