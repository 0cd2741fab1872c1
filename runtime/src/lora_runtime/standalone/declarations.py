"""Turns what is declared here into the document that the service works on, whenever either changes."""

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lora_api.local_api import LocalAdapter, LocalFile, LocalState
from lora_api.recipes.outcome import Blocked, Wanted
from lora_api.runtime_api import ResolveRequest, ResolveResponse, ResolveState
from lora_runtime.engine.protocol import NotServed
from lora_runtime.retries import retry_delay
from lora_runtime.service import Service
from lora_runtime.standalone import asked, manifest, telling
from lora_runtime.standalone.asked import Expected, There
from lora_runtime.standalone.conclude import NOTHING, Limits, conclude
from lora_runtime.standalone.past import Memory
from lora_runtime.standalone.wish import Declared, Wish, with_hub_token

log = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS = 0.5
"""How often the file is looked at: by its stamp, since nothing tells of changes in a mounted folder."""
_AT_REST_SECONDS = 0.5
"""A file that has changed is read once it has not changed for so long: half of it would take the other half away."""
_ASK_SECONDS = 5.0
"""How long one question waits before it is told how far a download is."""
_LONGEST_FILE = 4 << 20


_Stamp = tuple[int, int, int]
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Question:
    """What the source of one adapter holds."""

    request: ResolveRequest
    refresh: str | None
    poll_seconds: int | None
    answer: ResolveResponse | None = None
    """The last that says something; facts are not given up for a refusal."""
    refused: int = 0
    """Times in a row."""
    ask_at: float = 0.0
    """In monotonic seconds."""
    task: asyncio.Task[None] | None = None

    @property
    def answered(self) -> bool:
        """Whether it is known what the source holds, or why that cannot be known."""
        return self.answer is not None and self.answer.state is not ResolveState.FETCHING

    def hear(self, answer: ResolveResponse, now: float) -> None:
        """Takes an answer, and decides when to ask again; `now` in monotonic seconds."""
        self.ask_at = math.inf if self.poll_seconds is None else now + self.poll_seconds
        self.refused = 0 if answer.refusal is None else self.refused + 1
        if answer.refusal is not None and answer.refusal.retryable:
            self.ask_at = min(self.ask_at, now + retry_delay(self.refused))
        if answer.refusal is None or self.answer is None or self.answer.facts is None:
            self.answer = answer


class Declarations:
    """Lives on the service's event loop. What other threads may call is marked."""

    def __init__(
        self, service: Service, limits: Limits, declared: Declared, memory: Memory, clock: Callable[[], float]
    ) -> None:
        """Takes the service that is given the documents, what is remembered, and the monotonic time in seconds."""
        self._service, self._limits, self._memory, self._clock = service, limits, memory, clock
        self._loop = asyncio.get_running_loop()
        self._given, self._file, self._hub_token = declared.wishes, declared.file, declared.hub_token
        service.expect_more()
        self._read: tuple[Wish, ...] = ()
        self._was_read = False
        self._stamp: _Stamp | None = None
        """Of the content that was worked on last."""
        self._seen: _Stamp | None = None
        self._seen_at = 0.0
        self._problem: str | None = None
        self._questions: dict[str, _Question] = {}
        self._concluded = NOTHING
        self._news = asyncio.Event()

    def state(self) -> LocalState:
        """Any thread: what is declared and what has become of it."""
        file = None if self._file is None else LocalFile(path=str(self._file), problem=self._problem)
        inventory, settled = self._service.inventory(), self._service.settled
        concluded, pasts = self._concluded, self._memory.pasts
        return telling.state_of(concluded, pasts, inventory, file, self._limits, settled=settled)

    def not_ready(self, name: str) -> NotServed | None:
        """Any thread: why a declared name is not served; None if it is served or was never declared."""
        return telling.why_not_served(self.state(), name)

    async def declare(self, wish: Wish, expected: Expected, *, dry_run: bool) -> LocalAdapter:
        """Any event loop: has an adapter served as a request says; answers how it stands, or would stand.

        Raises:
            NotChanged: it cannot be.
        """
        return await self._on_loop(self._declare(wish, expected, dry_run=dry_run))

    async def drop(self, name: str, expected: Expected, *, dry_run: bool) -> None:
        """Any event loop: has an adapter served no longer.

        Raises:
            NotChanged: it cannot be.
        """
        await self._on_loop(self._drop(name, expected, dry_run=dry_run))

    async def resolve(self, request: ResolveRequest, wait_seconds: float) -> ResolveResponse:
        """Any event loop: see Service.resolve."""
        if self._hub_token:
            request = request.model_copy(update={"source": with_hub_token(request.source)})
        return await self._on_loop(self._service.resolve(request, wait_seconds))

    async def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _declare(self, wish: Wish, expected: Expected, *, dry_run: bool) -> LocalAdapter:
        wish = self._opened(wish)
        given = asked.declared(self._there, wish, self._limits.base, expected)
        if dry_run:
            return telling.only_checked(wish)
        log.info("declared by a request adapter=%s weight=%s", wish.name, wish.spec.weight)
        await self._give(given)
        return next(adapter for adapter in self.state().adapters if adapter.name == wish.name)

    async def _drop(self, name: str, expected: Expected, *, dry_run: bool) -> None:
        given = asked.dropped(self._there, name, expected)
        if not dry_run:
            log.info("dropped by a request adapter=%s", name)
            await self._give(given)

    async def _give(self, given: tuple[Wish, ...]) -> None:
        """Works on what is given now, before whoever asked for it is answered."""
        self._given = given
        if self._problem is not None:
            # It may have been what was given before.
            self._stamp = None
        self._ask()
        await self._conclude()
        self._news.set()

    @property
    def _there(self) -> There:
        given = tuple(map(self._opened, self._given))
        return There(given, self._read, "" if self._file is None else str(self._file))

    async def run(self) -> None:
        """Never returns."""
        while True:
            self._news.clear()
            await self._look()
            self._ask()
            await self._conclude()
            if all(question.answered for question in self._questions.values()):
                self._service.expect_more(more=False)
            await self._wait()

    async def _wait(self) -> None:
        now = self._clock()
        due = [max(0.0, q.ask_at - now) for q in self._questions.values() if q.task is None]
        if self._file is not None:
            due.append(_LOOK_EVERY_SECONDS)
        try:
            async with asyncio.timeout(min(due, default=None)):
                await self._news.wait()
        except TimeoutError:
            return

    async def _look(self) -> None:
        """Reads the file if it is another one than before; what it held before stays if it cannot be read."""
        if self._file is None:
            return
        try:
            stat = await asyncio.to_thread(self._file.stat)
            stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if stamp != self._seen:
                self._seen, self._seen_at = stamp, self._clock()
            if stamp == self._stamp or (self._was_read and self._clock() < self._seen_at + _AT_REST_SECONDS):
                return
            self._stamp = stamp
            text = await asyncio.to_thread(_text, self._file)
            found = tuple(self._opened(wish) for wish in manifest.wishes(text))
            given = asked.yielding(self._given, found)
            _check_names(given, found)
        except (OSError, UnicodeDecodeError, manifest.Unreadable) as error:
            problem = f"{self._file}: {error}"
            if isinstance(error, OSError):
                self._stamp = None
                problem = f"{self._file} cannot be read: {error.strerror}"
            if problem != self._problem:
                log.error("the adapters stay as they were: %s", problem)
            self._problem = problem
            return
        if self._problem is not None:
            log.info("the file can be read again file=%s", self._file)
        log.info("read file=%s adapters=%s", self._file, len(found))
        self._problem, self._read, self._was_read, self._given = None, found, True, given

    def _opened(self, wish: Wish) -> Wish:
        return wish.with_hub_token() if self._hub_token else wish

    @property
    def _wishes(self) -> tuple[Wish, ...]:
        return asked.in_order(tuple(map(self._opened, self._given)), self._read)

    def _ask(self) -> None:
        """Asks what is not known of the sources, and again where it is time to."""
        asked: dict[str, _Question] = {}
        for wish in self._wishes:
            source = wish.spec.source
            if source is None:
                continue
            request = ResolveRequest(source=source.place, digest=wish.spec.digest)
            question = self._questions.pop(wish.uid, None)
            if question is None or question.request != request or question.refresh != wish.refresh:
                _drop(question)
                question = _Question(request, wish.refresh, source.poll_seconds)
            question.poll_seconds = source.poll_seconds
            asked[wish.uid] = question
            if question.task is not None and question.task.done():
                # Whatever ended it is no answer: it must not go unheard.
                question.task.result()
            if question.task is None and question.ask_at <= self._clock():
                question.task = asyncio.create_task(self._answer(wish.name, question))
        for gone in self._questions.values():
            _drop(gone)
        self._questions = asked

    async def _answer(self, name: str, question: _Question) -> None:
        try:
            while (
                answer := await self._service.resolve(question.request, _ASK_SECONDS)
            ).state is ResolveState.FETCHING:
                if not question.answered:
                    question.answer = answer
                    self._news.set()
            question.hear(answer, self._clock())
            if answer.refusal is not None and question.answer is not answer:
                log.warning("no newer files adapter=%s why=%s", name, answer.refusal.message)
            question.task = None
        finally:
            self._news.set()

    async def _conclude(self) -> None:
        answers = {uid: q.answer for uid, q in self._questions.items() if q.answer is not None}
        unread = self._file is not None and not self._was_read
        concluded = conclude(self._wishes, answers, self._limits, self._service.desired, keep_others=unread)
        for uid, outcome in concluded.outcomes.items():
            if isinstance(outcome, Wanted) or (isinstance(outcome, Blocked) and outcome.waiting):
                continue
            if outcome != self._concluded.outcomes.get(uid):
                log.warning("refused adapter=%s reason=%s why=%s", uid, outcome.reason, outcome.message)
        self._memory.hear(concluded, keep_others=unread)
        self._concluded = concluded
        if concluded.document is not self._service.desired:
            # Last: another may conclude meanwhile.
            await self._service.put(concluded.document)


def _text(file: Path) -> str:
    with file.open("rb") as opened:
        found = opened.read(_LONGEST_FILE + 1)
    if len(found) > _LONGEST_FILE:
        raise manifest.Unreadable(f"it is longer than {_LONGEST_FILE} bytes")
    return found.decode()


def _check_names(given: Sequence[Wish], read: Sequence[Wish]) -> None:
    if twice := sorted({wish.name for wish in given} & {wish.name for wish in read}):
        raise manifest.Unreadable(f"{', '.join(twice)} is declared on the command line, too: keep one of them")


def _drop(question: _Question | None) -> None:
    if question is not None and question.task is not None:
        question.task.cancel()
