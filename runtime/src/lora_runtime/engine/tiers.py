"""Adapters wait on disk until a request wants them; the engine holds those used last. For one event loop.

An adapter is *registered* when its version is on disk and a name answers for it. It is brought into the engine before
a request with it is admitted, once for all who wait, and never inside a step, where a failure would end the engine.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from lora_runtime.engine.admission import Admission, Ticket
from lora_runtime.engine.host_cache import HostCache
from lora_runtime.engine.protocol import LoadedAdapter, LoadFailed
from lora_runtime.retries import retry_delay

_LOAD_WAIT_SECONDS = 30.0
"""A request waits so long for a cold adapter; its own load and those before it."""

Trouble = Callable[[LoadedAdapter, str | None], None]
"""Told when a registered adapter cannot be loaded, with the engine's words, and with None when it can again."""


class Loader(Protocol):
    """What the engine itself can do."""

    async def add(self, adapter: LoadedAdapter) -> None:
        """Loads it, or raises LoadFailed and holds nothing of it."""
        ...

    async def take_out(self, adapter: LoadedAdapter) -> None:
        """Gives its memory back."""
        ...


class Lease:
    """The right of one generation to be in the engine, with its adapter."""

    def __init__(self, tiers: "Tiers", ticket: Ticket) -> None:
        self._tiers, self._ticket = tiers, ticket

    @property
    def adapter(self) -> str | None:
        """Engine name of the adapter; None for the base model."""
        return self._ticket.adapter

    def release(self) -> None:
        """The generation has ended; nothing happens the second time."""
        self._tiers.leave(self._ticket)


@dataclass(slots=True)
class _Failure:
    """A load that failed when a request wanted it."""

    message: str
    tries: int
    retry_at: float


class Tiers:
    """Admits generations, and moves adapters between disk and engine for them."""

    def __init__(
        self,
        admission: Admission,
        cache: HostCache,
        loader: Loader,
        clock: Callable[[], float],
        trouble: Trouble = lambda adapter, message: None,
    ) -> None:
        """Takes the two books it keeps, the engine, and the monotonic time in seconds."""
        self._admission = admission
        self._cache = cache
        self._loader = loader
        self._clock = clock
        self._trouble = trouble
        self._admitted: dict[Ticket, asyncio.Future[None]] = {}
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, _Failure] = {}
        self._turn = asyncio.Lock()
        self._own_turn = asyncio.Lock()
        self._own: str | None = None
        """Engine name of the adapter that the runtime itself is bringing in."""
        self._left = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def __contains__(self, engine_name: str) -> bool:
        return engine_name in self._cache

    @property
    def full(self) -> bool:
        """Whether one more adapter would push another one out."""
        return self._cache.full

    async def enter(self, name: str, adapter: LoadedAdapter | None) -> Lease:
        """Waits for its turn, and until the adapter is in the engine.

        Args:
            name: the served name; generations of the same name share one turn among names.
            adapter: what the generation needs; None for the base model.

        Raises:
            LoadFailed: the engine refuses the adapter, or is too busy to load it in time.
        """
        ticket = Ticket(name, None if adapter is None else adapter.engine_name, self._clock())
        lease = Lease(self, ticket)
        try:
            await self._admit(ticket)
            if adapter is not None:
                await self._ensure(adapter)
        except BaseException:
            lease.release()
            raise
        return lease

    @asynccontextmanager
    async def own(self, adapter: LoadedAdapter) -> AsyncIterator[None]:
        """Spans what the runtime itself does with an adapter, which is then in the engine; one at a time, and short.

        In a slot that no client gets: a change does not wait for a busy engine's names to end, and no name waits for it.

        Raises:
            LoadFailed: the engine refuses the adapter.
        """
        async with self._own_turn:
            self._own = adapter.engine_name
            try:
                await self.load(adapter)
                yield
            finally:
                self._own = None
                self._left.set()

    def leave(self, ticket: Ticket) -> None:
        """Ends a ticket's stay; see Lease.release."""
        self._admission.leave(ticket)
        self._left.set()
        self._pump()

    async def load(self, adapter: LoadedAdapter) -> None:
        """Brings an adapter into the engine, and pushes the least recently used one out if there is no room.

        Raises:
            LoadFailed: the engine refuses it and holds nothing of it.
        """
        async with self._turn:
            if adapter.engine_name not in self._cache:
                while self._cache.full:
                    await self._push_one_out()
                await self._loader.add(adapter)
                self._cache.add(adapter)
            if self._failures.pop(adapter.engine_name, None) is not None:
                self._trouble(adapter, None)

    def overtaken(self, engine_name: str) -> None:
        """Another revision answers for its name: where room is needed, it goes before what may be asked for."""
        self._cache.overtaken(engine_name)

    async def remove(self, adapter: LoadedAdapter) -> None:
        """Forgets an adapter that no request uses any more."""
        async with self._turn:
            if adapter.engine_name in self._cache:
                await self._loader.take_out(adapter)
                self._cache.remove(adapter.engine_name)
            self._failures.pop(adapter.engine_name, None)

    async def _admit(self, ticket: Ticket) -> None:
        self._admission.ask(ticket)
        admitted = self._admitted[ticket] = asyncio.get_running_loop().create_future()
        self._pump()
        try:
            if not admitted.done():
                await admitted
        finally:
            del self._admitted[ticket]

    def _pump(self) -> None:
        """Lets in who may go in, and looks again when somebody may have run out of patience."""
        for ticket in self._admission.admit(self._clock()):
            if not (admitted := self._admitted[ticket]).done():
                admitted.set_result(None)
        if self._admission.waiting and self._timer is None:
            patience = self._admission.patience_seconds
            self._timer = asyncio.get_running_loop().call_later(patience, self._again)

    def _again(self) -> None:
        self._timer = None
        self._pump()

    async def _ensure(self, adapter: LoadedAdapter) -> None:
        if adapter.engine_name in self._cache:
            self._cache.touch(adapter.engine_name)
            return
        failure = self._failures.get(adapter.engine_name)
        if failure is not None and self._clock() < failure.retry_at:
            raise LoadFailed(failure.message)
        load = self._loads.get(adapter.engine_name)
        if load is None:
            load = self._loads[adapter.engine_name] = asyncio.create_task(self._load_for_requests(adapter))
            load.add_done_callback(lambda done: self._loaded(adapter.engine_name, done))
        try:
            async with asyncio.timeout(_LOAD_WAIT_SECONDS):
                await asyncio.shield(load)
        except TimeoutError as error:
            raise LoadFailed(f"not loaded within {_LOAD_WAIT_SECONDS:g} s, the engine is busy with others") from error

    async def _load_for_requests(self, adapter: LoadedAdapter) -> None:
        name = adapter.engine_name
        try:
            await self.load(adapter)
        except LoadFailed as error:
            tries = self._failures[name].tries + 1 if name in self._failures else 1
            retry_at = self._clock() + retry_delay(tries)
            self._failures[name] = _Failure(str(error), tries, retry_at)
            self._trouble(adapter, str(error))
            raise

    def _loaded(self, engine_name: str, load: "asyncio.Task[None]") -> None:
        del self._loads[engine_name]
        if not load.cancelled():
            load.exception()  # seen, even if everybody who waited has left

    async def _push_one_out(self) -> None:
        victim = self._cache.victim(lambda name: name == self._own or self._admission.uses(name))
        if victim is None:
            # More adapters in use than fit; whoever ends next makes room.
            self._left.clear()
            await self._left.wait()
            return
        # First here: whoever wants it from now on waits for its next load.
        self._cache.remove(victim.engine_name)
        try:
            await self._loader.take_out(victim)
        except BaseException as error:
            self._cache.add(victim)
            if isinstance(error, TimeoutError):
                raise LoadFailed(f"the engine does not give {victim.served_name} up, whose room is needed") from error
            raise
