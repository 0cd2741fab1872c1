"""A queue of keys: one entry per key, never two workers on one key, and failures are retried ever more slowly."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

_logger = logging.getLogger(__name__)

_SOONEST_RETRY_SECONDS = 1.0
"""How soon a ring brings back a key that failed: what rang may be the cure, or be rung by the failure itself."""


class TryAgain(Exception):
    """The world was in the way, as it sometimes is: to be tried again, and no bug to be traced."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after the n-th failure in a row."""

    first_seconds: float
    longest_seconds: float
    jitter: Callable[[], float]
    """A factor around 1."""

    def seconds(self, failures: int) -> float:
        """Twice as long as the last time, up to the limit."""
        return min(self.longest_seconds, self.first_seconds * 2.0 ** min(failures - 1, 30)) * self.jitter()


class KeyedQueue(Generic[Key]):
    """Hands keys to workers. To be used from one event loop.

    A key that rings while it is worked on is worked on once more afterwards, however often it rang. A key that waits
    for its time holds no worker. A key that failed is retried ever more slowly, and at most once a second while it
    rings.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._since: dict[Key, float] = {}
        """Keys that are waiting for a worker or being worked on, and since when."""
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._later: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}

    def ring(self, key: Key) -> None:
        """Asks for the key to be worked on now, or soon if it failed the last time."""
        if key in self._failures and key not in self._since:
            self.ring_in(key, _SOONEST_RETRY_SECONDS)
        else:
            self._due(key)

    def ring_in(self, key: Key, seconds: float) -> None:
        """Asks for the key to be worked on after a while, unless it is to be sooner anyway."""
        loop = asyncio.get_running_loop()
        later = self._later.get(key)
        if later is not None:
            if later.when() <= loop.time() + seconds:
                return
            later.cancel()
        self._later[key] = loop.call_later(max(0.0, seconds), self._due, key)

    def _due(self, key: Key) -> None:
        later = self._later.pop(key, None)
        if later is not None:
            later.cancel()
        if key in self._working:
            self._again.add(key)
        elif key not in self._since:
            self._since[key] = time.monotonic()
            self._ready.put_nowait(key)

    @property
    def waiting(self) -> int:
        """How many keys wait for a worker. Any thread may ask."""
        return self._ready.qsize()

    @property
    def oldest_wait_seconds(self) -> float:
        """How long the first of the waiting and unfinished keys has been so, or 0. Any thread may ask."""
        oldest = min(self._since.values(), default=None)
        return 0.0 if oldest is None else time.monotonic() - oldest

    async def run(self, work: Callable[[Key], Awaitable[float | None]], workers: int) -> None:
        """Works until cancelled. `work` answers in how many seconds to do it again, or None."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._worker(work))

    async def _worker(self, work: Callable[[Key], Awaitable[float | None]]) -> None:
        while True:
            key = await self._ready.get()
            self._working.add(key)
            try:
                again_in = await self._attempt(key, work)
            finally:
                self._working.discard(key)
                self._since.pop(key, None)
            if again_in is not None:
                self.ring_in(key, again_in)
            if key in self._again:
                self._again.discard(key)
                self.ring(key)

    async def _attempt(self, key: Key, work: Callable[[Key], Awaitable[float | None]]) -> float | None:
        try:
            again_in = await work(key)
        except TryAgain as trouble:
            delay = self._failed(key)
            _logger.warning("%s: next attempt in %.1f s: %s", key, delay, trouble)
            return delay
        except Exception:
            delay = self._failed(key)
            _logger.exception("%s: next attempt in %.1f s, after a failure that should not be", key, delay)
            return delay
        self._failures.pop(key, None)
        return again_in

    def _failed(self, key: Key) -> float:
        self._failures[key] = self._failures.get(key, 0) + 1
        return self._backoff.seconds(self._failures[key])
