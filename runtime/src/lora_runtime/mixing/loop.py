"""Brings the mixture that the document wants into the engine, and tells how far it is."""

import asyncio
import concurrent.futures
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from lora_api.mixture_api import MixtureReport, MixtureSpec, MixtureState
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import Refused
from lora_runtime.mixing.attempt import Attempt
from lora_runtime.mixing.making import Made
from lora_runtime.mixing.protocol import Busy, MixtureEngine, NotExchanged
from lora_runtime.mixture.shapes import difference
from lora_runtime.workshop import Progress

log = logging.getLogger(__name__)

_REPORT_EVERY_SECONDS = 1.0
_PAUSE_AFTER_BUSY = 5
"""Times the drain: clients that came in vain behind a long request must not wait again at once."""


class Maker(Protocol):
    """Makes folders of mixtures; see MixtureMaker."""

    latest: str | None

    async def make(self, spec: MixtureSpec, progress: Progress, fetched: Callable[[], None]) -> Made:
        """Returns the folder, or raises Refused."""
        ...


class MixtureLoop:
    """Owns what a pod has of its mixture. Lives on one event loop."""

    def __init__(
        self, maker: Maker, changed: Callable[[], None], *, clock: Callable[[], float], drain_seconds: float
    ) -> None:
        """Must be called on that loop.

        Args:
            maker: Makes folders.
            changed: Called when the report differs.
            clock: Monotonic time in seconds.
            drain_seconds: How long a change waits for requests under way to end.
        """
        self._maker, self._changed, self._clock, self._drain_seconds = maker, changed, clock, drain_seconds
        self.first: concurrent.futures.Future[Path] = concurrent.futures.Future()
        """The folder to start the engine with; any thread may wait for it."""
        self._engine: MixtureEngine | None = None
        self._attempt: Attempt | None = None
        self._started: tuple[str, Made] | None = None
        """The revision that the engine was started with, whose files it may read again."""
        self._serving: tuple[str, Made] | None = None
        self._wake = asyncio.Event()

    @property
    def settled(self) -> bool:
        """Any thread: whether the pod may be ready. What is wanted later does not hold it back."""
        return self._serving is not None

    @property
    def made(self) -> frozenset[str]:
        """Names of the folders in the store that must stay."""
        kept = [held[1] for held in (self._started, self._serving) if held is not None]
        if self._attempt is not None and self._attempt.made is not None:
            kept.append(self._attempt.made)
        latest = () if self._maker.latest is None else (self._maker.latest,)
        return frozenset([*(made.folder.name for made in kept), *latest])

    @property
    def digests(self) -> tuple[str, ...]:
        """Of the files that are wanted, as far as the document tells them."""
        return () if self._attempt is None else tuple(expert.digest for expert in self._attempt.spec.experts)

    def report(self) -> MixtureReport | None:
        """Any thread: what there is; None where none is wanted."""
        attempt, serving = self._attempt, self._serving
        return None if attempt is None else attempt.report(None if serving is None else serving[0])

    def want(self, spec: MixtureSpec | None) -> None:
        """This one is wanted now."""
        if spec is None:
            self._attempt = None
        elif self._attempt is None or self._attempt.spec != spec:
            self._attempt = Attempt(spec)
        self._wake.set()

    def attach(self, engine: MixtureEngine) -> None:
        """The engine serves what it was started with."""
        self._engine, self._serving = engine, self._started
        self._wake.set()
        self._changed()

    async def run(self) -> None:
        """Does not end."""
        while True:
            self._wake.clear()
            attempt = self._attempt
            if attempt is None or not attempt.due(self._clock()):
                await self._woken(None if attempt is None else attempt.retry_at)
            elif attempt.made is None:
                await self._make_while_wanted(attempt)
            elif self._engine is None:
                self._start(attempt, attempt.made)
                await self._woken(None)
            else:
                await self._serve(attempt, attempt.made, self._engine)

    async def _woken(self, until: float | None) -> None:
        timeout = None if until is None else max(0.0, until - self._clock())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wake.wait()

    async def _make_while_wanted(self, attempt: Attempt) -> None:
        """Makes the folder, and gives up as soon as another mixture is wanted."""
        attempt.to(MixtureState.FETCHING)
        attempt.progress = Progress()
        self._changed()
        work = asyncio.create_task(self._make(attempt))
        try:
            while not work.done() and self._attempt is attempt:
                shown = attempt.progress.done
                waker = asyncio.create_task(self._wake.wait())
                await asyncio.wait({work, waker}, timeout=_REPORT_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                waker.cancel()
                self._wake.clear()
                if attempt.progress.done != shown:
                    self._changed()
        finally:
            if not work.done():
                log.info("given up mixture=%s why=superseded", attempt.spec.revision)
                work.cancel()
            await asyncio.wait({work})
        if not work.cancelled():
            work.result()
        self._changed()

    async def _make(self, attempt: Attempt) -> None:
        def fetched() -> None:
            attempt.to(MixtureState.LOADING)
            self._changed()

        revision = attempt.spec.revision
        try:
            attempt.made = await self._maker.make(attempt.spec, attempt.progress, fetched)
        except Refused as error:
            refusal = error.refusal
            self._fail(attempt, refusal.reason, refusal.message, retryable=refusal.retryable)
        except Exception as error:
            # Whatever is wrong with one mixture must not end the process that serves another.
            log.exception("unexpected mixture=%s", revision)
            self._fail(attempt, Reason.LOAD_FAILED, f"unexpected {type(error).__name__}: {error}", retryable=True)
        else:
            attempt.to(MixtureState.LOADING)
            log.info("made mixture=%s folder=%s", revision, attempt.made.folder.name)

    def _start(self, attempt: Attempt, made: Made) -> None:
        """Has the engine started with it, unless that was begun with another one."""
        if self._started is None:
            self._started = (attempt.spec.revision, made)
            self.first.set_result(made.folder)

    async def _serve(self, attempt: Attempt, made: Made, engine: MixtureEngine) -> None:
        assert self._serving is not None  # noqa: S101  # since there is an engine
        revision, (_, before) = attempt.spec.revision, self._serving
        if made.folder != before.folder:
            if (unlike := difference(before.shape, made.shape)) is not None:
                attempt.to(MixtureState.NEEDS_RESTART, f"{unlike}; the engine has to be started anew for that")
                log.info("needs a restart mixture=%s why=%s", revision, unlike)
                self._changed()
                return
            attempt.to(MixtureState.DRAINING)
            self._changed()
            began = self._clock()
            try:
                await engine.exchange(made.folder, before.folder, self._drain_seconds)
            except Busy:
                pause = _PAUSE_AFTER_BUSY * self._drain_seconds
                why = (
                    f"requests under way did not end within {self._drain_seconds:g} s, so revision {self._serving[0]} serves "
                    f"on; tried again after {pause:g} s"
                )
                self._fail(attempt, Reason.UPDATE_HELD, why, retryable=True, pause_seconds=pause)
                self._changed()
                return
            except NotExchanged as error:
                self._fail(attempt, Reason.LOAD_FAILED, f"the engine refused it: {error}", retryable=True)
                self._changed()
                return
            log.info("exchanged mixture=%s before=%s seconds=%.3f", revision, self._serving[0], self._clock() - began)
        self._serving = (revision, made)
        attempt.to(MixtureState.SERVING)
        log.info("serving mixture=%s", revision)
        self._changed()

    def _fail(
        self, attempt: Attempt, reason: Reason, message: str, *, retryable: bool, pause_seconds: float = 0.0
    ) -> None:
        attempt.failed(reason, message, self._clock(), retryable=retryable, pause_seconds=pause_seconds)
        log.warning(
            "failed mixture=%s reason=%s retryable=%s why=%s", attempt.spec.revision, reason, retryable, message
        )
