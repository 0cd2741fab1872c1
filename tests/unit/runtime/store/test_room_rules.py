"""What the room, the downloads and the versions each promise, without a store around them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from pathlib import Path

import pytest

from lora_runtime.adapters.blend import Files
from lora_runtime.adapters.errors import Refused
from lora_runtime.adapters.inspect import inspect
from lora_runtime.store.budget import USABLE_SHARE
from lora_runtime.store.digest import digest_of
from lora_runtime.store.disk import size_of
from lora_runtime.store.downloads import Downloads
from lora_runtime.store.made import MadeFolders
from lora_runtime.store.room import OutgrewRoom, Reservation, Room, Volume
from lora_runtime.store.sources.source import Sources
from lora_runtime.store.versions import Versions
from unit.runtime.store.sources import ScriptedSource, spec_of

LIMIT_BYTES = 1 << 20
TIMES = 2000
"""Enough for two threads to meet in a step of a few microseconds."""


class Disk:
    """A volume with a folder that is managed, and nothing in it."""

    def __init__(self, volume: Path) -> None:
        self.volume, self.own, self.scratch = volume, volume / "own", volume / "scratch"
        for folder in (self.own, self.scratch):
            folder.mkdir(parents=True)

    @property
    def usable(self) -> int:
        return int(LIMIT_BYTES * USABLE_SHARE) - size_of(self.volume, without=(self.own, self.scratch))

    def folder(self, name: str, used: int) -> Path:
        """One that was last used so many seconds after the epoch."""
        made = self.own / name
        made.mkdir()
        os.utime(made, (used, used))
        return made

    def room(self) -> Room:
        return Room(Volume(self.volume, LIMIT_BYTES), (self.own,), self.scratch, lambda: ())


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "volume")


async def test_the_last_byte_of_the_room_can_be_had_and_not_one_more(disk: Disk) -> None:
    room = disk.room()
    async with room.reservation() as reservation:
        await room.reserve(reservation, disk.usable, "pirate")
        with pytest.raises(Refused, match="pirate needs 1 MiB"):
            await room.reserve(reservation, disk.usable + 1, "pirate")


async def test_whatever_ends_a_reservation_its_room_is_free_for_the_next(disk: Disk) -> None:
    room = disk.room()

    async def fail() -> None:
        async with room.reservation() as reservation:
            await room.reserve(reservation, disk.usable, "pirate")
            raise ConnectionError

    for _ in range(2):
        with pytest.raises(ConnectionError):
            await fail()


def is_given(reservation: Reservation, size_bytes: int, over: threading.Event) -> bool:
    """Asks again and again, as downloads do from threads of their own; whether room was given before it was over."""
    tell = reservation.metered(lambda done, total: None)
    while not over.is_set():
        with contextlib.suppress(OutgrewRoom):
            tell(0, size_bytes)
            return True
    return False


async def test_a_folder_counts_also_while_its_last_use_is_noted(disk: Disk) -> None:
    good = disk.folder("a", used=1000)
    (good / "weights").write_bytes(b"\0" * (disk.usable // 2))
    room, over = disk.room(), threading.Event()
    async with room.reservation() as other:
        asking = asyncio.create_task(asyncio.to_thread(is_given, other, disk.usable * 3 // 4, over))
        for _ in range(TIMES):
            room.used(good)
            await asyncio.sleep(0)
        over.set()
        assert not await asking


@pytest.mark.parametrize("time", range(20))
async def test_what_is_made_counts_from_its_reservation_on(disk: Disk, time: int) -> None:
    room, begun, over = disk.room(), threading.Event(), threading.Event()
    size_bytes = disk.usable * 3 // 4

    def write(folder: Path) -> None:
        (folder / "weights").write_bytes(b"\0" * (size_bytes - 8192))
        begun.set()

    def ask(reservation: Reservation) -> bool:
        begun.wait()
        return is_given(reservation, disk.usable // 2, over)

    async with room.reservation() as other:
        asking = asyncio.create_task(asyncio.to_thread(ask, other))
        await MadeFolders(disk.own, disk.scratch, room).make("a", size_bytes, "a mixture", write)
        over.set()
        assert not await asking


async def test_what_is_left_of_a_download_counts_before_it_goes_on(disk: Disk) -> None:
    left = disk.folder("a", used=1000)
    (left / "weights.part").write_bytes(b"\0" * (disk.usable * 3 // 4))
    room = disk.room()
    async with room.reservation() as going_on, room.reservation() as other:
        room.resume(left, going_on)
        with pytest.raises(Refused):
            await room.reserve(other, disk.usable // 2, "pirate")


async def test_what_is_removed_takes_its_room_until_it_is_gone(disk: Disk) -> None:
    old = disk.folder("a", used=1000)
    (old / "weights").write_bytes(b"\0" * (disk.usable * 3 // 4))
    room = disk.room()
    async with room.reservation() as other:
        removing = asyncio.create_task(room.remove([old]))
        await asyncio.sleep(0)
        assert not old.exists()
        with pytest.raises(OutgrewRoom):
            other.metered(lambda done, total: None)(0, disk.usable // 2)
        await removing
        other.metered(lambda done, total: None)(0, disk.usable // 2)


async def test_what_is_used_now_was_used_last_though_the_clock_was_set_back(disk: Disk) -> None:
    by_the_old_clock, now = disk.folder("a", used=4_000_000_000), disk.folder("b", used=1000)
    disk.room().used(now)
    assert now.stat().st_mtime_ns > by_the_old_clock.stat().st_mtime_ns


async def test_of_interrupted_downloads_the_last_four_are_kept(disk: Disk, scripted: ScriptedSource) -> None:
    async def arrived(folder: Path, digest: str) -> None:
        raise AssertionError

    folders = [disk.folder(str(age), used=1000 - age) for age in range(6)]
    downloads = Downloads(disk.own, Sources(hugging_face=scripted, volume=scripted), disk.room(), arrived)
    assert downloads.abandoned() == folders[4:]


async def test_a_version_is_needed_while_it_is_made_or_looked_at(disk: Disk, pirate: Path) -> None:
    versions, digest = Versions(disk.own, disk.scratch, disk.room()), digest_of(pirate)
    publishing = asyncio.create_task(versions.publish(spec_of(digest, 0.5), {digest: Files(pirate, inspect(pirate))}))
    await asyncio.sleep(0)
    needed = list(versions.folders(()))
    assert needed == [(await publishing).folder]
    assert list(versions.folders(())) == []
