"""Kubernetes, etcd, helm, promtool and the servers that tests fetch from, built from their Go modules once per machine and version."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local_cluster import locking, preflight
from local_cluster.errors import ClusterError
from local_cluster.layout import Mode
from local_cluster.progress import Progress

_MODULES = Path(__file__).resolve().parents[2] / "go"
_KUBERNETES, _ETCD, _HELM = "v1.36.3", "v3.7.3", "v4.3.1"
_S3, _REGISTRY, _GCS = "v1.8.0", "v3.1.2", "v1.56.1"
_PROMETHEUS = "v0.313.5"
_BUILD_TIMEOUT_SECONDS = 3600


@dataclass(frozen=True)
class Binary:
    """One program, the pinned module under tools/go that names its source, and its stamped version."""

    name: str
    version: str
    module: str
    package: str
    stamps: tuple[str, ...] = ()
    minutes: float = 0.5
    """How long a cold build takes on two cores, roughly; shared parts count where they are built first."""
    tags: str = ""
    """Go's build tags."""


def _kubernetes(name: str, minutes: float) -> Binary:
    _, minor, _ = _KUBERNETES.split(".")
    version = "k8s.io/component-base/version"
    stamps = (f"{version}.gitVersion={_KUBERNETES}", f"{version}.gitMajor=1", f"{version}.gitMinor={minor}")
    return Binary(name, _KUBERNETES, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", stamps, minutes)


KNOWN: Mapping[str, Binary] = {
    binary.name: binary
    for binary in (
        Binary("etcd", _ETCD, "etcd", "go.etcd.io/etcd/server/v3"),
        _kubernetes("kube-apiserver", 3),
        _kubernetes("kube-controller-manager", 1),
        _kubernetes("kubectl", 0.5),
        _kubernetes("kube-scheduler", 0.5),
        _kubernetes("kubelet", 1.5),
        _kubernetes("kube-proxy", 0.5),
        Binary("pause", "v1", "pause", ".", minutes=0.1),
        Binary(
            "helm",
            _HELM,
            "helm",
            "helm.sh/helm/v4/cmd/helm",
            (f"helm.sh/helm/v4/internal/version.version={_HELM}",),
            2,
        ),
        Binary("versitygw", _S3, "versitygw", "github.com/versity/versitygw/cmd/versitygw", minutes=1.5),
        Binary("registry", _REGISTRY, "registry", "github.com/distribution/distribution/v3/cmd/registry", minutes=2),
        Binary("fake-gcs-server", _GCS, "fake-gcs-server", "github.com/fsouza/fake-gcs-server", minutes=1),
        Binary(
            "promtool",
            _PROMETHEUS,
            "promtool",
            "github.com/prometheus/prometheus/cmd/promtool",
            # Or it brings the clients of two dozen clouds along, to discover what it never asks for.
            tags="remove_all_sd",
            minutes=2,
        ),
    )
}

_API_ONLY = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
SOURCES = ("versitygw", "registry", "fake-gcs-server")
"""An S3 server, a container registry, and a server of Google Cloud Storage's API: for tests only."""
_NODE = (*_API_ONLY, "kube-scheduler", "kubelet", "kube-proxy", "pause")


def needed_by(mode: Mode) -> tuple[str, ...]:
    """The names of the programs that a cluster is run with."""
    return _API_ONLY if mode is Mode.API_ONLY else _NODE


def path_of(name: str, cache: Path) -> Path:
    """Where the program lies once it is built: CACHE/bin/NAME-VERSION/NAME.

    Raises:
        ClusterError: no such program is known.
    """
    if name not in KNOWN:
        raise ClusterError(f"{name!r} is not a program of the local cluster: known are {', '.join(KNOWN)}")
    return cache / "bin" / f"{name}-{KNOWN[name].version}" / name


def ensure(names: Iterable[str], cache: Path, progress: Progress) -> dict[str, Path]:
    """Builds those that are missing; where each lies.

    Raises:
        ClusterError: a name is unknown, Go is missing or too old, there is too little room, or it failed.
    """
    paths = {name: path_of(name, cache) for name in names}
    if all(path.exists() for path in paths.values()):
        return paths
    on_wait = lambda: progress.say("another process is building the binaries: waiting for it")  # noqa: E731
    with locking.exclusive(cache / "bin" / ".lock", on_wait):
        missing = [KNOWN[name] for name, path in paths.items() if not path.exists()]
        if missing:
            preflight.check_build(cache, slow=any(binary.minutes >= 1 for binary in missing))
        for module in dict.fromkeys(binary.module for binary in missing):
            _build(module, [binary for binary in missing if binary.module == module], cache, progress)
    return paths


def _build(module: str, wanted: list[Binary], cache: Path, progress: Progress) -> None:
    names = ", ".join(binary.name for binary in wanted)
    minutes = math.ceil(sum(binary.minutes for binary in wanted))
    room = cache / "bin"
    for stale in room.glob(".building-*"):  # left by a killed build; the lock says that none runs now
        shutil.rmtree(stale)
    output = Path(tempfile.mkdtemp(prefix=".building-", dir=room))
    try:
        with progress.step(f"building {names} (once per machine, about {minutes} min on 2 cores)"):
            _go_build(_MODULES / module, wanted, output)
        for binary in wanted:
            home = path_of(binary.name, cache).parent
            home.mkdir(exist_ok=True)
            (output / binary.name).rename(home / binary.name)
    finally:
        shutil.rmtree(output, ignore_errors=True)


def _go_build(module: Path, wanted: list[Binary], output: Path) -> None:
    # Programs of one module share most packages: one call builds those once, on all cores.
    target = output / wanted[0].name if len(wanted) == 1 else f"{output}/"
    link = " ".join(["-s -w", *(f"-X {stamp}" for stamp in wanted[0].stamps)])
    flags = ["-trimpath", "-buildvcs=false", "-mod=readonly", f"-tags={wanted[0].tags}", f"-ldflags={link}"]
    done = subprocess.run(
        ["nice", "go", "build", *flags, "-o", target, *(binary.package for binary in wanted)],
        cwd=module,
        env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"},
        capture_output=True,
        text=True,
        timeout=_BUILD_TIMEOUT_SECONDS,
    )
    if done.returncode != 0:
        told = "\n".join(done.stderr.strip().splitlines()[-15:])
        raise ClusterError(f"`go build` failed in {module}:\n{told}\nIf a download failed, just run it again.")
