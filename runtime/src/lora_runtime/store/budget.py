"""How much of the disk the store may take, and which folders go first. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

USABLE_SHARE = 0.9
"""Of an emptyDir's size limit: the kubelet evicts a pod that exceeds it, and looks only now and then."""
_LEFT_FREE_SHARE = 0.15
"""Of the node's disk, by what is kept without being needed: the kubelet evicts pods when a tenth is left."""


_BLOCK_BYTES = 4096


def with_blocks(size_bytes: int, files: int) -> int:
    """What so many files with so many bytes take on the disk at most, together with their folder."""
    return size_bytes + (files + 1) * _BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class StoredFolder:
    """A folder that could be removed."""

    path: Path
    size_bytes: int
    last_used: int
    """Nanoseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Space:
    """What was seen of the disk; all in bytes."""

    disk: int
    free: int
    own: int
    """Taken by the store's own folders."""
    elsewhere: int
    """Taken by files beside the store's own, which count against the same limit: base model, compile caches."""
    limit: int | None
    """`spec.cache.sizeLimit` of the LoRAModel; None for the whole disk."""

    @property
    def usable(self) -> int | None:
        """What is left of the limit for the store's own folders."""
        return None if self.limit is None else int(self.limit * USABLE_SHARE) - self.elsewhere

    @property
    def most(self) -> int:
        """What the store's folders may take at most."""
        possible = self.own + self.free
        return possible if self.usable is None else min(possible, self.usable)

    @property
    def budget(self) -> int:
        """What they may take including folders that nobody needs."""
        return min(self.most, self.own + self.free - int(self.disk * _LEFT_FREE_SHARE))


@dataclass(frozen=True, slots=True)
class Fill:
    """How full the store was at the last look: what must stay, and how much there is room for."""

    needed_bytes: int
    possible_bytes: int


def surplus(folders: Iterable[StoredFolder], needed: Collection[Path], excess_bytes: int) -> list[StoredFolder]:
    """What to remove so that `excess_bytes` become free, least recently used first; less if all else is needed."""
    found: list[StoredFolder] = []
    for folder in sorted(folders, key=lambda folder: (folder.last_used, folder.path)):
        if excess_bytes <= 0:
            break
        if folder.path not in needed:
            found.append(folder)
            excess_bytes -= folder.size_bytes
    return found
