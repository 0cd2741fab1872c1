"""Brings one served name from what is here to what is wanted, one step at a time."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

from lora_api.runtime_api import AdapterReport, DesiredAdapter, RevisionSpec, RevisionState
from lora_api.v1alpha1.adapter import Verify
from lora_api.v1alpha1.conditions import Reason
from lora_runtime import golden, plan
from lora_runtime.adapters.errors import Refused
from lora_runtime.engine.protocol import Engine, LoadedAdapter, LoadFailed
from lora_runtime.held import Held
from lora_runtime.observer import Nobody, Observer, Stage
from lora_runtime.retries import retry_delay
from lora_runtime.store.versions import Published
from lora_runtime.workshop import Progress

log = logging.getLogger(__name__)

T = TypeVar("T")

_REPORT_EVERY_SECONDS = 1.0
_LINGER_SECONDS = 0.25
"""What was replaced stays in the engine for so long: its successor's first answers do not wait until it is out."""
_ARRIVED = frozenset({RevisionState.PREPARED, RevisionState.SERVING, RevisionState.FAILED})


class Maker(Protocol):
    """Makes the folder of a revision; see Workshop."""

    async def make(self, spec: RevisionSpec, progress: Progress) -> Published:
        """Returns the folder, or raises Refused."""
        ...


class EngineTurn:
    """The engine once it is there, and the right to load into it: one at a time, since each load stalls its batch."""

    def __init__(self) -> None:
        self.engine: asyncio.Future[Engine] = asyncio.get_running_loop().create_future()
        self.lock = asyncio.Lock()


class AdapterLoop:
    """Owns everything this pod has of one served name."""

    def __init__(
        self,
        name: str,
        workshop: Maker,
        turn: EngineTurn,
        changed: Callable[[], None],
        clock: Callable[[], float],
        observer: Observer = Nobody(),  # noqa: B008  (holds nothing)
    ) -> None:
        """Takes what it shares with the loops of other names.

        Args:
            name: the served name.
            workshop: makes folders out of recipes.
            turn: the engine, and the right to load into it.
            changed: called after every change that a report would show.
            clock: monotonic time in seconds.
            observer: told how long things take, and what fails.
        """
        self.name = name
        self._workshop = workshop
        self._turn = turn
        self._changed = changed
        self._clock = clock
        self._observer = observer
        self._wanted: DesiredAdapter | None = None
        self._uid = ""
        self._held: list[Held] = []
        self._wake = asyncio.Event()
        self._retiring: set[asyncio.Task[None]] = set()

    def want(self, wanted: DesiredAdapter | None) -> None:
        """Sets the goal; None lets the name go."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._wake.set()

    @property
    def wanted(self) -> DesiredAdapter | None:
        """The goal."""
        return self._wanted

    @property
    def serving(self) -> RevisionSpec | None:
        """The recipe of what answers new requests now. Any thread may ask."""
        return next((held.spec for held in self._held if held.state is RevisionState.SERVING), None)

    @property
    def about_to_switch(self) -> bool:
        """Whether it is ready to answer with what it does not answer with yet."""
        serve = None if self._wanted is None else self._wanted.serve
        held = None if serve is None else self._live(serve.revision)
        return held is not None and held.state is RevisionState.PREPARED

    @property
    def specs(self) -> tuple[RevisionSpec, ...]:
        """Every recipe whose files must stay: what the engine may read again, and what is under way."""
        return tuple(held.spec for held in self._held)

    @property
    def loaded(self) -> tuple[LoadedAdapter, ...]:
        """What the engine was given of it and not asked to remove yet."""
        return tuple(held.loaded for held in self._held if held.loaded is not None)

    def report(self) -> AdapterReport:
        """What is here."""
        return AdapterReport(
            name=self.name, uid=self._uid or None, revisions=tuple(held.report() for held in self._held)
        )

    @property
    def arrived(self) -> frozenset[tuple[str, RevisionState]]:
        """The revisions that have come to where somebody waits for them."""
        return frozenset((held.spec.revision, held.state) for held in self._held if held.state in _ARRIVED)

    def trouble(self, adapter: LoadedAdapter, message: str | None) -> None:
        """The engine could not load what is in service for a request; None: it can again."""
        for held in self._held:
            if held.loaded == adapter:
                held.trouble = message
                self._changed()

    def settled(self) -> bool:
        """Whether a starting pod need not wait for this name any longer."""
        serve = self._wanted.serve if self._wanted is not None else None
        if serve is None:
            return True
        held = self._live(serve.revision)
        if held is None:
            return False
        return held.state is RevisionState.SERVING or held.given_up

    async def run(self) -> None:
        """Returns when the name is let go and nothing of it is left."""
        while True:
            self._wake.clear()
            match self._next():
                case plan.Rest(until):
                    if self._wanted is None and not self._held:
                        return
                    await self._woken(until)
                case plan.Prepare(spec):
                    await self._prepare_while_wanted(spec)
                case plan.Flip(revision, uid):
                    await self._flip(revision, uid)
                case plan.Recheck(spec):
                    await self._recheck(spec)
                case plan.Withdraw():
                    await self._withdraw()
                case plan.Discard(revision):
                    held = self._live(revision)
                    assert held is not None  # noqa: S101  # the plan was made from what is held
                    self._retire(held, why="nobody wants it any more")

    def _next(self) -> plan.Step:
        self._forget_failures()
        live = [held for held in self._held if held.state is not RevisionState.DRAINING]
        local = plan.Local(
            uid=self._uid,
            serving=next((h.spec.revision for h in live if h.state is RevisionState.SERVING), None),
            prepared=frozenset(h.spec.revision for h in live if h.state is RevisionState.PREPARED),
            unchecked={h.spec.revision: h.retry_at for h in live if h.loaded is not None and self._is_unchecked(h)},
            failed={h.spec.revision: h.retry_at for h in live if h.state is RevisionState.FAILED},
        )
        return plan.next_step(self._wanted, local, self._clock())

    def _is_unchecked(self, held: Held) -> bool:
        wanted = () if self._wanted is None else (self._wanted.serve, self._wanted.prepare)
        return any(
            spec is not None and spec.revision == held.spec.revision and spec.verify != held.spec.verify
            for spec in wanted
        )

    def _forget_failures(self) -> None:
        """Forgets the failures of what is not wanted, and of the same bytes from a place that is not wanted."""
        wanted = () if self._wanted is None else (self._wanted.serve, self._wanted.prepare)
        questions = [spec.verify for spec in wanted if spec is not None]
        for held in self._held:
            if held.unasked is not None and held.unasked[0] not in questions:
                held.asked_otherwise()
                self._changed()
        kept = [held for held in self._held if held.state is not RevisionState.FAILED or held.spec in wanted]
        if len(kept) < len(self._held):
            self._held = kept
            self._changed()

    def _live(self, revision: str) -> Held | None:
        found = (h for h in self._held if h.spec.revision == revision and h.state is not RevisionState.DRAINING)
        return next(found, None)

    async def _woken(self, until: float | None) -> None:
        timeout = None if until is None else max(0.0, until - self._clock())
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _prepare_while_wanted(self, spec: RevisionSpec) -> None:
        """Prepares, and gives up as soon as the plan says something else, unless the engine is at it."""
        held = self._live(spec.revision)
        if held is None or held.spec != spec:
            # The same bytes from another place: what was wrong with the first place says nothing about this one.
            if held is not None:
                self._held.remove(held)
            held = Held(spec)
            self._held.append(held)
        held.begin()
        self._changed()
        work = asyncio.create_task(self._prepare(held))
        try:
            while not work.done():
                await self._watch(work, held)
                if self._wake.is_set() and not work.done() and not held.in_engine and not self._still_next(spec):
                    log.info("given up adapter=%s revision=%s why=superseded", self.name, spec.revision)
                    break
                self._wake.clear()
        finally:
            if not work.done():
                work.cancel()
                self._held.remove(held)
                self._changed()
            await asyncio.wait({work})
        if not work.cancelled():
            work.result()

    async def _watch(self, work: "asyncio.Task[T]", held: Held) -> None:
        """Returns when the work is done, the goal changes, or it is time to tell how far a download is."""
        shown = held.progress.done
        waker = asyncio.create_task(self._wake.wait())
        await asyncio.wait({work, waker}, timeout=_REPORT_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        waker.cancel()
        if held.progress.done != shown:
            self._changed()

    def _still_next(self, spec: RevisionSpec) -> bool:
        step = self._next()
        return isinstance(step, plan.Prepare) and step.spec == spec

    async def _prepare(self, held: Held) -> None:
        began = self._clock()
        try:
            made = await self._workshop.make(held.spec, held.progress)
            held.made(made)
            self._changed()
            waits = self._clock()
            engine = await asyncio.shield(self._turn.engine)
            # An engine that starts takes its minutes once, whatever is prepared meanwhile.
            began += held.progress.waited_seconds + self._clock() - waits
            async with self._turn.lock:
                held.in_engine = True
                loaded = await engine.load(self.name, held.spec.revision, made.folder)
            # Nobody waits for the answer of what is not wanted any more.
            held.in_engine = False
            objection = await self._checked(loaded, held.spec)
        except Refused as error:
            self._fail(held, error.refusal.reason, error.refusal.message, retryable=error.refusal.retryable)
        except LoadFailed as error:
            self._fail(held, error.reason, f"the engine refused it: {error}", retryable=True)
        except Exception as error:
            # Whatever is wrong with one adapter must not end the process that serves the others.
            log.exception("unexpected adapter=%s revision=%s", self.name, held.spec.revision)
            self._fail(held, Reason.LOAD_FAILED, f"unexpected {type(error).__name__}: {error}", retryable=True)
        else:
            if objection is not None:
                self._take_out(loaded, held.spec)
                self._fail(held, Reason.VERIFY_FAILED, objection, retryable=False)
                self._changed()
                return
            held.prepared(loaded, engine.host_bytes(made.elements))
            self._observer.took(Stage.PREPARE, self._clock() - began)
            log.info("prepared adapter=%s revision=%s rank=%s", self.name, held.spec.revision, held.rank)
        finally:
            held.in_engine = False
        self._changed()

    async def _checked(self, adapter: LoadedAdapter, spec: RevisionSpec) -> str | None:
        """Lets a revision that no client sees answer; returns what is wrong with that."""
        try:
            return await self._objection(adapter, spec.verify)
        except BaseException:
            self._take_out(adapter, spec)
            raise

    def _take_out(self, adapter: LoadedAdapter, spec: RevisionSpec) -> None:
        """Gives the memory of what will not be served back."""
        held = Held(spec, loaded=adapter)
        self._held.append(held)
        self._retire(held, why="it did not pass its check")

    async def _recheck(self, spec: RevisionSpec) -> None:
        """Lets what is in service answer, unless the plan says something else meanwhile."""
        held = self._live(spec.revision)
        assert held is not None and held.loaded is not None  # noqa: S101, PT018  # it is in service
        work = asyncio.create_task(self._objection(held.loaded, spec.verify))
        try:
            while not work.done() and self._next() == plan.Recheck(spec):
                await self._watch(work, held)
                self._wake.clear()
        finally:
            work.cancel()
            await asyncio.wait({work})
        if work.cancelled():
            return
        try:
            objection = work.result()
        except LoadFailed as error:
            # Which says nothing about the adapter: it is asked again.
            assert spec.verify is not None  # noqa: S101  # nothing else is asked
            held.not_rechecked(spec.verify, str(error), now=self._clock())
            log.warning("not checked adapter=%s revision=%s why=%s", self.name, spec.revision, error)
        else:
            held.rechecked(spec, objection)
            log.info("checked adapter=%s revision=%s objection=%s", self.name, spec.revision, objection)
        self._changed()

    async def _objection(self, adapter: LoadedAdapter, verify: Verify | None) -> str | None:
        """What is wrong with what an adapter answers."""
        if verify is None:
            return None
        engine = await asyncio.shield(self._turn.engine)
        return golden.objection(verify, await engine.answer(adapter, verify.prompt, verify.max_tokens))

    def _fail(self, held: Held, reason: Reason, message: str, *, retryable: bool) -> None:
        held.failed(reason, message, retryable=retryable, now=self._clock())
        self._observer.failed(reason)
        log.warning(
            "failed adapter=%s revision=%s reason=%s retryable=%s why=%s",
            self.name, held.spec.revision, reason, retryable, message,
        )  # fmt: skip

    async def _flip(self, revision: str, uid: str) -> None:
        held = self._live(revision)
        assert held is not None and held.loaded is not None  # noqa: S101, PT018  # a prepared revision is loaded
        engine = await asyncio.shield(self._turn.engine)
        began = self._clock()
        await engine.publish(held.loaded)
        took = self._clock() - began
        self._observer.took(Stage.FLIP, took)
        before = [other for other in self._held if other.state is RevisionState.SERVING]
        held.state = RevisionState.SERVING
        # Of the object that it was flipped for, whatever has become of the goal meanwhile.
        self._uid = uid
        log.info("serving adapter=%s revision=%s took_ms=%.1f", self.name, revision, took * 1000)
        for other in before:
            self._retire(other, why=f"replaced by {revision}", in_seconds=_LINGER_SECONDS)
        self._changed()

    async def _withdraw(self) -> None:
        engine = await asyncio.shield(self._turn.engine)
        await engine.withdraw(self.name)
        for held in [held for held in self._held if held.state is RevisionState.SERVING]:
            self._retire(held, why="the name was let go")
        self._uid = ""

    def _retire(self, held: Held, why: str, in_seconds: float = 0) -> None:
        held.state = RevisionState.DRAINING
        log.info("draining adapter=%s revision=%s why=%s", self.name, held.spec.revision, why)
        task = asyncio.create_task(self._drain(held, in_seconds))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        self._changed()

    async def _drain(self, held: Held, in_seconds: float) -> None:
        assert held.loaded is not None  # noqa: S101  # only what the engine has is retired
        engine = await asyncio.shield(self._turn.engine)
        began = self._clock()
        await asyncio.gather(engine.drained(held.loaded), asyncio.sleep(in_seconds))
        tries = 0
        while not await self._removed(engine, held.loaded):
            tries += 1
            await asyncio.sleep(retry_delay(tries))
        self._observer.took(Stage.DRAIN, self._clock() - began)
        self._held.remove(held)
        log.info("removed adapter=%s revision=%s", self.name, held.spec.revision)
        self._wake.set()
        self._changed()

    async def _removed(self, engine: Engine, adapter: LoadedAdapter) -> bool:
        try:
            await engine.remove(adapter)
        except Exception:
            # Its memory is still taken: to be tried again, however often, while the process lives.
            log.exception("not removed adapter=%s engine_name=%s", self.name, adapter.engine_name)
            return False
        return True
