"""Kubernetes Events on the user's objects, one per reason and message, counted when they repeat."""

import asyncio
import hashlib
import logging
from collections import OrderedDict, deque
from datetime import datetime

from lora_api import labels
from lora_operator.clients import resources
from lora_operator.clients.clock import Clock
from lora_operator.clients.kube import Kube, KubeError
from lora_operator.clients.moments import micro_time
from lora_operator.domain.actions import Announcement

_logger = logging.getLogger(__name__)

_REST_SECONDS = 0.25
"""What is told of has just happened: pods that went over to another revision have the processors first."""
PATIENCE_SECONDS = 10.0
"""For one, so that a webhook that hangs does not keep all others back for long."""
MOST_WAITING = 10_000
"""As many as one model can have adapters; what is told beyond is lost."""
_REMEMBERED = 4096
_LONGEST_NOTE = 1024
"""In bytes of UTF-8; a longer one would be refused."""


class Events:
    """Posts Events, one after the other, and nobody waits for it.

    One that cannot be posted is logged and forgotten, and so is what waits when the operator ends: a condition that was stored before
    says the same, and a child that the API server refuses is tried, refused and told again.
    """

    def __init__(self, kube: Kube, clock: Clock, instance: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._kube = kube
        self._clock = clock
        self._instance = instance
        self._patience_seconds = patience_seconds
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._waiting: deque[tuple[str, Announcement, datetime]] = deque()
        self._news = asyncio.Event()

    def tell(self, namespace: str, news: Announcement) -> None:
        """Tells the user of one transition, soon."""
        if len(self._waiting) >= MOST_WAITING:
            _lost(namespace, news, f"{MOST_WAITING} others wait to be posted")
            return
        self._waiting.append((namespace, news, self._clock.now()))
        self._news.set()

    async def post_for_ever(self) -> None:
        """Posts what is told."""
        while True:
            await self._news.wait()
            await asyncio.sleep(_REST_SECONDS)
            await self.post_waiting()

    async def post_waiting(self) -> None:
        """Posts all that waits, and what is told meanwhile."""
        while self._waiting:
            namespace, news, told_at = self._waiting.popleft()
            try:
                async with asyncio.timeout(self._patience_seconds):
                    await self._post(namespace, news, micro_time(told_at))
            except TimeoutError:
                _lost(namespace, news, f"no answer within {self._patience_seconds:g} s")
            except KubeError as error:
                _lost(namespace, news, error)
        self._news.clear()

    async def _post(self, namespace: str, news: Announcement, now: str) -> None:
        what = "\n".join((news.uid, news.type, news.reason, news.message))
        # Event names are object names too: the longest object name leaves no room for a suffix.
        event = f"{news.name[:200]}.{hashlib.sha256(what.encode()).hexdigest()[:16]}"
        manifest = {
            "apiVersion": resources.EVENTS.api_version,
            "kind": resources.EVENTS.kind,
            "metadata": {"name": event, "namespace": namespace},
            "eventTime": now,
            "reportingController": f"{labels.GROUP}/operator",
            "reportingInstance": self._instance[:128],
            "action": "Reconcile",
            "type": news.type,
            "reason": news.reason[:128],
            "note": _note(news.message),
            "regarding": {
                "apiVersion": labels.API_VERSION,
                "kind": news.kind,
                "namespace": namespace,
                "name": news.name,
                "uid": news.uid,
            },
        }
        if not await self._kube.create(resources.EVENTS, manifest):
            series = {"count": self._again(event), "lastObservedTime": now}
            await self._kube.merge(resources.EVENTS, namespace, event, {"series": series})

    def _again(self, event: str) -> int:
        count = self._counts.pop(event, 1) + 1
        self._counts[event] = count
        if len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)
        return count


def _lost(namespace: str, news: Announcement, why: object) -> None:
    _logger.warning("the event %s on %s %s/%s is lost: %s", news.reason, news.kind, namespace, news.name, why)


def _note(message: str) -> str:
    text = message.encode()
    if len(text) <= _LONGEST_NOTE:
        return message
    ellipsis = "…"
    return text[: _LONGEST_NOTE - len(ellipsis.encode())].decode(errors="ignore") + ellipsis
