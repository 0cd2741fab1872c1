"""Downloads on their way into the store: one per source, in the room there is, kept to go on with when they end early."""

import asyncio
import hashlib
import shutil
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import Refused
from lora_runtime.store.digest import digest_of
from lora_runtime.store.disk import disk_refused
from lora_runtime.store.flights import Flights, to_the_end
from lora_runtime.store.progress import Progress
from lora_runtime.store.room import OutgrewRoom, Reservation, Room
from lora_runtime.store.sources.source import Source, Sources

_AT_ONCE = 8
"""Questions to one kind of source at once, and downloads from it.

A hub that hangs must not take all threads from those that make versions.
"""
_INTERRUPTED_KEPT = 4
"""So many interrupted downloads are kept to go on with."""

Arrived = Callable[[Path, str], Awaitable[None]]
"""Takes a complete folder away and keeps it by its digest."""


class Downloads:
    """The folder of incomplete downloads, inside the store."""

    def __init__(self, root: Path, sources: Sources, room: Room, arrived: Arrived) -> None:
        self._root, self._sources, self._room, self._arrived = root, sources, room, arrived
        self._flights: Flights[str] = Flights()
        self._turns: defaultdict[tuple[str, int], asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_AT_ONCE))
        self._known: dict[str, str] = {}

    async def pin(self, source: AdapterSource) -> AdapterSource:
        """The source, so that it means the same files tomorrow; see Source.pin."""
        place = self._sources.of(source)
        async with self._turns["pin", id(place)]:
            return await place.pin(source)

    async def get(self, pinned: AdapterSource, progress: Progress | None) -> str:
        """The digest of what the source holds, once that was given to `arrived`.

        Raises:
            Refused: it cannot be had, or there is no room for it.
        """
        key = key_of(pinned)
        return await self._flights.join(key, lambda tell: self._get(key, pinned, tell), progress)

    def known(self, pinned: AdapterSource) -> str | None:
        """The digest that a source is known to hold for ever."""
        return self._known.get(key_of(pinned))

    def forget(self, pinned: AdapterSource) -> None:
        """What is known of a source seems to be wrong."""
        self._known.pop(key_of(pinned), None)

    def folders(self) -> Iterator[Path]:
        """Those of downloads under way."""
        return (self._root / key for key in self._flights)

    def abandoned(self) -> list[Path]:
        """Interrupted downloads beyond the last few."""
        idle = [folder for folder in self._root.iterdir() if folder.name not in self._flights]
        idle.sort(key=lambda folder: folder.stat().st_mtime_ns, reverse=True)
        return idle[_INTERRUPTED_KEPT:]

    async def _get(self, key: str, pinned: AdapterSource, progress: Progress) -> str:
        incoming, place = self._root / key, self._sources.of(pinned)
        async with self._turns["fetch", id(place)], self._room.reservation() as reservation:
            self._room.resume(incoming, reservation)
            try:
                with disk_refused(self._root):
                    incoming.mkdir(exist_ok=True)
                    await self._fetch(place, pinned, incoming, progress, reservation)
                    digest = await to_the_end(self._arrive(incoming, reservation))
            except Refused as refused:
                if refused.refusal.reason is Reason.STORE_FULL:
                    await asyncio.to_thread(shutil.rmtree, incoming, ignore_errors=True)
                raise
            finally:
                if incoming.exists():
                    self._room.used(incoming)
        if pinned.hugging_face is not None or pinned.oci is not None:
            # a commit or an artifact never changes; the others may
            self._known[key] = digest
        return digest

    async def _fetch(
        self, place: Source, pinned: AdapterSource, incoming: Path, progress: Progress, reservation: Reservation
    ) -> None:
        while True:
            try:
                await place.fetch(pinned, incoming, reservation.metered(progress))
            except OutgrewRoom as outgrown:
                await self._room.reserve(reservation, outgrown.size_bytes, pinned.describe())
            else:
                return

    async def _arrive(self, incoming: Path, reservation: Reservation) -> str:
        digest = await asyncio.to_thread(digest_of, incoming)
        await self._arrived(incoming, digest)
        reservation.end()
        return digest


def key_of(pinned: AdapterSource) -> str:
    """Names a pinned source: 32 hex digits."""
    return hashlib.sha256(pinned.model_dump_json().encode()).hexdigest()[:32]
