"""Requests wait while what answers them changes, and the change waits for those that have begun."""

import asyncio

import pytest

from lora_runtime.engine.in_flight import InFlight
from lora_runtime.mixing.gate import Gate
from lora_runtime.mixing.protocol import Busy


class Clients:
    """Requests that each begin, pass the gate, and end when told to."""

    def __init__(self) -> None:
        self.in_flight = InFlight()
        self.gate = Gate(self.in_flight)
        self.inside: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, name: str) -> None:
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._request(name))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._tasks[name]

    async def _request(self, name: str) -> None:
        with self.in_flight.request():
            await self.gate.enter()
            self.inside.append(name)
            await self._ends[name].wait()
            await self.gate.enter()  # a request that generates again
            self.inside.remove(name)


async def test_a_change_waits_for_those_inside_and_others_for_the_change() -> None:
    clients = Clients()
    await clients.begin("before")
    changed = asyncio.Event()

    async def change() -> None:
        async with clients.gate.closed(60):
            assert clients.inside == []
            changed.set()
            await asyncio.sleep(0)

    work = asyncio.create_task(change())
    await asyncio.sleep(0)
    await clients.begin("meanwhile")
    assert clients.inside == ["before"]
    assert not changed.is_set()
    await clients.end("before")
    await work
    assert changed.is_set()
    await clients.end("meanwhile")


async def test_a_request_that_does_not_end_leaves_all_as_it_was() -> None:
    clients = Clients()
    await clients.begin("endless")
    with pytest.raises(Busy):
        async with clients.gate.closed(0.01):
            raise AssertionError("somebody is inside")
    await clients.begin("next")
    assert clients.inside == ["endless", "next"]
    await clients.end("endless")
    await clients.end("next")


async def test_who_has_not_said_yet_what_it_wants_holds_nothing_back() -> None:
    clients = Clients()
    with clients.in_flight.request():
        async with clients.gate.closed(0.01):
            pass


async def test_who_waited_for_one_change_waits_for_another_that_begins_at_once() -> None:
    clients = Clients()
    async with clients.gate.closed(60):
        await clients.begin("waiting")
    async with clients.gate.closed(60):
        await asyncio.sleep(0.01)
        assert clients.inside == []
    await asyncio.sleep(0.01)
    assert clients.inside == ["waiting"]
    await clients.end("waiting")
