"""What a step needs of the machine, checked and said before the step begins."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local_cluster.errors import ClusterError
from local_cluster.layout import Mode
from local_cluster.progress import Progress

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
_CNI_PLUGINS = ("bridge", "host-local", "portmap", "loopback")
_PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "sysctl": "procps",
    "nsenter": "util-linux",
}
_GO = (1, 26)
_APT_TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class Need:
    """Room that a step takes, in GiB."""

    what: str
    disk: float
    memory: float


BUILD = Need("building Kubernetes from source", disk=6, memory=3)
SMALL_BUILD = Need("building a small program", disk=1, memory=1)
API_ONLY = Need("an API server without a node", disk=0.5, memory=1)
NODE = Need("a Kubernetes node, without the images loaded into it", disk=2, memory=2)


def shortage(need: Need, disk: float, memory: float, folder: Path) -> str | None:
    """What is missing, as a sentence; None if there is enough. Pure; all in GiB."""
    if disk < need.disk:
        return (
            f"{need.what} needs {need.disk:g} GiB of disk at {folder}, and {disk:.1f} are free: "
            "free some, or set LORA_CACHE to a folder on a larger disk"
        )
    if memory < need.memory:
        return f"{need.what} needs {need.memory:g} GiB of memory, and {memory:.1f} are available: end something"
    return None


def go_version(reported: str) -> tuple[int, int] | None:
    """The (major, minor) of `go env GOVERSION`'s answer, e.g. go1.26.8; None if it is none. Pure."""
    found = re.match(r"go(\d+)\.(\d+)", reported)
    return (int(found[1]), int(found[2])) if found else None


def check_build(cache: Path, *, slow: bool) -> None:
    """Checks that binaries can be built.

    Raises:
        ClusterError: Go is missing or too old, or there is too little room.
    """
    wanted = ".".join(map(str, _GO))
    if shutil.which("go") is None:
        raise ClusterError(
            f"Go {wanted} or newer is needed to build Kubernetes, and there is no `go` on PATH: install it"
        )
    reported = subprocess.run(
        ["go", "env", "GOVERSION"], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()
    version = go_version(reported)
    if version is None or version < _GO:
        raise ClusterError(f"Go {wanted} or newer is needed to build Kubernetes, and `go` is {reported}: update it")
    check_room(BUILD if slow else SMALL_BUILD, cache)


def check_cluster(mode: Mode, cache: Path, progress: Progress) -> None:
    """Checks that a cluster can run; installs the Debian packages that a node lacks.

    Raises:
        ClusterError: not root, too little room, or a package cannot be had.
    """
    check_room(API_ONLY if mode is Mode.API_ONLY else NODE, cache)
    if mode is Mode.API_ONLY:
        return
    if os.geteuid() != 0:
        raise ClusterError("a node needs root (namespaces, mounts, cgroups): run as root, or use --api-only")
    if missing := _missing_packages():
        _install(missing, progress)
    if missing := _missing_packages():
        raise ClusterError(
            f"still missing after installation: {', '.join(missing)}; see that their programs are on PATH"
        )


def cni_plugins() -> Path:
    """The folder of the network plugins' binaries.

    Raises:
        ClusterError: there is none.
    """
    for folder in CNI_FOLDERS:
        if all((folder / plugin).exists() for plugin in _CNI_PLUGINS):
            return folder
    raise ClusterError(
        f"no network plugins in {' or '.join(map(str, CNI_FOLDERS))}: install containernetworking-plugins"
    )


def check_room(need: Need, folder: Path) -> None:
    """Checks the room that a step needs, on the disk of a folder and in memory.

    Raises:
        ClusterError: there is too little; the message says of what.
    """
    folder.mkdir(parents=True, exist_ok=True)
    disk = shutil.disk_usage(folder).free / 2**30
    if told := shortage(need, disk, _available_memory(), folder):
        raise ClusterError(told)


def _available_memory() -> float:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) / 2**20 if found else float("inf")


def _missing_packages() -> list[str]:
    missing = {package for program, package in _PROGRAMS.items() if shutil.which(program) is None}
    if not any(all((folder / plugin).exists() for plugin in _CNI_PLUGINS) for folder in CNI_FOLDERS):
        missing.add("containernetworking-plugins")
    return sorted(missing)


def _install(packages: list[str], progress: Progress) -> None:
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise ClusterError(f"a node needs the packages {names}: install them (there is no apt-get here to do it with)")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with progress.step(f"installing the Debian packages {names}"):
        for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(
                ["apt-get", *arguments],
                env=environment,
                capture_output=True,
                text=True,
                timeout=_APT_TIMEOUT_SECONDS,
            )
            if done.returncode != 0:
                raise ClusterError(f"`apt-get {' '.join(arguments)}` failed: {done.stderr.strip()[-500:]}")
