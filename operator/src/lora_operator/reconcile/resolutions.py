"""Questions to pods about adapters' sources that are under way, and their answers."""

import asyncio
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakValueDictionary

from lora_api.runtime_api import ResolveResponse, ResolveState
from lora_operator.clients.clock import Clock
from lora_operator.clients.runtime_admin import PodAddress, RuntimeAdmin
from lora_operator.domain import resolving
from lora_operator.domain.actions import ResolveSource
from lora_operator.domain.observed import ModelKey, Resolution, Unreachable
from lora_operator.reconcile.spawn import Spawn

_WAIT_SECONDS = 15.0
_AT_ONCE = 32
"""Questions to one pod that are under way together: a runtime has as many threads for files."""


@dataclass(frozen=True, slots=True)
class _Asking:
    source_hash: str
    task: asyncio.Task[None]


class Resolutions:
    """Asks, keeps the answer by the adapter's UID, and rings for the model at each step and at the end."""

    def __init__(self, admin: RuntimeAdmin, clock: Clock, spawn: Spawn, ring: Callable[[ModelKey], None]) -> None:
        self._admin = admin
        self._clock = clock
        self._spawn = spawn
        self._ring = ring
        self.since = clock.steady()
        """No answer is older."""
        self._answers: dict[ModelKey, dict[str, Resolution]] = {}
        self._asking: dict[ModelKey, dict[str, _Asking]] = {}
        self._room: WeakValueDictionary[PodAddress, asyncio.Semaphore] = WeakValueDictionary()

    def ask(self, key: ModelKey, pod: PodAddress, question: ResolveSource) -> None:
        """Starts to ask; a question about the same adapter that is under way is dropped for it."""
        asking = self._asking.setdefault(key, {})
        earlier = asking.pop(question.adapter_uid, None)
        if earlier is not None:
            earlier.task.cancel()
            # Nobody will ask on: its progress would look like that of a question under way.
            self._answers.get(key, {}).pop(question.adapter_uid, None)
        asking[question.adapter_uid] = _Asking(question.source_hash, self._spawn(self._ask(key, pod, question)))

    def answers(self, key: ModelKey) -> Mapping[str, Resolution]:
        """What is known, by UID of the adapter."""
        return dict(self._answers.get(key, {}))

    def under_way(self, key: ModelKey) -> Mapping[str, str]:
        """What pods are asked about now: the hash of the source by UID of the adapter."""
        return {uid: asking.source_hash for uid, asking in self._asking.get(key, {}).items()}

    def keep(self, key: ModelKey, uids: Set[str]) -> None:
        """Forgets all adapters of the model but these."""
        answers, asking = self._answers.get(key, {}), self._asking.get(key, {})
        for uid in answers.keys() - uids:
            del answers[uid]
        for uid in asking.keys() - uids:
            asking.pop(uid).task.cancel()
        if not answers:
            self._answers.pop(key, None)
        if not asking:
            self._asking.pop(key, None)

    def close(self) -> None:
        """Ends all questions."""
        for asking in self._asking.values():
            for question in asking.values():
                question.task.cancel()
        self._asking.clear()

    async def _ask(self, key: ModelKey, pod: PodAddress, question: ResolveSource) -> None:
        room = self._room.setdefault(pod, asyncio.Semaphore(_AT_ONCE))
        asked_at = self._clock.steady()
        while True:
            async with room:
                answer = await self._admin.resolve(pod, question.request, _WAIT_SECONDS)
            self._note(key, question, answer, asked_at)
            if isinstance(answer, Unreachable) or answer.state is not ResolveState.FETCHING:
                break
            self._ring(key)
        self._asking.get(key, {}).pop(question.adapter_uid, None)
        self._ring(key)

    def _note(
        self, key: ModelKey, question: ResolveSource, answer: ResolveResponse | Unreachable, asked_at: datetime
    ) -> None:
        self._answers.setdefault(key, {})[question.adapter_uid] = Resolution(
            source_hash=question.source_hash,
            answer=answer,
            attempts=question.attempt,
            retry_at=resolving.retry_at(answer, question.adapter_uid, question.attempt, self._clock.steady()),
            asked_at=asked_at,
        )
