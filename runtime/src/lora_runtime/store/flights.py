"""Work that several callers want is done once, and ends when none of them wants it any more."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from lora_runtime.store.progress import Progress

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Flight(Generic[T]):
    listeners: list[Progress] = field(default_factory=list)
    told: tuple[int, int | None] | None = None
    callers: int = 0
    task: asyncio.Task[T] | None = None

    def tell(self, done: int, total: int | None) -> None:
        self.told = done, total
        for listener in tuple(self.listeners):
            listener(done, total)

    def listen(self, listener: Progress | None) -> None:
        if listener is None:
            return
        self.listeners.append(listener)
        if self.told is not None:
            listener(*self.told)


class Flights(Generic[T]):
    """Runs one task per key; whoever asks meanwhile waits for the same one. For one event loop."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._flights

    def __iter__(self) -> Iterator[str]:
        return iter(self._flights)

    async def join(
        self,
        key: str,
        make: Callable[[Progress], Coroutine[Any, Any, T]],
        progress: Progress | None = None,
    ) -> T:
        """The result of the task for `key`, which is started unless it runs.

        A caller that is cancelled leaves, and the task goes on for the others. When the last one leaves it is
        cancelled; whoever asks before it has come to its end waits for that, and starts it anew.
        """
        while (flight := self._flights.get(key)) is not None and not flight.callers:
            await _landed(flight)
        if flight is None:
            flight = self._start(key, make)
        assert flight.task is not None  # noqa: S101  # set by _start
        flight.callers += 1
        flight.listen(progress)
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.callers -= 1
            if progress is not None:
                flight.listeners.remove(progress)
            if not flight.callers and not flight.task.done():
                flight.task.cancel()

    def _start(self, key: str, make: Callable[[Progress], Coroutine[Any, Any, T]]) -> _Flight[T]:
        flight: _Flight[T] = _Flight()
        flight.task = asyncio.create_task(make(flight.tell))
        flight.task.add_done_callback(lambda task: self._land(key, task))
        self._flights[key] = flight
        return flight

    def _land(self, key: str, task: asyncio.Task[T]) -> None:
        del self._flights[key]
        if not task.cancelled():
            task.exception()  # seen, even if every caller has left


async def _landed(flight: _Flight[T]) -> None:
    assert flight.task is not None  # noqa: S101  # set by _start
    await asyncio.wait({flight.task})


async def to_the_end(work: Coroutine[Any, Any, T], interrupt: Callable[[], None] = lambda: None) -> T:
    """Does what must not be left half done: a caller that is cancelled meanwhile is held until it has ended.

    Args:
        work: What is done.
        interrupt: Called when the caller is cancelled.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        interrupt()
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen
        raise
