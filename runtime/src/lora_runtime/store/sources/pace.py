"""A server must keep a pace: one that trickles would hold the place of a download for ever."""

from collections.abc import AsyncIterator, Callable

import httpx

from lora_runtime.store.sources.web_errors import too_slow

_LEAST_BYTES = 64 << 10
_EVERY_SECONDS = 60.0
_CHUNK_BYTES = 1 << 20


async def paced(response: httpx.Response, where: str, clock: Callable[[], float]) -> AsyncIterator[bytes]:
    """The body, as it comes. Only the waiting for it counts: a busy disk is not the server's fault.

    Raises:
        Refused: less than 64 KiB came in a minute.
    """
    came, waited, since = 0, 0.0, clock()
    async for piece in response.aiter_raw():
        came, waited = came + len(piece), waited + clock() - since
        if waited >= _EVERY_SECONDS:
            if came < _LEAST_BYTES:
                raise too_slow(where, came, waited, _LEAST_BYTES)
            came, waited = 0, 0.0
        yield piece
        since = clock()


async def in_chunks(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in chunks that are worth a thread's trip to the disk."""
    held = bytearray()
    async for piece in pieces:
        held += piece
        while len(held) >= _CHUNK_BYTES:
            yield bytes(held[:_CHUNK_BYTES])
            del held[:_CHUNK_BYTES]
    if held:
        yield bytes(held)
