"""A disk that is really full is said, costs nobody what is being served, and heals when there is room again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MOUNTED = 'mount -t tmpfs -o size=400k tmpfs "$0" && exec "$1" "$2" "$0" "$3"'
STORY = Path(__file__).parent / "full_disk_story.py"
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")


@pytest.fixture(scope="module")
def small_disk() -> None:
    if shutil.which("unshare") is None:
        pytest.skip("there is no `unshare` here to mount a small filesystem with")
    probe = subprocess.run(
        [*UNSHARE, "mount -t tmpfs -o size=4k tmpfs /tmp"], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        pytest.skip(f"this machine lets nobody mount a small filesystem of their own: {probe.stderr.strip()}")


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_a_refusal_and_no_end(tmp_path: Path, base: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    told = subprocess.run(
        [*UNSHARE, MOUNTED, disk, sys.executable, STORY, base],
        # what pytest put on this process's path alone
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.split() == ["fetch", "version", "full_before", "document"]
