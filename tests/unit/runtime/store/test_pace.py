"""Downloads from servers that take their time; hardly any passes in these tests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from lora_api.egress import Egress
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import Refused
from lora_runtime.store.sources.egress import guarded_client
from lora_runtime.store.sources.meter import Meter
from lora_runtime.store.sources.web import Place, Session
from support.stores import LOOPBACK

KIB = 1 << 10
PLACE = Place("http://files.example.com/pirate", "pirate")


@dataclass
class Server:
    """Sends pieces of one size, each after so many seconds by its own clock."""

    pieces: int
    size: int
    seconds: float
    status: int = 200
    now: float = 0.0
    sent: int = 0

    def clock(self) -> float:
        return self.now

    async def body(self) -> AsyncIterator[bytes]:
        for _ in range(self.pieces):
            self.now += self.seconds
            self.sent += self.size
            yield b"x" * self.size

    def session(self) -> Session:
        transport = httpx.MockTransport(lambda request: httpx.Response(self.status, content=self.body()))
        return Session(httpx.AsyncClient(transport=transport), Egress(), self.clock)


class Tiring(Server):
    """Sends a byte less after the first pieces."""

    async def body(self) -> AsyncIterator[bytes]:
        async for piece in super().body():
            yield piece
            self.size = 64 * KIB - 1 if self.sent > 640 * KIB else self.size


async def download(server: Server, target: Path, waited: float = 0.0) -> int:
    """How many bytes arrived; each chunk takes the disk so many seconds."""
    arrived = 0

    def tell(done: int, total: int | None) -> None:
        nonlocal arrived
        arrived = done
        server.now += waited

    meter = Meter(1 << 30, PLACE.where, tell)
    await server.session().download(PLACE, target, meter, etag=None, resume=False)
    return arrived


async def test_a_server_that_trickles_is_left_after_a_minute(tmp_path: Path) -> None:
    server = Server(pieces=10_000, size=1, seconds=29)
    with pytest.raises(Refused) as caught:
        await download(server, tmp_path / "file")
    refusal = caught.value.refusal
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_UNREACHABLE, True)
    assert "pirate comes too slowly: 3 bytes in 87 seconds, where at least 65536 a minute are wanted" in refusal.message


async def test_a_server_that_begins_well_and_then_trickles_is_left_too(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="65535 bytes in 60 seconds"):
        await download(Tiring(pieces=10_000, size=64 * KIB, seconds=60), tmp_path / "file")


async def test_a_slow_server_that_keeps_the_pace_is_waited_for(tmp_path: Path) -> None:
    assert await download(Server(pieces=50, size=64 * KIB, seconds=60), tmp_path / "file") == 50 * 64 * KIB


async def test_a_busy_disk_is_not_held_against_the_server(tmp_path: Path) -> None:
    # a minute is over just as the first chunk is whole
    server = Server(pieces=64, size=32 * KIB, seconds=60 / 32)
    assert await download(server, tmp_path / "file", waited=600) == 2 << 20


@pytest.mark.parametrize("status", [200, 404])
async def test_a_small_answer_that_trickles_is_left_too(status: int) -> None:
    with pytest.raises(Refused, match="pirate comes too slowly"):
        await Server(pieces=10_000, size=1, seconds=29, status=status).session().read(PLACE, 1 << 20)


async def test_a_server_whose_headers_trickle_is_left_too() -> None:
    answering: set[asyncio.Task[Any] | None] = set()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.add(asyncio.current_task())
        while await reader.readline() not in (b"", b"\r\n"):
            pass
        while not (reader.at_eof() or writer.is_closing()):
            writer.write(b"x")
            await asyncio.sleep(0.01)
        writer.close()

    async with (
        await asyncio.start_server(trickle, "127.0.0.1", 0) as server,
        guarded_client(LOOPBACK, ssl.create_default_context(), answer_seconds=0.1) as client,
    ):
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(httpx.ReadTimeout, match=r"no whole answer within 0\.1 seconds"):
            await asyncio.wait_for(client.get(f"http://127.0.0.1:{port}/pirate"), 10)
        await asyncio.wait_for(asyncio.gather(*filter(None, answering)), 10)
