"""The runtime's heart: holds the desired document, one loop per served name, and tells what there is."""

import asyncio
import contextvars
import functools
import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping
from pathlib import Path
from typing import Protocol

from lora_api.differing import differing
from lora_api.runtime_api import (
    Desired,
    DesiredAdapter,
    DesiredPatch,
    EngineMemory,
    Inventory,
    Mismatch,
    ResolveRequest,
    ResolveResponse,
    RevisionSpec,
    RevisionState,
)
from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.model import Composition
from lora_runtime.adapter_loop import AdapterLoop, EngineTurn, Maker
from lora_runtime.bulletin import Bulletin
from lora_runtime.composing import Wish
from lora_runtime.compositions import Compositions
from lora_runtime.engine.protocol import Engine, LoadedAdapter, NotServed, Tier
from lora_runtime.kept_document import KeptDocument
from lora_runtime.mixing.loop import MixtureLoop
from lora_runtime.mixing.protocol import MixtureEngine
from lora_runtime.observer import Nobody, Observer
from lora_runtime.readiness import Readiness
from lora_runtime.resolutions import Resolutions, Resolver
from lora_runtime.store.content import Needed
from lora_runtime.switching import Switching

log = logging.getLogger(__name__)

Clock = Callable[[], float]

_PATIENCE_SECONDS = 30.0
"""How long a pod that starts without a document waits for one before it becomes ready with the base model alone."""

TIDY_AFTER_SECONDS = 5.0
"""Files are collected this long after a change, so that a burst of changes costs one sweep."""


class OutOfOrder(Exception):
    """The document is older than the one being worked on."""


class Work(Maker, Resolver, Protocol):
    """Makes revisions and resolves sources; see Workshop."""


class Files(Protocol):
    """Where they are kept; see ContentStore."""

    def keep(self, needed: Callable[[], Needed]) -> None:
        """Sets who knows what must stay."""
        ...

    async def collect(self) -> None:
        """Removes what need not stay, where its room is needed."""
        ...


class Service:
    """Lives on one event loop. What other threads may call is marked."""

    def __init__(
        self,
        *,
        boot_id: str,
        workshop: Work,
        files: Files,
        state_folder: Path,
        clock: Clock,
        tidy_after_seconds: float = TIDY_AFTER_SECONDS,
        observer: Observer = Nobody(),  # noqa: B008  (holds nothing)
        composition: Composition | None = None,
        mixtures: Callable[[Callable[[], None]], MixtureLoop] | None = None,
    ) -> None:
        """Must be called on the loop it will live on.

        Args:
            boot_id: new at every start of the process.
            workshop: resolves sources and makes revisions.
            files: told which of its contents are still needed.
            state_folder: keeps the last document over a restart of the container.
            clock: monotonic time in seconds.
            tidy_after_seconds: how long after a change files are collected.
            observer: told what happens to adapters.
            composition: what requests may compose; None: nothing.
            mixtures: makes the loop of a pod whose model is a mixture, which calls back whenever its report differs.
        """
        self._observer = observer
        self._tidy_after_seconds = tidy_after_seconds
        self._loop = asyncio.get_running_loop()
        self._boot_id = boot_id
        self._bulletin = Bulletin(boot_id, clock)
        self._workshop = workshop
        self._files = files
        files.keep(self._needed)
        self._kept = KeptDocument(state_folder)
        self._switching = Switching()
        self._clock = clock
        self._resolutions = Resolutions(workshop)
        self._turn = EngineTurn()
        self._desired: Desired | None = None
        self._readiness = Readiness()
        self._more_is_coming = False
        self._loops: dict[str, AdapterLoop] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._untidy = asyncio.Event()
        self._compositions = Compositions(
            composition, workshop, self._turn, clock, observer, served=self._serving, spawn=self._spawn
        )
        self._mixture = None if mixtures is None else mixtures(self._changed)
        if self._mixture is not None:
            self._spawn(self._mixture.run())
        self._spawn(self._tidy())

    def attach_engine(self, engine: Engine) -> None:
        """Any thread: the engine can load."""

        def attach() -> None:
            self._turn.engine.set_result(engine)
            self._loop.call_later(_PATIENCE_SECONDS, self._end_patience)
            self._await_all()
            self._changed()

        self._loop.call_soon_threadsafe(attach)

    def attach_mixture(self, engine: MixtureEngine) -> None:
        """Any thread: the engine serves the mixture that it was started with."""
        assert self._mixture is not None  # noqa: S101  # or no such engine would have been started
        self._loop.call_soon_threadsafe(self._mixture.attach, engine)

    def first_mixture(self) -> Path:
        """Another thread: waits until there is a folder to start the engine with."""
        assert self._mixture is not None  # noqa: S101  # nobody else waits for one
        return self._mixture.first.result()

    def tell_trouble(self, adapter: LoadedAdapter, message: str | None) -> None:
        """Any thread: an adapter in service could not be loaded for a request, or can again."""

        def tell() -> None:
            if (loop := self._loops.get(adapter.served_name)) is not None:
                loop.trouble(adapter, message)

        self._loop.call_soon_threadsafe(tell)

    async def compose(self, model: str, wish: Wish) -> str:
        """Any event loop: see Compositions.serve."""
        work = asyncio.run_coroutine_threadsafe(self._compositions.serve(model, wish), self._loop)
        return await asyncio.wrap_future(work)

    def _serving(self, name: str) -> RevisionSpec | None:
        loop = self._loops.get(name)
        return None if loop is None else loop.serving

    def not_ready(self, name: str) -> NotServed | None:
        """Any thread: why a declared name is not served; None if it is served or was never declared."""
        loop = self._loops.get(name)
        if loop is None or loop.wanted is None:
            return None
        report = loop.report()
        if report.serving is not None:
            return None
        found = next((r for r in report.revisions if r.state is not RevisionState.DRAINING), None)
        reason = Reason.PENDING if found is None else found.reason or Reason.LOADING
        state = reason if found is None else found.reason or found.state
        message = (
            f"The adapter `{name}` is declared but not served yet ({state}): the status of its LoRAAdapter says why."
        )
        return NotServed(reason, message)

    @property
    def settled(self) -> bool:
        """Any thread: whether the pod may be ready.

        True from when each adapter that was declared when the engine was there is served or has failed, or the mixture is.
        """
        return self._readiness.reached if self._mixture is None else self._mixture.settled

    @property
    def desired(self) -> Desired | None:
        """The document that is worked on."""
        return self._desired

    def expect_more(self, *, more: bool = True) -> None:
        """Whether the document is about to change before it is what this process is to begin with."""
        self._more_is_coming = more
        self._await_all()

    async def restore(self, document_file: Path) -> None:
        """Begins with the newer of the mounted document and the one kept over a container's restart."""
        found = self._kept.or_newer(document_file)
        if found is not None:
            self._adopt(found)

    async def put(self, document: Desired) -> None:
        """Makes a document the goal. What it only switches is switched when this returns, unless that takes more than a moment.

        Raises:
            OutOfOrder: the pod works on a later one, or on another one with the same sequence.
        """
        current = self._desired
        if current is not None and document.etag == current.etag:
            return
        if current is not None and document.sequence <= current.sequence:
            raise OutOfOrder(
                f"this pod works on document {current.sequence} ({current.etag}); "
                f"{document.sequence} ({document.etag}) does not come after it"
            )
        switching = self._adopt(document)
        # Nobody waits for the disk: who falls back to an older one is told once more.
        self._spawn(self._kept.keep(lambda: self._desired or document))
        await self._switching.wait(switching)

    async def patch(self, etag: str, patch: DesiredPatch) -> None:
        """Makes the document with this etag, changed by a patch, the goal.

        Raises:
            Mismatch: the pod works on another document, or the patch makes another one of it.
            OutOfOrder: see `put`.
        """
        current = self._desired
        if current is not None and current.etag == patch.etag:
            return
        if current is None or current.etag != etag:
            raise Mismatch(f"this pod works on document {None if current is None else current.etag}, not on {etag}")
        await self.put(current.patched(patch))

    def inventory(self, since: str | None = None) -> Inventory:
        """Any thread: what there is now. On the loop, `since` leaves out what is as it was in the inventory of that etag."""
        engine = self._turn.engine
        version = self._bulletin.version
        earlier, news = self._bulletin.since(since) or (None, None)
        # A copy, made in one step: other threads look, too.
        loops = self._loops.copy()
        names = sorted(loops if news is None else news.changed)
        return Inventory(
            boot_id=self._boot_id,
            etag=f"{self._boot_id}-{version}",
            version=version,
            desired_sequence=self._desired.sequence if self._desired is not None else None,
            desired_etag=self._desired.etag if self._desired is not None else None,
            capacity=engine.result().capacity if engine.done() else None,
            adapters=tuple(loops[name].report() for name in names),
            mixture=None if self._mixture is None else self._mixture.report(),
            since=earlier,
            gone=() if news is None else tuple(sorted(news.gone)),
        )

    async def inventory_after(self, etag: str | None, wait_seconds: float, since: str | None = None) -> Inventory:
        """What there is, as soon as there is news since what `etag` names, or after `wait_seconds`; see `inventory`."""
        await self._bulletin.await_after(etag, wait_seconds)
        return self.inventory(since)

    def tiers(self) -> Mapping[Tier, int]:
        """Any thread: how many of all loaded or registered revisions wait where for their next request.

        Not in the inventory: it changes with traffic, and each change there wakes the operator.
        """
        engine = self._turn.engine
        if not engine.done():
            return {}
        loaded = [adapter for loop in self._loops.copy().values() for adapter in loop.loaded]
        return Counter(engine.result().tier(adapter) for adapter in loaded)

    async def memory(self) -> EngineMemory | None:
        """What the engine's own tensors take now; None until the engine is there."""
        engine = self._turn.engine
        return await engine.result().memory() if engine.done() else None

    async def resolve(self, request: ResolveRequest, wait_seconds: float) -> ResolveResponse:
        """Finds, pins and checks one source; says Fetching if that takes longer than `wait_seconds`."""
        return await self._resolutions.answer(request, wait_seconds)

    def _adopt(self, document: Desired) -> Collection[str]:
        """Returns the names that only have to be switched."""
        before: Mapping[str, DesiredAdapter] = {} if self._desired is None else self._desired.by_name
        self._desired, wanted = document, document.by_name
        for name in wanted.keys() - self._loops.keys():
            told = functools.partial(self._loop_changed, name)
            loop = AdapterLoop(name, self._workshop, self._turn, told, self._clock, self._observer)
            self._loops[name] = loop
            self._bulletin.came(name)
            self._spawn(self._run(loop))
        # Each loop wants what the document before says of its name: of thousands, a change leaves all but a few as they are.
        differ = differing(before, wanted) & self._loops.keys()
        for name in differ:
            self._loops[name].want(wanted.get(name))
            self._settle(name)
        if self._mixture is not None:
            self._mixture.want(document.mixture)
        self._await_all()
        log.info("desired sequence=%s etag=%s adapters=%s", document.sequence, document.etag, len(wanted))
        # Whoever sent it is told by the answer.
        self._changed(at_once=False)
        return {name for name in differ if self._loops[name].about_to_switch}

    def _await_all(self) -> None:
        """What is declared when the engine is there holds readiness back; what comes later does not."""
        complete = self._desired is not None and not self._more_is_coming
        if self._readiness.begun or not self._turn.engine.done() or not complete:
            return
        self._readiness.begin(self._loops)
        for name in self._loops:
            self._settle(name)

    def _end_patience(self) -> None:
        """Nobody sent a document in time: one that comes now does not hold readiness back any more."""
        if not self._readiness.begun:
            self._readiness.begin(())
        self._changed()

    async def _run(self, loop: AdapterLoop) -> None:
        while True:
            await loop.run()
            if loop.wanted is None:
                break
        del self._loops[loop.name]
        self._compositions.review()
        self._observer.forget(loop.name)
        self._readiness.settled(loop.name)
        self._bulletin.gone(loop.name)
        self._untidy.set()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        # In no context: none of them works for the request in which it may have been begun.
        task = asyncio.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A loop that died would leave its name wrong for ever; a fresh process starts from the document.
            log.critical("a loop of the runtime failed; the process ends", exc_info=error)
            os._exit(70)

    def _loop_changed(self, name: str) -> None:
        self._compositions.review()
        self._settle(name)
        loop = self._loops[name]
        if loop.about_to_switch:
            self._bulletin.changed(name, loop.arrived, at_once=False)
        else:
            self._bulletin.changed(name, loop.arrived, at_once=name not in self._switching)
            self._switching.ended(name)
        self._untidy.set()

    def _settle(self, name: str) -> None:
        # One name at a time: thousands of them change thousands of times while a pod starts.
        if self._readiness.awaits(name) and self._loops[name].settled():
            self._readiness.settled(name)

    def _changed(self, *, at_once: bool = True) -> None:
        self._bulletin.next(at_once=at_once)
        self._untidy.set()

    def _needed(self) -> Needed:
        specs = [spec for loop in self._loops.values() for spec in loop.specs]
        specs += self._compositions.specs
        for adapter in self._desired.adapters if self._desired is not None else ():
            specs += [spec for spec in (adapter.serve, adapter.prepare) if spec is not None]
        digests = tuple(self._resolutions.digests)
        if self._mixture is None:
            return Needed(digests, specs)
        return Needed((*digests, *self._mixture.digests), specs, self._mixture.made)

    async def _tidy(self) -> None:
        while True:
            await self._untidy.wait()
            await asyncio.sleep(self._tidy_after_seconds)
            self._untidy.clear()
            try:
                await self._files.collect()
            except OSError as error:
                # A full or failing disk: what cannot be removed now is removed after the next change.
                log.warning("not tidied why=%s", error)
