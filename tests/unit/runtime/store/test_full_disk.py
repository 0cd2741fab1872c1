"""A disk that is really full is said, costs nobody what is being served, and heals when there is room again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MOUNTED = 'mount -t tmpfs -o size=400k tmpfs "$0" && exec "$1" "$2" "$0" "$3" "$4"'
STORY = Path(__file__).parent / "full_disk_story.py"
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")


@pytest.fixture(scope="module")
def small_disk() -> None:
    probe = subprocess.run(
        [*UNSHARE, "mount -t tmpfs -o size=4k tmpfs /tmp"], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        pytest.skip(f"this machine lets nobody mount a small filesystem of their own: {probe.stderr.strip()}")


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("story", ["fetch", "version", "full before", "document"])
def test_a_full_disk_is_a_refusal_and_no_end(story: str, tmp_path: Path, base: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    told = subprocess.run(
        [*UNSHARE, MOUNTED, disk, sys.executable, STORY, base, story],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.splitlines()[-1] == "healed"
