"""Kubernetes Events on the user's objects, one per reason and message, counted when they repeat."""

import hashlib
import logging
from collections import OrderedDict

from lora_api import labels
from lora_operator.clients import resources
from lora_operator.clients.clock import Clock
from lora_operator.clients.kube import Kube, KubeError
from lora_operator.clients.moments import micro_time
from lora_operator.domain.actions import Announcement

_logger = logging.getLogger(__name__)

_REMEMBERED = 4096
_LONGEST_NOTE = 1024
"""In bytes of UTF-8; a longer one would be refused."""


class Events:
    """Posts Events. One that cannot be posted is logged and forgotten: the condition says the same."""

    def __init__(self, kube: Kube, clock: Clock, instance: str) -> None:
        self._kube = kube
        self._clock = clock
        self._instance = instance
        self._counts: OrderedDict[str, int] = OrderedDict()

    async def post(self, namespace: str, news: Announcement) -> None:
        """Tells the user of one transition."""
        what = "\n".join((news.uid, news.type, news.reason, news.message))
        # Event names are object names too: the longest object name leaves no room for a suffix.
        event = f"{news.name[:200]}.{hashlib.sha256(what.encode()).hexdigest()[:16]}"
        now = micro_time(self._clock.now())
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
        try:
            if not await self._kube.create(resources.EVENTS, manifest):
                series = {"count": self._again(event), "lastObservedTime": now}
                await self._kube.merge(resources.EVENTS, namespace, event, {"series": series})
        except KubeError as error:
            _logger.warning("the event %s on %s %s/%s is lost: %s", news.reason, news.kind, namespace, news.name, error)

    def _again(self, event: str) -> int:
        count = self._counts.pop(event, 1) + 1
        self._counts[event] = count
        if len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)
        return count


def _note(message: str) -> str:
    text = message.encode()
    if len(text) <= _LONGEST_NOTE:
        return message
    ellipsis = "…"
    return text[: _LONGEST_NOTE - len(ellipsis.encode())].decode(errors="ignore") + ellipsis
