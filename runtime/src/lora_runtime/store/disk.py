"""Changes of folders that are seen whole or not at all, also after a crash."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import not_fetched

_FULL = (errno.ENOSPC, errno.EDQUOT)


def reveal(folder: Path, target: Path) -> None:
    """Moves a complete folder to its place; if something is there already, that stays and the folder goes.

    Both must be on one filesystem. What is revealed survives a power cut.
    """
    for entry in folder.iterdir():
        _sync(entry)
    _sync(folder)
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        shutil.rmtree(folder)
    _sync(target.parent)


def hide(folder: Path, scratch: Path) -> Path:
    """Takes a folder out of sight in one step; returns where it is now, for the caller to remove."""
    aside = Path(tempfile.mkdtemp(dir=scratch))
    folder.rename(aside / folder.name)
    return aside


@contextmanager
def scratch_folder(scratch: Path) -> Iterator[Path]:
    """A new folder that is gone afterwards, unless it was revealed."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
        free = shutil.disk_usage(root).free
        raise not_fetched(
            Reason.STORE_FULL,
            f"the pod's store {root} is full ({free >> 20} MiB free); raise spec.cache.sizeLimit of the LoRAModel or "
            f"remove adapters",
            retryable=True,
        ) from error


def is_full(error: Exception) -> bool:
    """Whether the disk or quota ran out."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    # safetensors tells the operating system's error in its message only
    return isinstance(error, SafetensorError) and any(f"os error {code}" in str(error) for code in _FULL)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
