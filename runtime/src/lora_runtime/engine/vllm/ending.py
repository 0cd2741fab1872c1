"""How the server ends: requests first, and then the engine.

vLLM ends its engine first. Until that has done its last request, the server goes on taking others, on connections that
clients keep, and answers them with status 200 and nothing in it.
"""

import asyncio
import logging
import threading
import time
from functools import wraps
from typing import Any

from starlette.datastructures import State

log = logging.getLogger(__name__)

_ENGINE_SECONDS = 5.0
"""For the engine to end, however long the requests took."""


def end_requests_first(client: Any, state: State) -> None:
    """Hooks the shutdown of vLLM's engine client; once, on the server's event loop."""
    shutdown, loop, thread = client.shutdown, asyncio.get_running_loop(), threading.get_ident()

    @wraps(shutdown)
    def _shutdown(timeout: float | None = None) -> None:
        # The handler of SIGTERM waits for this in another thread, and the server goes on meanwhile. On the loop's own
        # thread it is called for an engine that has failed, or has ended.
        if timeout and threading.get_ident() != thread:
            began = time.monotonic()
            asyncio.run_coroutine_threadsafe(_requests_ended(state.server, timeout), loop).result()
            timeout = max(_ENGINE_SECONDS, timeout - (time.monotonic() - began))
        shutdown(timeout=timeout)

    client.shutdown = _shutdown


async def _requests_ended(server: Any, timeout_seconds: float) -> None:
    """Takes no more connections, gives up those that are idle, and the others once they have been answered."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await server.shutdown()
    except TimeoutError:
        log.warning("requests are cut that did not end in time connections=%s", len(server.server_state.connections))
