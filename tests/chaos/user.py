"""The users: they write objects, over and over until the API server has taken them, and know what they want."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from chaos.sightings import Wanted
from chaos.wishes import Content, Wish, content
from lora_api import labels

_PATIENCE_SECONDS = 90.0
_PAUSE_SECONDS = 0.2

Json = dict[str, Any]
Render = Callable[[Wish], Json]
"""The fields of a spec that say what is served."""


@dataclass(slots=True)
class _Written:
    uid: str
    generation: int
    content: Content | None
    since: float
    ever: set[Content]


@dataclass(slots=True)
class Users:
    """Writes LoRAAdapters and remembers them; any thread may ask what is wanted."""

    api: client.ApiClient
    namespace: str
    model: str
    render: Render
    learn: Callable[[Content], None] = lambda found: None
    """Told of each content before anybody may be served with it."""
    wishes: dict[str, Wish] = field(default_factory=dict)
    _written: dict[str, _Written] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wanted(self) -> dict[str, Wanted]:
        """Every adapter that is there for certain."""
        with self._lock:
            return {
                name: Wanted(name, each.uid, each.generation, each.content, each.since, frozenset(each.ever))
                for name, each in self._written.items()
            }

    def apply(self, name: str, wish: Wish) -> None:
        """Creates or edits an adapter."""
        wishes = {**self.wishes, name: wish}
        for found in {content(each, wishes) for each in wishes}:
            if found is not None:
                self.learn(found)
        with self._lock:
            self.wishes = wishes
            self._expect()
        spec = {"modelRef": {"name": self.model}, "weight": wish.weight, "update": {"strategy": wish.strategy}}
        stored = persistently(lambda: self._write(name, spec | self.render(wish)))
        with self._lock:
            known = self._written.get(name)
            if known is None or known.uid != stored["metadata"]["uid"]:
                known = _Written(stored["metadata"]["uid"], 0, None, time.monotonic(), set())
                self._written[name] = known
            known.generation = stored["metadata"]["generation"]
            self._settle()

    def delete(self, name: str) -> None:
        """Takes an adapter away."""
        with self._lock:
            self._written.pop(name, None)
            self.wishes = {other: wish for other, wish in self.wishes.items() if other != name}
            self._expect()
        persistently(lambda: ignoring(404, lambda: self._custom("delete_namespaced_custom_object", name)))
        with self._lock:
            self._settle()

    def recreate(self, name: str, wish: Wish) -> None:
        """Deletes an adapter and creates another one of its name at once."""
        self.delete(name)
        self.apply(name, wish)

    def _expect(self) -> None:
        """What is about to be written may be served before the answer is here."""
        for name, known in self._written.items():
            found = content(name, self.wishes)
            if found is not None:
                known.ever.add(found)

    def _settle(self) -> None:
        for name, known in self._written.items():
            found = content(name, self.wishes)
            if found is not None:
                known.ever.add(found)
            if found != known.content:
                known.content, known.since = found, time.monotonic()

    def _write(self, name: str, spec: Json) -> Json:
        metadata = {"name": name, "namespace": self.namespace}
        manifest = {"apiVersion": labels.API_VERSION, "kind": "LoRAAdapter", "metadata": metadata, "spec": spec}
        try:
            return self._custom("patch_namespaced_custom_object", name, {"spec": spec})
        except ApiException as error:
            if error.status != 404:
                raise
        created = {field: value for field, value in spec.items() if value is not None}
        return self._custom("create_namespaced_custom_object", manifest | {"spec": created})

    def _custom(self, method: str, *arguments: Any) -> Json:
        call = getattr(client.CustomObjectsApi(self.api), method)
        stored: Json = call(
            labels.GROUP, labels.VERSION, self.namespace, "loraadapters", *arguments, _request_timeout=10
        )
        return stored


def persistently(request: Callable[[], Any]) -> Any:
    """Tries until it is taken: the API server may be away."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return request()
        except ApiException as error:
            if error.status in (400, 422) or time.monotonic() > deadline:
                raise
        except (HTTPError, OSError):
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)


def ignoring(status: int, request: Callable[[], Any]) -> Any:
    """What it answers; nothing when it is refused with this status."""
    try:
        return request()
    except ApiException as error:
        if error.status != status:
            raise
        return {}
