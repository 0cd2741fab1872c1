"""The folders of a pod, on a machine that has no volumes and no Secrets mounted."""

import fcntl
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from lora_api.local_api import DISK
from lora_runtime.standalone.wish import HUB_TOKEN

_TOKEN = "token"  # noqa: S105  (the name of the file)


class InUse(Exception):
    """Another process works in the folder."""


def lock(state: Path) -> int:
    """Takes the folder for this process, until it ends; returns what must stay open.

    Raises:
        InUse: another process has it.
        OSError: it cannot be written.
    """
    state.mkdir(parents=True, exist_ok=True)
    taken = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(taken)
        raise InUse(
            f"{state} is used by another lora-runtime: end that one, or name another folder by --state"
        ) from error
    return taken


def link(root: Path, folders: Mapping[str, Path]) -> Path:
    """Makes `root` hold exactly these folders by name, as links."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for name, folder in folders.items():
        (root / name).symlink_to(folder)
    return root


def volumes(state: Path, named: Mapping[str, Path]) -> Path:
    """What is mounted: the named folders, and the whole disk."""
    return link(state / "volumes", {DISK: Path("/"), **named})


def credentials(state: Path, named: Mapping[str, Path], environment: Mapping[str, str]) -> tuple[Path, bool]:
    """The Secrets, and whether the token is among them that this machine is logged in to the hub with."""
    root = link(state / "credentials", named)
    home = Path(environment.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    if HUB_TOKEN in named:
        return root, True
    if token := environment.get("HF_TOKEN"):
        own = root / HUB_TOKEN
        own.mkdir(mode=0o700)
        with os.fdopen(os.open(own / _TOKEN, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(token)
        return root, True
    if (home / _TOKEN).is_file():
        (root / HUB_TOKEN).symlink_to(home)
        return root, True
    return root, False
