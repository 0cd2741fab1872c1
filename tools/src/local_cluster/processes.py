"""A cluster's processes: started detached, found again, ended.

No pid file: a pid on disk may by now be another program's. A process is ours when the environment it was
started with carries our mark, or when it is in the cluster's cgroup (containers do not inherit the mark).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from local_cluster import cgroups
from local_cluster.errors import ClusterError

OWNER_VARIABLE = "LOCAL_CLUSTER_OWNER"
COMPONENT_VARIABLE = "LOCAL_CLUSTER_COMPONENT"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Command:
    """How one component is run."""

    component: str
    argv: tuple[str, ...]
    namespace: str | None = None
    """The network namespace it runs in, or None for the machine's."""


@dataclass(frozen=True)
class Owner:
    """Whose processes are meant."""

    mark: str
    cgroup: str


@dataclass(frozen=True)
class Process:
    """A living process of a cluster; `component` is None for a container's."""

    pid: int
    component: str | None
    leads: bool
    """True for the component itself, False for what it started (shims, iptables, mounts)."""


def start(command: Command, owner: Owner, log: Path) -> None:
    """Starts a component that outlives this program; its output is appended to `log`."""
    # Not `ip netns exec`: that remounts /sys and so hides the cgroups from the kubelet.
    enter = () if command.namespace is None else ("nsenter", f"--net=/run/netns/{command.namespace}")
    environment = {
        "PATH": _PATH,
        "HOME": "/",
        OWNER_VARIABLE: owner.mark,
        COMPONENT_VARIABLE: command.component,
    }
    # Unlike fork and exec, this returns when the new process has its session and its environment, so that it is
    # found from now on. A session of its own keeps Ctrl-C from it, and `/` keeps it from holding our folder.
    os.posix_spawnp(
        "env",
        ["env", "--chdir=/", *enter, *command.argv],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def owned(owner: Owner) -> list[Process]:
    """Every living process of the cluster."""
    contained = cgroups.members(owner.cgroup)
    found = (_inspect(int(entry.name), owner, contained) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [process for process in found if process is not None]


def components(processes: Iterable[Process]) -> dict[str, int]:
    """The pid of each component that runs."""
    return {process.component: process.pid for process in processes if process.leads and process.component}


def end(owner: Owner, deadline_seconds: float = 30) -> int:
    """Kills every process of the cluster and waits until they are gone; how many there were.

    Without asking first: nothing they hold outlives the cluster, and a busy API server takes 10 s to stop.

    Raises:
        ClusterError: some would not die.
    """
    deadline = time.monotonic() + deadline_seconds
    killed: set[int] = set()
    empty_looks = 0
    # Twice, since a process has no environment to be known by for a moment while it turns into another program.
    while empty_looks < 2:
        processes = owned(owner)
        empty_looks = 0 if processes else empty_looks + 1
        for process in processes:
            kill_if_owned(process.pid, owner)
        killed.update(process.pid for process in processes)
        if processes and time.monotonic() > deadline:
            pids = ", ".join(str(process.pid) for process in processes)
            raise ClusterError(
                f"processes {pids} of {owner.mark} did not die within {deadline_seconds:.0f} s of SIGKILL: "
                "see `ps -o pid,stat,wchan,cmd -p PID` (D: stuck in the kernel), then try again"
            )
        time.sleep(0.05)
    _reap(killed)
    return len(killed)


def kill_if_owned(pid: int, owner: Owner) -> None:
    """Kills the process if it is the cluster's at this moment; does nothing if it is another's or none."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # The handle now names one process for good; only then is it certain which one we looked at.
        contained = cgroups.members(owner.cgroup)
        if _inspect(pid, owner, contained) is not None:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def _reap(pids: Iterable[int]) -> None:
    """Lets the kernel forget those that this very program started; init does so for all others."""
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _inspect(pid: int, owner: Owner, contained: frozenset[int]) -> Process | None:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        leads = os.getsid(pid) == pid
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None  # it ended while we looked, or it is another user's
    if f"{OWNER_VARIABLE}={owner.mark}".encode() in environment:
        prefix = f"{COMPONENT_VARIABLE}=".encode()
        names = [entry.removeprefix(prefix).decode() for entry in environment if entry.startswith(prefix)]
        return Process(pid, names[0] if names else None, leads)
    return Process(pid, None, leads=False) if pid in contained else None
