"""Room on the disk: asked for before something is fetched or made, and given by removing what nobody needs."""

import asyncio
import contextlib
import logging
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from lora_runtime.adapters.errors import ADAPTER_FILES, Refused
from lora_runtime.store.budget import USABLE_SHARE, Fill, Space, StoredFolder, surplus, with_blocks
from lora_runtime.store.disk import hide, size_of, store_full
from lora_runtime.store.flights import to_the_end
from lora_runtime.store.progress import Progress

_log = logging.getLogger(__name__)

_MIB = 1 << 20
_FIRST_GUESS_BYTES = 16 * _MIB
"""Room for a download that does not tell its size; doubled each time it is outgrown."""


class OutgrewRoom(Exception):
    """Raised from the report of a download's progress: it needs more room than it has."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"{size_bytes} bytes are needed")
        self.size_bytes = size_bytes


@dataclass(frozen=True, slots=True)
class Volume:
    """Where the store lies."""

    folder: Path
    """All that counts against the limit is in it, the store too."""
    limit_bytes: int | None = None
    """What an emptyDir may hold before the kubelet evicts the pod; None for the whole disk."""


class Reservation:
    """Room for what is being fetched or made."""

    def __init__(self, grant: Callable[["Reservation", int], bool]) -> None:
        self._grant = grant
        self.size_bytes = 0
        self.written = 0

    def metered(self, progress: Progress) -> Progress:
        """Passes progress on, and raises OutgrewRoom when there is no room yet for what comes."""

        def tell(done: int, total: int | None) -> None:
            self.written = done
            if max(done, total or 0) > self.size_bytes:
                size_bytes = total if total and total >= done else max(_FIRST_GUESS_BYTES, 2 * done)
                size_bytes = with_blocks(size_bytes, len(ADAPTER_FILES))
                if not self._grant(self, size_bytes):
                    raise OutgrewRoom(size_bytes)
            progress(done, total)

        return tell

    def end(self) -> None:
        """What it was for is gone, or counted as a folder: first that, then this, or others are given its room between."""
        self.size_bytes = self.written = 0


class Room:
    """Knows the store's folders by size and last use.

    For one event loop; but downloads ask for room in threads of their own. The last use is each folder's own time stamp, so that a
    restarted container knows it too.
    """

    def __init__(
        self, volume: Volume, own: Collection[Path], scratch: Path, needed: Callable[[], Collection[Path]]
    ) -> None:
        """Measures what is there; blocks briefly on the disk.

        Args:
            volume: Where the store lies.
            own: The folders whose entries are kept and removed one by one.
            scratch: Where removed ones go first.
            needed: The entries that must stay; asked just before something is removed.
        """
        self._volume = volume
        self._managed = {*own, scratch}
        self._scratch = scratch
        self._needed = needed
        self._folders: dict[Path, StoredFolder] = {}
        self._taken = 0
        self._newest = 0
        self._reservations: set[Reservation] = set()
        self._seen: Space | None = None
        self.fill: Fill | None = None
        """As of the last time that the store was tidied. Any thread may read it."""
        self.expected_elsewhere = 0
        """Bytes that will be beside the store's folders, if they are not yet."""
        self._granting = threading.Lock()
        """Held where `_taken` or what is reserved changes."""
        self._freeing = asyncio.Lock()
        for folder in own:
            for entry in folder.iterdir():
                self._note(entry)

    def __contains__(self, folder: Path) -> bool:
        return folder in self._folders

    def used(self, folder: Path) -> None:
        """Somebody wants the folder now, be it new or known."""
        with contextlib.suppress(OSError):  # without it, the order in which folders go is lost and nothing else
            os.utime(folder)
            # the kernel's clock has coarse steps, and may be set back
            last_used = max(folder.stat().st_mtime_ns, self._newest + 1)
            os.utime(folder, ns=(last_used, last_used))
        self._note(folder)

    def forget(self, folder: Path) -> None:
        """The folder is gone."""
        known = self._folders.pop(folder, None)
        if known is not None:
            with self._granting:
                self._taken -= known.size_bytes

    def resume(self, folder: Path, reservation: Reservation) -> None:
        """What lies in the folder, if anything, counts as the reservation's from now on."""
        known = self._folders.pop(folder, None)
        if known is not None:
            with self._granting:
                self._taken -= known.size_bytes
                reservation.size_bytes = reservation.written = known.size_bytes

    @contextlib.asynccontextmanager
    async def reservation(self) -> AsyncIterator[Reservation]:
        """No room yet; whatever it is given is given back at the end."""
        await self._look()
        with self._counted() as reservation:
            yield reservation

    @contextlib.asynccontextmanager
    async def reserved(self, size_bytes: int, what: str) -> AsyncIterator[Reservation]:
        """Room for what needs so many bytes at most; see `reserve`."""
        with self._counted() as reservation:
            await self.reserve(reservation, size_bytes, what)
            yield reservation

    @contextlib.contextmanager
    def _counted(self) -> Iterator[Reservation]:
        reservation = Reservation(self._grant)
        self._reservations.add(reservation)
        try:
            yield reservation
        finally:
            self._reservations.discard(reservation)

    async def reserve(self, reservation: Reservation, size_bytes: int, what: str) -> None:
        """Gives a reservation so many bytes in all; removes what nobody needs until they are there.

        Raises:
            Refused: all that is left is needed.
        """
        async with self._freeing:
            space = await self._look()
            if await self._free(self._excess(space, reservation, size_bytes)):
                space = await self._look()
            with self._granting:
                if self._with(reservation, size_bytes) > space.most:
                    raise self._no_room(space, reservation, size_bytes, what)
                reservation.size_bytes = size_bytes

    async def tidy(self) -> None:
        """Removes what nobody needs as far as the budget is exceeded."""
        async with self._freeing:
            space = await self._look()
            needed = sum(self._folders[folder].size_bytes for folder in self._needed() if folder in self._folders)
            self.fill = Fill(needed, space.most)
            await self._free(self._claimed - space.budget)

    async def remove(self, folders: Collection[Path]) -> None:
        """Removes folders that nobody uses. None of them can be begun to be used once this was called."""
        gone = [self._folders.pop(folder, None) for folder in folders]
        hidden = []
        try:
            for folder in folders:
                with contextlib.suppress(FileNotFoundError):
                    hidden.append(hide(folder, self._scratch))
            if hidden:
                await to_the_end(asyncio.to_thread(_remove, hidden))
        finally:
            with self._granting:
                # not before: until then they take their room
                self._taken -= sum(folder.size_bytes for folder in gone if folder is not None)

    def _grant(self, reservation: Reservation, size_bytes: int) -> bool:
        """Any thread: gives the room if it is there without removing anything, by the last look."""
        with self._granting:
            if self._seen is None or self._excess(self._seen, reservation, size_bytes) > 0:
                return False
            reservation.size_bytes = size_bytes
        return True

    @property
    def _on_disk(self) -> int:
        """Bytes that the folders and what is under way take now."""
        return self._taken + sum(reservation.written for reservation in tuple(self._reservations))

    @property
    def _claimed(self) -> int:
        """The same, once all that is under way has come to its end."""
        return self._taken + sum(reservation.size_bytes for reservation in tuple(self._reservations))

    def _with(self, reservation: Reservation, size_bytes: int) -> int:
        """What is claimed if a reservation has another size."""
        return self._claimed - reservation.size_bytes + size_bytes

    def _excess(self, space: Space, reservation: Reservation, size_bytes: int) -> int:
        """What must go so that a reservation can have another size."""
        return self._with(reservation, size_bytes) - space.budget

    async def _free(self, excess_bytes: int) -> bool:
        """Whether there was something to remove."""
        if excess_bytes <= 0:
            return False
        removed = surplus(self._folders.values(), frozenset(self._needed()), excess_bytes)
        if removed:
            size = sum(folder.size_bytes for folder in removed)
            _log.info("removed folders=%s bytes=%s why=the budget is exceeded", len(removed), size)
        await self.remove([folder.path for folder in removed])
        return bool(removed)

    async def _look(self) -> Space:
        # counted first: what is written while the disk is looked at must not count as room twice
        self._seen = await asyncio.to_thread(self._measure, self._on_disk)
        return self._seen

    def _measure(self, own: int) -> Space:
        disk = shutil.disk_usage(self._volume.folder)
        limit = self._volume.limit_bytes
        elsewhere = 0
        if limit is not None:
            elsewhere = max(self.expected_elsewhere, size_of(self._volume.folder, without=self._managed))
        return Space(disk=disk.total, free=disk.free, own=own, elsewhere=elsewhere, limit=limit)

    def _note(self, folder: Path) -> None:
        last_used, size_bytes = folder.stat().st_mtime_ns, size_of(folder)
        self._newest = max(self._newest, last_used)
        known = self._folders.get(folder)
        self._folders[folder] = StoredFolder(folder, size_bytes, last_used)
        with self._granting:
            # in one step: who asks for room from another thread must never find the folder uncounted
            self._taken += size_bytes - (0 if known is None else known.size_bytes)

    def _no_room(self, space: Space, reservation: Reservation, size_bytes: int, what: str) -> Refused:
        others = self._claimed - reservation.size_bytes
        available = max(0, space.most - others)
        needs = (
            f"{what} needs {_mib(size_bytes)} MiB ({size_bytes} bytes needed, {available} available), but adapters that are "
            f"wanted take {_mib(others)} MiB"
        )
        if space.limit is not None and space.most == space.usable:
            least = int((others + size_bytes + space.elsewhere) / USABLE_SHARE)
            return store_full(
                f"{needs} and the base model and caches {_mib(space.elsewhere)} MiB of the pod's store, which may hold "
                f"{_mib(space.limit)} MiB ({USABLE_SHARE:.0%} of it are used); raise spec.cache.sizeLimit of the "
                f"LoRAModel to {_mib(least)}Mi at least (this restarts the pods), or remove adapters"
            )
        return store_full(
            f"{needs} and only {_mib(space.free)} MiB of the {_mib(space.disk)} MiB of the node's disk are free; make "
            f"room on the node, or remove adapters"
        )


def _remove(folders: Collection[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _mib(size_bytes: int) -> int:
    return -(-size_bytes // _MIB)
