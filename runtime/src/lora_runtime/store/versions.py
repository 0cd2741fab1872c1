"""Published versions: the folders that engines read, each unique to its bytes."""

import asyncio
import hashlib
import json
import logging
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_api.runtime_api import RevisionSpec
from lora_api.v1alpha1.adapter import Precision
from lora_runtime.adapters.blend import BlendPart, publish
from lora_runtime.adapters.errors import CONFIG_FILE, TENSORS_FILE
from lora_runtime.store.digest import digest_of
from lora_runtime.store.disk import disk_refused, hide, reveal, scratch_folder
from lora_runtime.store.flights import Flights, to_the_end
from lora_runtime.store.room import Room

_log = logging.getLogger(__name__)

_RECIPE = 1
"""Raise it when other bytes are made from the same parts: a store outlives the process."""
_DIGEST_FILE = "digest"
"""Beside the two files that engines read: what they were when the version was made."""
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
    note: str = ""
    """What its author should know of it, although it is sound."""


class Versions:
    """The folder of published versions, inside the store."""

    def __init__(self, root: Path, scratch: Path, room: Room) -> None:
        self._root, self._scratch, self._room = root, scratch, room
        self._flights: Flights[Published] = Flights()
        self._whole: set[Path] = set()
        """Made by this process, or found to be what an earlier one made."""

    async def publish(self, spec: RevisionSpec, parts: Sequence[BlendPart]) -> Published:
        """Makes a version, unless it is there and whole; `parts` in the order of `spec.parts`.

        Raises:
            Refused: a value does not fit the precision, or there is no room.
        """
        return await self._flights.join(_name(spec), lambda _: to_the_end(self._publish(spec, parts)))

    def folders(self, specs: Iterable[RevisionSpec]) -> Iterator[Path]:
        """Those of `specs`, and those being made."""
        yield from (self._root / _name(spec) for spec in specs)
        yield from (self._root / name for name in self._flights)

    async def _publish(self, spec: RevisionSpec, parts: Sequence[BlendPart]) -> Published:
        folder = self._root / _name(spec)
        with disk_refused(self._root):
            if not (folder in self._whole and folder.exists()) and not await asyncio.to_thread(self._check, folder):
                self._room.forget(folder)
                async with self._room.reservation() as reservation:
                    size_bytes = _size_of_sum(parts, spec.precision)
                    await self._room.reserve(reservation, size_bytes, f"revision {spec.revision}")
                    await asyncio.to_thread(self._make, spec, parts, folder)
                    reservation.end()
                    self._room.used(folder)
                self._whole.add(folder)
            else:
                self._room.used(folder)
            return await asyncio.to_thread(_read, folder)

    def _check(self, folder: Path) -> bool:
        """Whether it is there and holds what it was made with; a damaged one is removed.

        Damaged by a failing disk, for instance: no engine of this process has read it yet.
        """
        if not folder.exists():
            return False
        try:
            made, found = (folder / _DIGEST_FILE).read_text(encoding="ascii"), digest_of(folder)
        except (OSError, ValueError) as error:
            made, found = "unknown", f"unreadable: {error}"
        if made == found:
            return True
        _log.warning("damaged version=%s made=%s found=%s; it is made again", folder.name, made, found)
        shutil.rmtree(hide(folder, self._scratch), ignore_errors=True)
        return False

    def _make(self, spec: RevisionSpec, parts: Sequence[BlendPart], folder: Path) -> None:
        with scratch_folder(self._scratch) as made:
            publish(parts, spec.precision, made)
            (made / _DIGEST_FILE).write_text(digest_of(made), encoding="ascii")
            reveal(made, folder)


def _read(folder: Path) -> Published:
    rank = int(json.loads((folder / CONFIG_FILE).read_bytes())["r"])
    return Published(folder, rank, (folder / TENSORS_FILE).stat().st_size)


def _size_of_sum(parts: Sequence[BlendPart], precision: Precision) -> int:
    """What the weighted sum takes on disk at most, in bytes."""
    modules = [module for part in parts for module in part.inspection.modules]
    values = sum(math.prod(module.a_shape) + math.prod(module.b_shape) for module in modules)
    return values * (2 if precision in _HALF else 4) + len(modules) * _HEADER_BYTES_PER_MODULE


def _name(spec: RevisionSpec) -> str:
    # a revision is 8 hex digits, for people; engines need a name that never repeats for other bytes
    facts = [
        _RECIPE,
        spec.method.value,
        spec.precision.value,
        [[part.digest, part.weight] for part in spec.parts],
    ]
    full = hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()
    return f"{spec.revision}-{full[:32]}"
