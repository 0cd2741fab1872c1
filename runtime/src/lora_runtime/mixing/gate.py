"""Holds requests back while what answers them changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lora_runtime.engine.in_flight import InFlight
from lora_runtime.mixing.protocol import Busy

_NAME = "mixture"
"""What every request inside uses."""


class Gate:
    """Lives on one event loop."""

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self._open = asyncio.Event()
        self._open.set()

    async def enter(self) -> None:
        """Waits until the HTTP request under way may generate; it is inside then until its answer has ended."""
        request = self._in_flight.current
        if request is None or request.engine_names:
            # Whoever is inside may generate again: to wait for the gate would be to wait for oneself.
            return
        while not self._open.is_set():
            await self._open.wait()
        self._in_flight.uses(_NAME)

    @asynccontextmanager
    async def closed(self, drain_seconds: float) -> AsyncIterator[None]:
        """Nobody is inside meanwhile.

        Raises:
            Busy: somebody still was after so many seconds.
        """
        self._open.clear()
        try:
            try:
                async with asyncio.timeout(drain_seconds):
                    await self._in_flight.drained(_NAME)
            except TimeoutError:
                raise Busy from None
            yield
        finally:
            self._open.set()
