"""A number that uvloop has not let go of, although its socket is closed, is no reason to end."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator

import aiohttp
import pytest
import uvloop

from lora_operator.clients.stale_sockets import failing_as_connections_do


@contextlib.contextmanager
def a_stale_number(transport: asyncio.Transport) -> Iterator[None]:
    """The socket of a transport is closed under it, so that the next one gets its number."""
    number = transport.get_extra_info("socket").fileno()
    os.close(number)
    try:
        yield
    finally:
        # Something that the transport can close when it ends.
        with socket.socket() as other:
            if other.fileno() != number:
                os.dup2(other.fileno(), number)
            else:
                other.detach()
        transport.abort()


def test_the_next_connection_fails_as_any_that_cannot_be_made() -> None:
    async def connect() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", port)
        async with aiohttp.ClientSession() as session:
            refused = pytest.raises(aiohttp.ClientConnectionError, match="is used by transport")
            with a_stale_number(transport), refused, failing_as_connections_do():
                await session.get(f"http://127.0.0.1:{port}")
        server.close()

    uvloop.run(connect())


def test_every_other_mistake_is_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="Session is closed"), failing_as_connections_do():
        raise RuntimeError("Session is closed")
