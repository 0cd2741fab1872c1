"""Which adapter each HTTP request under way uses, so that nothing is taken away under a request."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from lora_runtime.engine.tiers import Lease
from lora_runtime.observer import Outcome


@dataclass(eq=False, slots=True)
class HttpRequest:
    """One HTTP request, from its first byte to the last one of its answer."""

    began: float | None
    """When it came, in monotonic seconds; None once a generation has taken it for its own beginning."""
    asked: tuple[str, ...] = ()
    """The served names it asked for, each once; none if it is not for a model."""
    outcome: Outcome | None = None
    """How the first of its generations ended that did not end well."""
    engine_names: set[str] = field(default_factory=set)
    leases: list[Lease] = field(default_factory=list)
    """Released when it ends, at the latest."""
    admitted: Lease | None = None
    """Of these the one that its first generation will take."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """What each model name meant when it was looked up first: it means the same to the end of the request."""
    by_prompt: tuple[Any, ...] = ()
    """What each prompt is for, if it is a call with prompts for several names: an adapter of the engine, or None for the base."""


class InFlight:
    """Counts requests by the adapter they use. Lives on one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._active: set[HttpRequest] = set()
        self._current: ContextVar[HttpRequest | None] = ContextVar("lora_request", default=None)
        self._changed = asyncio.Event()

    @property
    def current(self) -> HttpRequest | None:
        """The request that this code works for."""
        return self._current.get()

    @contextmanager
    def request(self) -> Iterator[HttpRequest]:
        """Spans one HTTP request, to the last byte of its answer."""
        request = HttpRequest(self._clock())
        self._active.add(request)
        token = self._current.set(request)
        try:
            yield request
        finally:
            self._current.reset(token)
            self._active.discard(request)
            for lease in request.leases:
                lease.release()
            self._changed.set()

    def asks(self, *names: str) -> None:
        """The request under way in this context is for these served names."""
        request = self._current.get()
        if request is not None:
            request.asked = tuple(dict.fromkeys(names))

    def uses(self, engine_name: str) -> None:
        """The request under way in this context uses this adapter, whatever it asks for next."""
        request = self._current.get()
        if request is not None:
            request.engine_names.add(engine_name)

    async def drained(self, engine_name: str) -> None:
        """Returns when no request uses the adapter any more.

        The adapter must not be published any more: a request that has not looked its adapter up yet, because its
        body is still on the way, will then find another one, and holds nothing back.
        """
        while any(engine_name in request.engine_names for request in self._active):
            self._changed.clear()
            await self._changed.wait()
