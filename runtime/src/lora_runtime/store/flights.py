"""Work that several callers want is done once."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from lora_runtime.store.sources.source import Progress

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    listeners: list[Progress] = field(default_factory=list)


class Flights(Generic[T]):
    """Runs one task per key; whoever asks meanwhile waits for the same one. For one event loop."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._flights

    async def join(
        self,
        key: str,
        make: Callable[[Progress], Coroutine[Any, Any, T]],
        progress: Progress | None = None,
    ) -> T:
        """The result of the task for `key`, which is started unless it runs.

        A caller that is cancelled leaves; the task goes on for the others, and for whoever asks next.
        """
        flight = self._flights.get(key)
        if flight is None:
            listeners: list[Progress] = []

            def tell(done: int, total: int | None) -> None:
                for listener in tuple(listeners):
                    listener(done, total)

            flight = _Flight(asyncio.create_task(make(tell)), listeners)
            self._flights[key] = flight
            flight.task.add_done_callback(lambda task: self._landed(key, task))
        if progress is not None:
            flight.listeners.append(progress)
        return await asyncio.shield(flight.task)

    def _landed(self, key: str, task: asyncio.Task[T]) -> None:
        del self._flights[key]
        if not task.cancelled():
            task.exception()  # seen, even if every caller has left
