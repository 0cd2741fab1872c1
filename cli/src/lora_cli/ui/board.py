"""What the namespace holds, kept up to date by what the API server tells of changes, for every page that is open."""

import threading
from dataclasses import dataclass

from lora_cli.clients import clock
from lora_cli.clients.object_store import ObjectStore
from lora_cli.clients.objects import ADAPTERS, MODELS
from lora_cli.domain.objects import Adapter, Json, Model, adapter_of, model_of
from lora_cli.domain.seen import LISTED, Seen, after
from lora_cli.errors import Failed
from lora_cli.ui import moments
from lora_cli.ui.moments import Moment

_AGAIN_SECONDS = 2.0
"""After the API server could not be heard."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How things stand."""

    number: int
    """Grows with each change."""
    models: tuple[Model, ...]
    adapters: tuple[Adapter, ...]
    moments: dict[str, Moment]
    """The last edit of each adapter that was made here."""
    trouble: Failed | None
    """Why it may be old, or lack something."""

    def adapter(self, name: str) -> Adapter | None:
        """One of the adapters."""
        return next((found for found in self.adapters if found.meta.name == name), None)

    def named(self, name: str) -> Adapter | Model | None:
        """The adapter of this name, or else the model."""
        return self.adapter(name) or next((found for found in self.models if found.meta.name == name), None)


class Board:
    """Follows the API server in threads of its own; may be asked by any thread."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._changed = threading.Condition()
        self._number = 0
        self._seen: dict[str, Seen] = {}
        self._read: dict[str, tuple[Json, Adapter | Model]] = {}
        self._moments: dict[str, Moment] = {}
        self._unheard: dict[str, Failed] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the program is about to end."""
        return self._closed

    def open(self) -> None:
        """Begins to follow."""
        for plural in (MODELS, ADAPTERS):
            threading.Thread(target=self._follow, args=(plural,), daemon=True).start()

    def close(self) -> None:
        """Lets go of everybody who waits, the next time they look; may be called by a signal's handler."""
        self._closed = True

    def wait(self, number: int, timeout_seconds: float) -> Snapshot:
        """How things stand, as soon as there is more to know than at this number, or after the time."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > number, timeout_seconds)
            return self._snapshot()

    def asked(self, changed: Json, began: float) -> None:
        """Tells of an edit that was made here: the object as the API server answered, and when it was sent."""
        name = changed["metadata"]["name"]
        with self._changed:
            self._moments[name] = Moment(changed["metadata"]["generation"], began)
            for stored in self._seen.get(ADAPTERS, {}).values():
                if stored["metadata"]["name"] == name:
                    # The watch may have been faster than the answer.
                    self._look_at(stored)
            self._tell()

    def _follow(self, plural: str) -> None:
        while True:
            try:
                first = self._objects.list(plural)
                self._take(plural, LISTED, first)
                for event, stored in self._objects.follow(plural, first):
                    self._take(plural, event, stored)
            except Failed as failed:
                with self._changed:
                    self._unheard[plural] = failed
                    self._tell()
            clock.sleep(_AGAIN_SECONDS)

    def _take(self, plural: str, event: str, stored: Json) -> None:
        with self._changed:
            self._unheard.pop(plural, None)
            self._seen[plural] = after(self._seen.get(plural, {}), event, stored)
            if plural == ADAPTERS and event == "DELETED":
                # Another one of this name has edits of its own.
                self._moments.pop(stored["metadata"]["name"], None)
            elif plural == ADAPTERS:
                for one in stored["items"] if event == LISTED else (stored,):
                    self._look_at(one)
            self._tell()

    def _look_at(self, stored: Json) -> None:
        moment = self._moments.get(stored["metadata"]["name"])
        if moment is None:
            return
        try:
            seen = adapter_of(stored)
        except Failed:
            # It is said by the snapshot.
            return
        self._moments[seen.meta.name] = moments.after(moment, seen, clock.monotonic())

    def _tell(self) -> None:
        self._number += 1
        self._changed.notify_all()

    def _snapshot(self) -> Snapshot:
        troubles = list(self._unheard.values())
        read: dict[str, tuple[Json, Adapter | Model]] = {}
        for plural, seen in self._seen.items():
            for uid, stored in seen.items():
                known = self._read.get(uid)
                # Thousands are read once, not for each change of one.
                if known is not None and known[0] is stored:
                    read[uid] = known
                    continue
                try:
                    read[uid] = (stored, model_of(stored) if plural == MODELS else adapter_of(stored))
                except Failed as failed:
                    troubles.append(failed)
        self._read = read
        found = [one for _, one in read.values()]
        return Snapshot(
            self._number,
            tuple(one for one in found if isinstance(one, Model)),
            tuple(one for one in found if isinstance(one, Adapter)),
            dict(self._moments),
            troubles[0] if troubles else None,
        )
