"""The cgroup under which a cluster's pods run, on cgroup v1 (every hierarchy) and v2 (the one)."""

from __future__ import annotations

import os
import time
from pathlib import Path

from local_cluster.errors import ClusterError

ROOT = Path("/sys/fs/cgroup")


def create(name: str, root: Path = ROOT) -> None:
    """Makes the cgroup in every hierarchy; the kubelet refuses a `cgroupRoot` that is not there."""
    if (root / "cgroup.controllers").exists():
        controllers = (root / "cgroup.controllers").read_text().split()
        (root / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
    for hierarchy in _hierarchies(root):
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        # A new v1 cpuset is empty, and no process may enter it before it is filled in.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (group / setting).exists() and (hierarchy / setting).exists():
                (group / setting).write_text((hierarchy / setting).read_text())
        # Beside the node's daemons, pods weigh as much as the kubelet gives them all together, and not as one daemon.
        for setting, of_a_core, most in (("cpu.shares", 1024, 1 << 18), ("cpu.weight", 100, 10_000)):
            if (group / setting).exists():
                (group / setting).write_text(str(min(most, of_a_core * (os.cpu_count() or 1))))


def members(name: str, root: Path = ROOT) -> frozenset[int]:
    """The pids of all processes in the cgroup and below it."""
    pids: set[int] = set()
    for hierarchy in _hierarchies(root):
        for folder in _folders(hierarchy / name):
            try:
                pids.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
            except OSError:
                continue  # removed while we looked
    return frozenset(pids)


def remove(name: str, root: Path = ROOT, deadline_seconds: float = 10) -> None:
    """Removes the cgroup and all below it, once its processes are gone.

    Raises:
        ClusterError: something still lives in it.
    """
    deadline = time.monotonic() + deadline_seconds
    for hierarchy in _hierarchies(root):
        group = hierarchy / name
        while group.exists():
            stuck = [child for child in _deepest_first(group) if not _removed(child)]
            if stuck and time.monotonic() > deadline:
                raise ClusterError(
                    f"cgroup {stuck[0]} cannot be removed: a process still runs in it; "
                    f"`cat {stuck[0]}/cgroup.procs` names it"
                )
            time.sleep(0.02 if stuck else 0)


def exists(name: str, root: Path = ROOT) -> bool:
    """Whether some hierarchy still has the cgroup."""
    return any((hierarchy / name).exists() for hierarchy in _hierarchies(root))


def _hierarchies(root: Path) -> list[Path]:
    if (root / "cgroup.procs").exists():
        return [root]
    # cpu and cpuacct may be links to one hierarchy.
    return [entry for entry in sorted(root.iterdir()) if entry.is_dir() and not entry.is_symlink()]


def _deepest_first(group: Path) -> list[Path]:
    return sorted(_folders(group), key=lambda path: len(path.parts), reverse=True)


def _folders(group: Path) -> list[Path]:
    # Not Path.rglob: it fails when a folder goes while it looks, as the kubelet's do.
    return [Path(folder) for folder, _, _ in os.walk(group)]


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
