"""Changes of folders that are seen whole or not at all, also after a crash, and what they take of the disk."""

import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import Refused, not_fetched

_FULL = (errno.ENOSPC, errno.EDQUOT)
_BLOCK_BYTES = 512
"""Unit of `st_blocks`, whatever the filesystem."""


def reveal(folder: Path, target: Path) -> None:
    """Moves a complete folder to its place; if something is there already, that stays and the folder goes.

    Both must be on one filesystem. Nobody waits for the disk: what a power cut damages is found by its digest when the next process
    begins, and made or fetched again.
    """
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        shutil.rmtree(folder)


def hide(folder: Path, scratch: Path) -> Path:
    """Takes a folder out of sight in one step; returns where it is now, for the caller to remove.

    Needs no room, so that a full disk can be emptied.
    """
    return folder.rename(scratch / f"{folder.name}.{uuid.uuid4().hex}")


@contextmanager
def scratch_folder(scratch: Path) -> Iterator[Path]:
    """A new folder that is gone afterwards, unless it was revealed."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def size_of(folder: Path, without: Collection[Path] = ()) -> int:
    """Bytes that a folder takes on the disk, with all in it; links count as themselves.

    What vanishes meanwhile counts as nothing.
    """
    if folder in without:
        return 0
    try:
        taken = _taken(folder.lstat())
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    taken += size_of(Path(entry.path), without)
                else:
                    taken += _taken(entry.stat(follow_symlinks=False))
    except FileNotFoundError:
        return 0
    return taken


def _taken(stat: os.stat_result) -> int:
    # blocks of what was just written may not be assigned yet
    return max(stat.st_size, stat.st_blocks * _BLOCK_BYTES)


@contextmanager
def disk_refused(root: Path) -> Iterator[None]:
    """Turns trouble with files into a refusal; for a full disk it says whose limit to raise."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        if not is_full(error):
            raise not_fetched(
                Reason.SOURCE_UNREACHABLE, f"files cannot be put into the pod's store: {error}", retryable=True
            ) from error
        raise store_full(
            f"the pod's store {root} is full ({shutil.disk_usage(root).free} bytes available); raise "
            f"spec.cache.sizeLimit of the LoRAModel or remove adapters"
        ) from error


def store_full(message: str) -> Refused:
    """There is no room; there may be later."""
    return not_fetched(Reason.STORE_FULL, message, retryable=True)


def is_full(error: Exception) -> bool:
    """Whether the disk or quota ran out."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    # safetensors tells the operating system's error in its message only
    return isinstance(error, SafetensorError) and any(f"os error {code}" in str(error) for code in _FULL)
