"""How the server ends: requests first, and then the engine.

vLLM ends its engine first. Until that has done its last request, the server goes on taking others, on connections that
clients keep, and answers them with status 200 and nothing in it.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from starlette.datastructures import State

log = logging.getLogger(__name__)

_ENGINE_SECONDS = 5.0
"""For the engine to end, however long the requests took."""

_TELLING_SECONDS = 1.0
"""For clients that ask one request after the other: closed at once, their connections would take a request along."""


def end_requests_first(client: Any, state: State, by_itself: Callable[[], None]) -> None:
    """Hooks the shutdown of vLLM's engine client; once, on the server's event loop.

    Args:
        client: of this server.
        state: of this server.
        by_itself: called where the server ends, and nobody has told it to: its engine has failed.
    """
    shutdown, loop, thread, told = client.shutdown, asyncio.get_running_loop(), threading.get_ident(), threading.Event()

    @wraps(shutdown)
    def _shutdown(timeout: float | None = None) -> None:
        # The handler of SIGTERM waits for this in another thread, and the server goes on meanwhile. On the loop's own
        # thread it is called for an engine that has failed, or has ended.
        if threading.get_ident() == thread:
            if not told.is_set():
                by_itself()
        else:
            told.set()
            if timeout:
                began = time.monotonic()
                asyncio.run_coroutine_threadsafe(_requests_ended(state.server, timeout), loop).result()
                timeout = max(_ENGINE_SECONDS, timeout - (time.monotonic() - began))
        shutdown(timeout=timeout)

    client.shutdown = _shutdown


async def _requests_ended(server: Any, timeout_seconds: float) -> None:
    """Takes no more connections, says so in every answer, and gives up those that are idle after that."""
    for listening in server.servers:
        listening.close()
    # What uvicorn puts into every answer, and what it renews that from once a second.
    for headers in (server.server_state.default_headers, server.config.encoded_headers):
        headers.append((b"connection", b"close"))
    try:
        async with asyncio.timeout(timeout_seconds):
            await _clients_told(server.server_state, min(_TELLING_SECONDS, timeout_seconds / 2))
            await server.shutdown()
    except TimeoutError:
        log.warning("requests are cut that did not end in time connections=%s", len(server.server_state.connections))


async def _clients_told(state: Any, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    while state.connections and time.monotonic() < deadline:  # noqa: ASYNC110  # uvicorn has no event for it
        await asyncio.sleep(0.02)
