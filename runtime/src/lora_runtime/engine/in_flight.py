"""Which adapter each HTTP request under way uses, so that nothing is taken away under a request."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class _Request:
    number: int
    resolved: bool = False
    engine_name: str | None = None

    def may_use(self, engine_name: str) -> bool:
        # A request that has not looked its adapter up yet, or that never tells, might use any.
        return not self.resolved or self.engine_name == engine_name


class InFlight:
    """Counts requests by the adapter they use. Lives on one event loop."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._active: set[_Request] = set()
        self._current: ContextVar[_Request | None] = ContextVar("lora_request", default=None)
        self._changed = asyncio.Event()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Spans one HTTP request, to the last byte of its answer."""
        request = _Request(next(self._numbers))
        self._active.add(request)
        token = self._current.set(request)
        try:
            yield
        finally:
            self._current.reset(token)
            self._active.discard(request)
            self._changed.set()

    def resolved(self, engine_name: str | None) -> None:
        """The request under way in this context uses this adapter, or the plain base model."""
        request = self._current.get()
        if request is not None:
            request.resolved, request.engine_name = True, engine_name
            self._changed.set()

    async def drained(self, engine_name: str) -> None:
        """Returns when no request that began before this call may use the adapter any more."""
        before = next(self._numbers)
        while any(request.number < before and request.may_use(engine_name) for request in self._active):
            self._changed.clear()
            await self._changed.wait()
