"""What each pod says it has: one long poll per pod, so that pods tell and nobody asks twice."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from lora_api.runtime_api import AdapterReport, Desired, Inventory
from lora_operator.clients.runtime_admin import PodAddress, RuntimeAdmin
from lora_operator.domain.observed import ModelKey, Unreachable
from lora_operator.reconcile.pace import Pace
from lora_operator.reconcile.queue import Backoff
from lora_operator.reconcile.spawn import Spawn

_logger = logging.getLogger(__name__)

_POLL_SECONDS = 20.0
"""A pod that hangs without closing its connection is found out after this long and the client's grace."""


@dataclass(frozen=True, slots=True)
class _Telling:
    """A document on its way to a pod."""

    document: Desired
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Watched:
    answer: Inventory | Unreachable
    task: asyncio.Task[None] | None = None
    telling: _Telling | None = None
    called: tuple[str, str] | None = None
    """What the pod calls the last document that it took, and what that is called here."""
    refusal: str | None = None
    """What the pod answered to the last document that it was told; None when it took that."""
    renamed: tuple[Inventory, Inventory] | None = None
    """The last answer, and the same with its document called as it is called here."""


class Inventories:
    """The last answer of every pod of every model; rings for the model when one changes."""

    def __init__(
        self,
        admin: RuntimeAdmin,
        backoff: Backoff,
        spawn: Spawn,
        ring: Callable[[ModelKey], None],
        lost: Callable[[ModelKey], None],
    ) -> None:
        """Takes whom to tell of news, and whom to tell first when a pod that answered does not."""
        self._admin = admin
        self._backoff = backoff
        self._spawn = spawn
        self._ring = ring
        self._tell_lost = lost
        self._pods: dict[ModelKey, dict[PodAddress, _Watched]] = {}

    def watch(self, key: ModelKey, pods: Iterable[PodAddress]) -> None:
        """Polls exactly these pods of the model from now on; a pod with another address is another pod."""
        wanted = set(pods)
        known = self._pods.setdefault(key, {})
        for pod in known.keys() - wanted:
            self._stop(known.pop(pod))
        for pod in wanted - known.keys():
            known[pod] = _Watched(Unreachable("the pod has not been asked yet", asked=False))
            known[pod].task = self._spawn(self._poll(key, pod))
        if not known:
            del self._pods[key]

    def answer(self, key: ModelKey, pod: PodAddress) -> Inventory | Unreachable:
        """What the pod said last, with its document called as it is called here."""
        watched = self._pods[key][pod]
        said = watched.answer
        if isinstance(said, Unreachable) or watched.called is None or said.desired_etag != watched.called[0]:
            return said
        renamed = watched.renamed
        if renamed is None or renamed[0] is not said or renamed[1].desired_etag != watched.called[1]:
            renamed = watched.renamed = said, said.model_copy(update={"desired_etag": watched.called[1]})
        return renamed[1]

    def refusal(self, key: ModelKey, pod: PodAddress) -> str | None:
        """What the pod answered to the document that it was told last, which it did not understand; else None."""
        return self._pods[key][pod].refusal

    def etag(self, key: ModelKey, pod: PodAddress) -> str | None:
        """Names what is known of the pod; None when nothing is."""
        watched = self._pods.get(key, {}).get(pod)
        return watched.answer.etag if watched is not None and isinstance(watched.answer, Inventory) else None

    def learn(self, key: ModelKey, pod: PodAddress, inventory: Inventory) -> None:
        """Takes note of what a pod said; what it said before the last answer is no news, however late it comes."""
        watched = self._pods.get(key, {}).get(pod)
        if watched is None:
            return
        was, said = watched.answer, self._as_said_before(key, pod, inventory)
        whole = said if isinstance(was, Unreachable) else was.followed_by(said)
        if whole is None or whole.since is not None:
            return  # It builds on what is not known here; the next poll asks from where we are.
        if isinstance(was, Unreachable) or _is_news(whole, was):
            watched.answer = whole
            self._ring(key)

    def _as_said_before(self, key: ModelKey, pod: PodAddress, inventory: Inventory) -> Inventory:
        """The same; a report that equals what this pod or another one said is that object.

        Thousands of names in ten pods are most of what is known, and what is another object is looked at.
        """
        pods = sorted(self._pods[key], key=lambda other: other != pod)
        answers = (self._pods[key][other].answer for other in pods)
        before = [answer.by_name for answer in answers if isinstance(answer, Inventory)]
        return inventory.model_copy(update={"adapters": tuple(_same(report, before) for report in inventory.adapters)})

    @contextmanager
    def telling(self, key: ModelKey, pod: PodAddress, document: Desired) -> Iterator[None]:
        """While a pod is told a document, and until `told` took note of its answer."""
        watched = self._pods.get(key, {}).get(pod)
        telling = _Telling(document)
        if watched is not None:
            watched.telling = telling
        try:
            yield
        finally:
            telling.ended.set()
            if watched is not None and watched.telling is telling:
                watched.telling = None

    def told(self, key: ModelKey, pod: PodAddress, document: Desired, answer: Inventory) -> None:
        """Takes note of what a pod said when it was told a document.

        A runtime of another version may leave out of a document what it does not know, and call the rest by another name.
        """
        watched = self._pods.get(key, {}).get(pod)
        if watched is not None:
            watched.refusal = None
        if watched is not None and answer.desired_sequence == document.sequence and answer.desired_etag:
            foreign = answer.desired_etag != document.etag
            before = watched.called
            watched.called = (answer.desired_etag, document.etag) if foreign else None
            if watched.called not in (None, before):
                # The poll may have been faster: news that were understood as another document's.
                self._ring(key)
        self.learn(key, pod, answer)

    def refused(self, key: ModelKey, pod: PodAddress, answer: str) -> None:
        """Takes note of what a pod answered to a document that it does not understand."""
        watched = self._pods.get(key, {}).get(pod)
        if watched is None:
            return
        first, watched.refusal = watched.refusal is None, answer
        if first:
            # Once: a pod that words it anew each time would keep passes going.
            _logger.warning("pod %s/%s was not told: %s", key.namespace, pod.name, answer)
            self._ring(key)

    def close(self) -> None:
        """Ends all polls."""
        for pods in self._pods.values():
            for watched in pods.values():
                self._stop(watched)
        self._pods.clear()

    async def _poll(self, key: ModelKey, pod: PodAddress) -> None:
        try:
            await self._poll_for_ever(key, pod)
        finally:
            await self._admin.forget(pod)

    async def _poll_for_ever(self, key: ModelKey, pod: PodAddress) -> None:
        failures = 0
        pace = Pace()
        while True:
            last = self._pods[key][pod].answer
            after = last.etag if isinstance(last, Inventory) else None
            asked = asyncio.get_running_loop().time()
            answer = await self._admin.inventory(pod, after, 0 if after is None else _POLL_SECONDS)
            took = asyncio.get_running_loop().time() - asked
            if isinstance(answer, Inventory):
                telling = self._pods[key][pod].telling
                if telling is not None and _may_be(telling.document, answer):
                    # By which name the pod calls the document, only the answer to the push says.
                    await telling.ended.wait()
                self.learn(key, pod, answer)
                if answer.etag != after or took > _POLL_SECONDS / 2:
                    failures = 0
                    # What news a pod has is up to its image, and each costs a pass.
                    await asyncio.sleep(pace.pause(asyncio.get_running_loop().time()))
                    continue
                # A pod that does not wait when nothing has changed: what it says counts, but must not keep us busy.
            else:
                self._lost(key, pod, answer)
            failures += 1
            await asyncio.sleep(self._backoff.seconds(failures))

    def _lost(self, key: ModelKey, pod: PodAddress, answer: Unreachable) -> None:
        watched = self._pods[key][pod]
        was, watched.answer = watched.answer, answer
        if isinstance(was, Unreachable) and was.asked:
            return  # still away, in newer words
        _logger.info("pod %s/%s is unreachable: %s", key.namespace, pod.name, answer.message)
        self._tell_lost(key)
        self._ring(key)

    @staticmethod
    def _stop(watched: _Watched) -> None:
        if watched.task is not None:
            watched.task.cancel()


def _same(report: AdapterReport, before: Iterable[Mapping[str, AdapterReport]]) -> AdapterReport:
    for reports in before:
        said = reports.get(report.name)
        if said is not None and said == report:
            return said
    return report


def _may_be(document: Desired, said: Inventory) -> bool:
    """Whether the pod may have this document, by a name of its own."""
    return said.desired_sequence == document.sequence and said.desired_etag != document.etag


def _is_news(inventory: Inventory, was: Inventory) -> bool:
    if inventory.boot_id != was.boot_id:
        return True
    # The answer to a push may overtake that of the poll that was under way.
    return inventory.etag != was.etag and inventory.version >= was.version
