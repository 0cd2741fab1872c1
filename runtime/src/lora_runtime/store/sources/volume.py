"""Adapters in a volume that the pod mounts read-only: a folder, or a GGUF file."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import VolumeSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import Refused, list_files, not_fetched
from lora_runtime.adapters.layout import choose, split
from lora_runtime.store.progress import Progress
from lora_runtime.store.sources.source import too_large
from lora_runtime.store.threads import in_thread

_CHUNK_BYTES = 4 << 20
_NAMED_AT_MOST = 8


@dataclass(frozen=True, slots=True)
class VolumeFiles:
    """Reads `<volumes_root>/<volume name>/<path>`. A volume has no history: the digest alone pins its files."""

    volumes_root: Path
    max_bytes: int

    async def pin(self, source: AdapterSource) -> AdapterSource:
        """The source itself, once its files are seen to be there."""
        await asyncio.to_thread(self._files, source)
        return source

    async def fetch(self, source: AdapterSource, into: Path, progress: Progress) -> None:
        """Copies the files; refuses when they are written to meanwhile."""
        await in_thread(lambda tell: self._copy(source, into, tell), progress)

    def _copy(self, source: AdapterSource, into: Path, progress: Progress) -> None:
        found = self._files(source)
        names, files = list(found), list(found.values())
        before = [_stamp(file) for file in files]
        total, done = sum(size for size, _ in before), 0
        progress(done, total)
        for left in into.iterdir():
            left.unlink()  # the folder may have had other files when an earlier attempt was cut
        for name, file, (size, _) in zip(names, files, before, strict=True):
            with (into / name).open("wb") as copy:
                for chunk in _chunks(file, size, source):
                    copy.write(chunk)
                    done += len(chunk)
                    progress(done, total)
        if [_stamp(file) for file in files] != before:
            raise _changing(source)

    def _files(self, source: AdapterSource) -> dict[str, Path]:
        assert source.volume is not None  # noqa: S101  (chosen by Sources.of)
        with _readable(source.volume):
            return self._checked(source, source.volume)

    def _checked(self, source: AdapterSource, place: VolumeSource) -> dict[str, Path]:
        """By name in the store."""
        path, named = split(place.path)
        place = place.model_copy(update={"path": path or "."})
        folder = find_folder(self.volumes_root, place)
        chosen = choose(folder_name(place), list_files(folder), named)
        volume = (self.volumes_root / place.name).resolve()
        files = {name: folder / there for name, there in chosen.items()}
        for file in files.values():
            if not file.resolve().is_relative_to(volume):
                raise _outside(place, file.name)
        size = sum(file.stat().st_size for file in files.values())
        if size > self.max_bytes:
            raise too_large(source.describe(), size, self.max_bytes)
        return files


def find_folder(volumes_root: Path, source: VolumeSource) -> Path:
    """The folder that a volume source names, with its links followed.

    Raises:
        Refused: the volume is not mounted, the folder is not there, or a link leads out of the volume.
    """
    with _readable(source):
        return _found(volumes_root, source)


def _found(volumes_root: Path, source: VolumeSource) -> Path:
    volume = volumes_root / source.name
    if not volume.is_dir():
        mounted = ", ".join(sorted(entry.name for entry in volumes_root.glob("*"))) or "none"
        raise not_fetched(
            Reason.SOURCE_NOT_FOUND,
            f"volume {source.name} is not mounted in this pod (mounted: {mounted}); list it in the LoRAModel's "
            f"spec.volumes and wait until its pods have restarted",
            retryable=True,
        )
    folder = (volume / source.path).resolve()
    if not folder.is_relative_to(volume.resolve()):
        raise _outside(source, source.path)
    if not folder.is_dir():
        parent = folder.parent
        while not parent.is_dir():
            parent = parent.parent
        inside = sorted(entry.name for entry in parent.iterdir())
        listed = ", ".join(inside[:_NAMED_AT_MOST]) or "nothing"
        where = parent.relative_to(volume.resolve())
        raise not_fetched(
            Reason.SOURCE_NOT_FOUND,
            f"volume {source.name} has no folder {source.path}; folder {where} of it has: {listed}",
            retryable=True,
        )
    return folder


def folder_name(source: VolumeSource) -> str:
    """The folder in words."""
    return f"folder {source.path} of volume {source.name}"


@contextmanager
def _readable(source: VolumeSource) -> Iterator[None]:
    try:
        yield
    # the last two: a loop of links, and a path with a null character
    except (OSError, RuntimeError, ValueError) as error:
        raise not_fetched(
            Reason.UNAUTHORIZED if isinstance(error, PermissionError) else Reason.SOURCE_NOT_FOUND,
            f"{folder_name(source)} cannot be read: {error}; the pod's user needs to be allowed to read it",
            retryable=True,
        ) from error


def _chunks(file: Path, size: int, source: AdapterSource) -> Iterator[bytes]:
    assert source.volume is not None  # noqa: S101  (chosen by Sources.of)
    with _readable(source.volume):
        opened = file.open("rb")
    with opened as original:
        left = size
        while left > 0:
            chunk = original.read(min(_CHUNK_BYTES, left))
            if not chunk:
                raise _changing(source)
            left -= len(chunk)
            yield chunk


def _stamp(file: Path) -> tuple[int, int]:
    stat = os.stat(file)
    return stat.st_size, stat.st_mtime_ns


def _changing(source: AdapterSource) -> Refused:
    return not_fetched(
        Reason.SOURCE_UNREACHABLE,
        f"the files in {source.describe()} changed while they were copied; write them elsewhere in the volume and "
        f"rename the folder when it is complete",
        retryable=True,
    )


def _outside(source: VolumeSource, name: str) -> Refused:
    return not_fetched(
        Reason.SOURCE_FORBIDDEN,
        f"{name} in {folder_name(source)} is a link that leads out of the volume; copy the files into it",
        retryable=True,
    )
