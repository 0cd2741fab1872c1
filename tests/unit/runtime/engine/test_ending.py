import asyncio
from types import SimpleNamespace

import pytest
from starlette.datastructures import State

from lora_runtime.engine.vllm.ending import end_requests_first

DATE, CLOSE = (b"date", b"today"), (b"connection", b"close")


class Server:
    """uvicorn's, as far as it ends."""

    def __init__(self, log: list[str], *, ends: bool = True, connections: tuple[int, ...] = ()) -> None:
        self._log, self._ends = log, ends
        self.servers = [self]
        self.config = SimpleNamespace(encoded_headers=[])
        self.server_state = SimpleNamespace(connections=set(connections), default_headers=[DATE])

    def close(self) -> None:
        self._log.append("no more connections")

    async def shutdown(self) -> None:
        self._log.append("idle connections closed")
        await asyncio.sleep(0 if self._ends else 3600)
        self._log.append("requests ended")


class Client:
    """vLLM's engine client."""

    def __init__(self, log: list[str]) -> None:
        self._log = log
        self.seconds: float | None = None

    def shutdown(self, timeout: float | None = None) -> None:
        self._log.append("engine ended")
        self.seconds = timeout


def ending(log: list[str], server: Server | None = None) -> Client:
    client, state = Client(log), State()
    end_requests_first(client, state, lambda: log.append("by itself"))
    # vLLM makes the server after all else.
    state.server = server or Server(log)
    return client


async def test_the_engine_ends_when_the_requests_have() -> None:
    log: list[str] = []
    client = ending(log)
    await asyncio.to_thread(client.shutdown, timeout=100)
    assert log == ["no more connections", "idle connections closed", "requests ended", "engine ended"]
    assert client.seconds is not None
    assert 90 < client.seconds <= 100


async def test_requests_that_do_not_end_in_time_are_cut_and_the_engine_is_given_some_seconds_more() -> None:
    log: list[str] = []
    client = ending(log, Server(log, ends=False))
    await asyncio.to_thread(client.shutdown, timeout=0.05)
    assert log == ["no more connections", "idle connections closed", "engine ended"]
    assert client.seconds == 5


async def test_clients_are_told_in_an_answer_before_their_connection_is_closed() -> None:
    log: list[str] = []
    server = Server(log, connections=(1,))
    end = asyncio.create_task(asyncio.to_thread(ending(log, server).shutdown, timeout=100))
    async with asyncio.timeout(10):
        while CLOSE not in server.config.encoded_headers:  # noqa: ASYNC110  # a list has no event
            await asyncio.sleep(0)
        assert server.server_state.default_headers == [DATE, CLOSE], "from the next answer on"
        assert log == ["no more connections"]
        server.server_state.connections.clear()
        await end
    assert log[1:] == ["idle connections closed", "requests ended", "engine ended"]


async def test_without_time_for_requests_the_engine_ends_at_once() -> None:
    log: list[str] = []
    await asyncio.to_thread(ending(log).shutdown, timeout=0)
    assert log == ["engine ended"]


async def test_a_server_whose_engine_has_failed_does_not_wait_for_itself_and_says_that_nobody_told_it_to_end() -> None:
    log: list[str] = []
    ending(log).shutdown(timeout=100)
    assert log == ["by itself", "engine ended"]


@pytest.mark.parametrize("seconds", [0, 0.05, None])
async def test_what_comes_after_somebody_told_it_to_end_does_not_come_by_itself(seconds: float | None) -> None:
    log: list[str] = []
    client = ending(log)
    await asyncio.to_thread(client.shutdown, timeout=seconds)
    client.shutdown()
    assert "by itself" not in log
