"""What is mounted under a folder, and getting rid of it before the folder is deleted."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from local_cluster.errors import ClusterError

_ESCAPED = re.compile(r"\\([0-7]{3})")


def mount_points(mountinfo: str, folders: Iterable[Path]) -> list[Path]:
    """The mount points below (or at) one of the folders, the deepest and latest first. Pure.

    Args:
        mountinfo: the text of /proc/self/mountinfo; its fifth column is the mount point.
        folders: where to look.
    """
    points = [Path(_unescape(line.split(" ")[4])) for line in mountinfo.splitlines() if line]
    wanted = tuple(folders)
    ours = [point for point in points if any(point.is_relative_to(folder) for folder in wanted)]
    # A later line may lie over an earlier one at the same place.
    return sorted(reversed(ours), key=lambda point: len(point.parts), reverse=True)


def below(folders: Iterable[Path]) -> list[Path]:
    """What is mounted under the folders now, the deepest first."""
    return mount_points(Path("/proc/self/mountinfo").read_text(), [folder.resolve() for folder in folders])


def unmount_below(folders: Iterable[Path]) -> None:
    """Unmounts everything under the folders.

    Raises:
        ClusterError: something stays mounted. Then the folders must not be deleted: a bind mount shows
            another folder's files.
    """
    wanted = tuple(folders)
    for point in below(wanted):
        # Lazily: its processes are dead, but the kernel may still be letting go of their files.
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True, timeout=30)
    if left := below(wanted):
        raise ClusterError(
            f"{left[0]} is still mounted: find its user with `fuser -vm {left[0]}`, end it, then try again"
        )


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)
