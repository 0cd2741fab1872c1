"""Every condition that the adapters of a namespace have had, in order, from a watch."""

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from kubernetes import client, watch

from lora_api import labels

_WATCH_SECONDS = 1
_END_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What the status of one adapter said at one time."""

    adapter: str
    available: str
    ready: str
    reason: str
    message: str
    """Both of Ready."""


class ConditionHistory:
    """Watches while it is entered."""

    def __init__(self, custom: client.CustomObjectsApi, namespace: str) -> None:
        self._list = custom.list_namespaced_custom_object
        self._where = labels.GROUP, labels.VERSION, namespace, "loraadapters"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.seen: list[Seen] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(_END_SECONDS)

    def _watch(self) -> None:
        version = None
        while not self._ended.is_set():
            # A watch ends when the CRD changes, and may then be refused for a moment: all begins with what there is.
            stream = watch.Watch()
            try:
                for event in stream.stream(
                    self._list, *self._where, resource_version=version, timeout_seconds=_WATCH_SECONDS
                ):
                    self._note(event["object"])
                version = stream.resource_version
            except client.exceptions.ApiException:
                version = None

    def _note(self, adapter: Any) -> None:
        conditions = {c["type"]: c for c in (adapter.get("status") or {}).get("conditions") or ()}
        ready = conditions.get("Ready", {})
        seen = Seen(
            adapter["metadata"]["name"],
            conditions.get("Available", {}).get("status", ""),
            ready.get("status", ""),
            ready.get("reason", ""),
            ready.get("message", ""),
        )
        if next((before for before in reversed(self.seen) if before.adapter == seen.adapter), None) != seen:
            self.seen.append(seen)
