"""The admin client when nobody is there, or somebody hostile; how it gets on with the runtime's own server is proven there."""

import asyncio
import contextlib
import gzip
import itertools
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lora_api.runtime_api import MAX_MESSAGE_BYTES, Desired
from lora_operator.clients.certificates import Authority, client_context
from lora_operator.clients.runtime_admin import PodAddress, RuntimeAdmin
from lora_operator.domain.observed import Unreachable

HOST = "smol.team.runtime.lora-operator.io"


async def asked(port: int, authority: Authority | None = None) -> object:
    authority = authority or Authority.make(datetime.now(UTC))
    context = client_context(authority, authority.client("operator", datetime.now(UTC)))
    async with RuntimeAdmin(context) as admin:
        return await admin.inventory(PodAddress("pod-0", "127.0.0.1", HOST, port), None, 0)


async def test_a_pod_that_is_away_is_a_value() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    answer = await asked(port)
    assert isinstance(answer, Unreachable)
    assert "does not answer" in answer.message


async def test_a_pod_that_hangs_up_is_a_value() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        answer = await asked(server.sockets[0].getsockname()[1])
    assert isinstance(answer, Unreachable)


async def test_a_pod_is_told_nothing_once_there_is_no_time_to_write() -> None:
    authority = Authority.make(datetime.now(UTC))
    context = client_context(authority, authority.client("operator", datetime.now(UTC)))
    async with RuntimeAdmin(context, may_write=lambda: 0.0) as admin:
        answer = await admin.put_desired(PodAddress("pod-0", "127.0.0.1", HOST, 1), Desired())
    assert answer == Unreachable("the pod is not told anything, since another operator may be at work by now")


@contextlib.asynccontextmanager
async def a_pod_that_says(folder: Path, answer: Iterable[bytes]) -> AsyncIterator[tuple[int, Authority]]:
    """A pod with a certificate of its own model, and an image that its author chose."""
    authority = Authority.make(datetime.now(UTC))
    leaf = authority.server(HOST, datetime.now(UTC))
    (folder / "leaf.pem").write_bytes(leaf.certificate + leaf.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "leaf.pem")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            for piece in answer:
                writer.write(piece)
                await writer.drain()
                # Nothing waits for room in a connection that the client has aborted: its end must be heard of.
                await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1], authority


def an_answer(pieces: Iterable[bytes], *headers: bytes) -> Iterator[bytes]:
    return itertools.chain([b"\r\n".join([b"HTTP/1.1 200 OK", *headers, b"", b""])], pieces)


async def test_an_answer_is_not_unpacked(tmp_path: Path) -> None:
    body = gzip.compress(b" " * (8 * MAX_MESSAGE_BYTES))
    answer = an_answer([body], b"content-encoding: gzip", b"content-length: %d" % len(body))
    async with a_pod_that_says(tmp_path, answer) as (port, authority):
        found = await asked(port, authority)
    assert isinstance(found, Unreachable)
    assert "not understood" in found.message


async def test_an_answer_without_an_end_is_read_no_further_than_a_message_is_long(tmp_path: Path) -> None:
    sent = itertools.count()
    answer = an_answer(b" " * (1 << 16) for _ in sent)
    async with a_pod_that_says(tmp_path, answer) as (port, authority):
        found = await asked(port, authority)
    assert isinstance(found, Unreachable)
    assert f"longer than {MAX_MESSAGE_BYTES} bytes" in found.message
    assert next(sent) << 16 < 4 * MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[" * 100_000, b'{"bootId": "b", "etag": "e", "adapters": [' + b"0," * 1_000_000 + b"0]}"],
    ids=["nothing", "null", "brackets", "millions of mistakes"],
)
async def test_an_answer_that_is_no_inventory_is_a_value(tmp_path: Path, body: bytes) -> None:
    answer = an_answer([body], b"content-length: %d" % len(body))
    async with a_pod_that_says(tmp_path, answer) as (port, authority):
        found = await asked(port, authority)
    assert isinstance(found, Unreachable)
    assert "not understood" in found.message
    assert len(found.message) <= 500
