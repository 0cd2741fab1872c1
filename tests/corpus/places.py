"""Folders that try to lead elsewhere, and things that are no files."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from corpus.hostile import Damage, Hostile
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import CONFIG_FILE, TENSORS_FILE

NOT_FOUND, FORBIDDEN = Reason.SOURCE_NOT_FOUND, Reason.SOURCE_FORBIDDEN


def _instead(make: Callable[[Path], object], name: str = TENSORS_FILE) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return damage


def _moved_away(folder: Path) -> Path:
    """The folder's files, outside of the volume."""
    outside = folder.parents[2] / "outside" / folder.name
    shutil.rmtree(outside, ignore_errors=True)
    shutil.copytree(folder, outside)
    return outside


def _file_elsewhere(folder: Path) -> None:
    outside = _moved_away(folder)
    (folder / TENSORS_FILE).unlink()
    (folder / TENSORS_FILE).symlink_to(outside / TENSORS_FILE)


def _folder_elsewhere(folder: Path) -> None:
    outside = _moved_away(folder)
    shutil.rmtree(folder)
    folder.symlink_to(outside)


CASES = (
    Hostile("tensors-outside-the-volume", FORBIDDEN, (TENSORS_FILE, "leads out of the volume"), _file_elsewhere),
    Hostile("folder-outside-the-volume", FORBIDDEN, ("folder-outside-the-volume", "leads out"), _folder_elsewhere),
    Hostile(
        "a-path-of-dots", FORBIDDEN, ("../models/base", "leads out of the volume"), lambda _: None, path="../models/base"
    ),
    Hostile("an-absolute-path", FORBIDDEN, ("/etc", "leads out of the volume"), lambda _: None, path="/etc"),
    Hostile("tensors-a-folder", NOT_FOUND, (f"{TENSORS_FILE} (not a file)",), _instead(Path.mkdir)),
    Hostile("tensors-a-pipe", NOT_FOUND, (f"{TENSORS_FILE} (not a file)",), _instead(os.mkfifo)),
    Hostile("config-a-pipe", NOT_FOUND, (f"{CONFIG_FILE} (not a file)",), _instead(os.mkfifo, CONFIG_FILE)),
    Hostile(
        "tensors-a-device", NOT_FOUND, (f"{TENSORS_FILE} (not a file)",), _instead(lambda path: path.symlink_to("/dev/zero"))
    ),
    Hostile(
        "tensors-a-link-to-itself", NOT_FOUND, (TENSORS_FILE,), _instead(lambda path: path.symlink_to(path.name))
    ),
    Hostile("config-a-link-to-nothing", NOT_FOUND, (CONFIG_FILE,), _instead(lambda path: path.symlink_to("gone"), CONFIG_FILE)),
    Hostile("no-tensors-file", NOT_FOUND, (f"no {TENSORS_FILE}",), lambda folder: (folder / TENSORS_FILE).unlink()),
    Hostile("no-config-file", NOT_FOUND, (f"no {CONFIG_FILE}",), lambda folder: (folder / CONFIG_FILE).unlink()),
    Hostile(
        "a-pickle", Reason.UNSAFE_FORMAT, ("adapter_model.bin", "never opened"),
        lambda folder: (folder / TENSORS_FILE).rename(folder / "adapter_model.bin"),
    ),
    Hostile(
        "a-file-with-a-line-break", NOT_FOUND, (TENSORS_FILE, r"\nERROR"),
        lambda folder: (folder / TENSORS_FILE).rename(folder / "x\nERROR"),
    ),
)  # fmt: skip
