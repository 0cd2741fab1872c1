"""Slow artefacts, made once per machine and published whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def cache_root() -> Path:
    """The folder that holds every slow artefact: ``$LORA_CACHE``, else ``~/.cache/lora-operator``."""
    return Path(os.environ.get("LORA_CACHE") or Path.home() / ".cache" / "lora-operator")


def make_once(target: Path, build: Callable[[Path], None]) -> Path:
    """Return ``target``, first filling it with ``build`` if it does not exist.

    ``build`` receives an empty folder beside ``target``, which is renamed only when ``build`` has returned:
    a killed run leaves no half-made ``target``. Of two runs at once both build and the first to finish wins.
    The files are readable by every user, because pods that mount them do not run as their owner.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        build(draft)
        _make_readable(draft)
        try:
            draft.rename(target)
        except OSError:
            if not target.exists():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _make_readable(folder: Path) -> None:
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
