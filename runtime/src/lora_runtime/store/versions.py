"""Published versions: the folders that engines read, each unique to its bytes."""

import asyncio
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_api.runtime_api import RevisionSpec
from lora_runtime.adapters.blend import BlendPart, publish
from lora_runtime.adapters.errors import CONFIG_FILE, TENSORS_FILE
from lora_runtime.adapters.size import element_count
from lora_runtime.store.disk import disk_refused, hide, reveal, scratch_folder
from lora_runtime.store.flights import Flights

_RECIPE = 1
"""Raise it when other bytes are made from the same parts: a store outlives the process."""


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


class Versions:
    """The folder of published versions, inside the store."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self._root, self._scratch = root, scratch
        self._flights: Flights[Published] = Flights()

    async def publish(self, spec: RevisionSpec, parts: Sequence[BlendPart]) -> Published:
        """Makes a version, unless it is there; `parts` in the order of `spec.parts`.

        Raises:
            Refused: a value does not fit the precision, or the disk is full.
        """
        return await self._flights.join(_name(spec), lambda _: asyncio.to_thread(self._publish, spec, parts))

    def hide_all_but(self, keep: Iterable[RevisionSpec]) -> list[Path]:
        """Takes all other versions out of sight, except those being made; returns what is left to remove."""
        kept = {_name(spec) for spec in keep}
        return [
            hide(folder, self._scratch)
            for folder in self._root.iterdir()
            if folder.name not in kept and folder.name not in self._flights
        ]

    def _publish(self, spec: RevisionSpec, parts: Sequence[BlendPart]) -> Published:
        folder = self._root / _name(spec)
        if not folder.exists():
            with disk_refused(self._root), scratch_folder(self._scratch) as made:
                publish(parts, spec.precision, made)
                reveal(made, folder)
        rank = int(json.loads((folder / CONFIG_FILE).read_bytes())["r"])
        tensors = folder / TENSORS_FILE
        return Published(folder, rank, tensors.stat().st_size, element_count(tensors))


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
