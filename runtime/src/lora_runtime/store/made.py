"""Folders that are made of what is in the store, for an engine to start from: each under a name that tells its content."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from lora_runtime.store.disk import disk_refused, hide, reveal, scratch_folder
from lora_runtime.store.flights import to_the_end
from lora_runtime.store.room import Room


class MadeFolders:
    """The folder of them, inside the store."""

    def __init__(self, root: Path, scratch: Path, room: Room) -> None:
        self._root, self._scratch, self._room = root, scratch, room

    def folder(self, name: str) -> Path:
        """Where one of them is, once it was made."""
        return self._root / name

    async def find(self, name: str, is_whole: Callable[[Path], bool]) -> Path | None:
        """One that was made before, perhaps by an earlier process; a damaged one is removed."""
        folder = self.folder(name)
        with disk_refused(self._root):
            if not folder.exists():
                return None
            if await asyncio.to_thread(is_whole, folder):
                self._room.used(folder)
                return folder
            self._room.forget(folder)
            await asyncio.to_thread(lambda: shutil.rmtree(hide(folder, self._scratch), ignore_errors=True))
        return None

    async def make(self, name: str, size_bytes: int, what: str, write: Callable[[Path], None]) -> Path:
        """Has one written, and shows it once it is whole.

        Args:
            name: Differs wherever the content does.
            size_bytes: What it takes at most.
            what: It is, in words.
            write: Fills an empty folder; called in a thread.

        Raises:
            Refused: there is no room.
        """
        folder = self.folder(name)
        with disk_refused(self._root), scratch_folder(self._scratch) as scratch:
            async with self._room.reserved(size_bytes, what) as reservation:
                await to_the_end(asyncio.to_thread(write, scratch))
                # its user is another than the one that reads it, in pods that share a volume
                scratch.chmod(0o755)
                reveal(scratch, folder)
                self._room.used(folder)
                reservation.end()
        return folder
