"""Published versions: the folders that engines read, each unique to its bytes."""

import asyncio
import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from lora_api.runtime_api import RevisionSpec
from lora_api.v1alpha1.adapter import Precision
from lora_api.wire import Digest
from lora_runtime.adapters.blend import Files, publish, published_energy, published_rank
from lora_runtime.adapters.compatibility import part_ranks
from lora_runtime.adapters.errors import TENSORS_FILE
from lora_runtime.adapters.size import element_count
from lora_runtime.store.blending import BlendProcess
from lora_runtime.store.budget import with_blocks
from lora_runtime.store.digest import digest_of
from lora_runtime.store.disk import disk_refused, hide, reveal, scratch_folder
from lora_runtime.store.flights import Flights, to_the_end
from lora_runtime.store.room import Room

_log = logging.getLogger(__name__)

_RECIPE = 1
"""Raise it when other bytes are made from the same parts: a store outlives the process."""
_DIGEST_FILE = "digest"
"""Beside the two files that engines read: what they were when the version was made."""
_FILES = 4
"""In the folder of a version, with the energy of a blend."""
_HALF = (Precision.BFLOAT16, Precision.FLOAT16)
_HEADER_BYTES_PER_MODULE = 1024


@dataclass(frozen=True, slots=True)
class Published:
    """A version on disk."""

    folder: Path
    """Absolute; never holds other bytes, not even after it was removed and made again."""
    rank: int
    size_bytes: int
    """Size of the tensors' file."""
    elements: int
    """Of all its matrices."""
    energy: float | None = None
    """The share that the recipe's rank kept; None when it cuts nothing."""
    note: str = ""
    """What its author should know of it, although it is sound."""


class Versions:
    """The folder of published versions, inside the store."""

    def __init__(self, root: Path, scratch: Path, room: Room) -> None:
        self._root, self._scratch, self._room = root, scratch, room
        self._flights: Flights[Published] = Flights()
        self._whole: set[Path] = set()
        """Made by this process, or found to be what an earlier one made."""
        self._computing = asyncio.Semaphore(1)
        """Computing one blend may need several times the memory of its largest module."""

    async def publish(self, spec: RevisionSpec, files: Mapping[Digest, Files]) -> Published:
        """Makes a version, unless it is there and whole; `files` are those of its leaves.

        Raises:
            Refused: a value does not fit the precision, or there is no room.
        """
        return await self._flights.join(_name(spec), lambda _: self._in_turn(spec, files))

    async def _in_turn(self, spec: RevisionSpec, files: Mapping[Digest, Files]) -> Published:
        if spec.concatenates_only:
            return await to_the_end(self._publish(spec, files, None))
        async with nullcontext() if (self._root / _name(spec)).exists() else self._computing:
            process = BlendProcess()
            return await to_the_end(self._publish(spec, files, process), process.stop)

    def folders(self, specs: Iterable[RevisionSpec]) -> Iterator[Path]:
        """Those of `specs`, and those being made."""
        yield from (self._root / _name(spec) for spec in specs)
        yield from (self._root / name for name in self._flights)

    async def _publish(
        self, spec: RevisionSpec, files: Mapping[Digest, Files], process: BlendProcess | None
    ) -> Published:
        folder = self._root / _name(spec)
        with disk_refused(self._root):
            if folder.exists() and (folder in self._whole or await asyncio.to_thread(self._check, folder)):
                self._room.used(folder)
                return await asyncio.to_thread(_read, folder)
            self._room.forget(folder)
            async with self._room.reserved(_most_bytes(spec, files), f"revision {spec.revision}") as reservation:
                published = await self._make(spec, files, folder, process)
                self._room.used(folder)
                reservation.end()
            self._whole.add(folder)
            return published

    def _check(self, folder: Path) -> bool:
        """Whether it holds what it was made with; a damaged one is removed.

        Damaged by a failing disk, for instance: no engine of this process has read it yet.
        """
        try:
            made, found = (folder / _DIGEST_FILE).read_text(encoding="ascii"), digest_of(folder)
            published_energy(folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            made, found = "unknown", f"unreadable: {error}"
        if made == found:
            return True
        _log.warning("damaged version=%s made=%s found=%s; it is made again", folder.name, made, found)
        shutil.rmtree(hide(folder, self._scratch), ignore_errors=True)
        return False

    async def _make(
        self, spec: RevisionSpec, files: Mapping[Digest, Files], folder: Path, process: BlendProcess | None
    ) -> Published:
        with scratch_folder(self._scratch) as made:
            if process is not None:
                await process.publish(spec, files, made)
                return await asyncio.to_thread(_reveal, made, folder)
            # In one go: each way to a thread and back waits for the server's own thread to let go of the interpreter.
            return await asyncio.to_thread(_publish_and_reveal, spec, files, made, folder)


def _publish_and_reveal(spec: RevisionSpec, files: Mapping[Digest, Files], made: Path, folder: Path) -> Published:
    publish(spec, files, made)
    return _reveal(made, folder)


def _reveal(made: Path, folder: Path) -> Published:
    (made / _DIGEST_FILE).write_text(digest_of(made), encoding="ascii")
    reveal(made, folder)
    return _read(folder)


def _read(folder: Path) -> Published:
    tensors = folder / TENSORS_FILE
    return Published(
        folder, published_rank(folder), tensors.stat().st_size, element_count(tensors), published_energy(folder)
    )


def _most_bytes(spec: RevisionSpec, files: Mapping[Digest, Files]) -> int:
    """What it takes on disk at most, in bytes."""
    inspections = {digest: found.inspection for digest, found in files.items()}
    modules = {module.name: module for inspection in inspections.values() for module in inspection.modules}
    values = 0
    for name, ranks in part_ranks(spec, inspections).items():
        rank = sum(ranks) if spec.rank is None else spec.rank
        values += rank * (modules[name].a_shape[1] + modules[name].b_shape[0])
    size_bytes = values * (2 if spec.precision in _HALF else 4) + len(modules) * _HEADER_BYTES_PER_MODULE
    return with_blocks(size_bytes, _FILES)


def _name(spec: RevisionSpec) -> str:
    # a revision is 8 hex digits, for people; engines need a name that never repeats for other bytes
    parts, method, *options = spec.facts
    facts = [_RECIPE, method, spec.precision.value, parts, *options]
    full = hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()
    return f"{spec.revision}-{full[:32]}"
