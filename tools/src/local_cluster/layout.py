"""Where everything of one cluster lies: its names, folders and files. Pure."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from local_cluster.addresses import AddressPlan
from local_cluster.errors import ClusterError

# It becomes a node's name, a network namespace's and a cgroup's.
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?")


class Mode(StrEnum):
    """How much of Kubernetes runs."""

    NODE = "node"
    """A whole node: control plane, kubelet, containerd, pod network, kube-proxy."""
    API_ONLY = "api-only"
    """etcd, the API server and the controller manager on loopback ports; pods are never run."""


class Record(BaseModel):
    """What must be known to find a cluster again; written before anything of it exists."""

    model_config = ConfigDict(frozen=True)

    name: str
    mode: Mode
    state: Path
    """Folder of everything that may be large: etcd's data, images, logs, pods' volumes."""
    index: int | None
    """Which address plan it has; None in API-only mode."""
    api_port: int = 6443
    etcd_port: int = 2379
    etcd_peer_port: int = 2380
    audit: bool = False
    complete: bool = False
    """False until it was up once: then there is nothing in it worth keeping."""


@dataclass(frozen=True)
class Layout:
    """The paths and names that follow from a record."""

    record: Record
    runtime_root: Path

    @property
    def run(self) -> Path:
        """Folder for what a reboot ends anyway: sockets (whose paths must be short) and the record."""
        return self.runtime_root / self.record.name

    @property
    def owner(self) -> str:
        """What marks a process as this cluster's; unique on the machine."""
        return str(self.run)

    @property
    def addresses(self) -> AddressPlan | None:
        """Its address plan; None in API-only mode, which lives on loopback."""
        return None if self.record.index is None else AddressPlan(self.record.index)

    @property
    def api_host(self) -> str:
        """The address at which the API server is reached from the machine."""
        return "127.0.0.1" if self.addresses is None else str(self.addresses.node)

    @property
    def api_url(self) -> str:
        """The API server's URL."""
        return f"https://{self.api_host}:{self.record.api_port}"

    @property
    def namespace(self) -> str:
        """The name of the node's network namespace."""
        return f"lora-{self.record.name}"

    @property
    def cgroup(self) -> str:
        """The cgroup under which the kubelet puts pods, relative to each hierarchy's root."""
        return self.namespace

    @property
    def state(self) -> Path:
        """Folder of the cluster's data."""
        return self.record.state

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "admin.kubeconfig"

    @property
    def pki(self) -> Path:
        """Folder of certificates and keys."""
        return self.state / "pki"

    @property
    def config(self) -> Path:
        """Folder of the components' configuration files."""
        return self.state / "config"

    @property
    def logs(self) -> Path:
        """Folder of the components' logs, NAME.log each."""
        return self.state / "logs"

    @property
    def pod_logs(self) -> Path:
        """Folder of the containers' logs."""
        return self.state / "pod-logs"

    @property
    def kubelet(self) -> Path:
        """The kubelet's folder: pods' volumes are mounted in it."""
        return self.state / "kubelet"

    @property
    def containerd_root(self) -> Path:
        """Images and snapshots."""
        return self.state / "containerd"

    @property
    def containerd_state(self) -> Path:
        """Running containers, as containerd keeps them."""
        return self.run / "containerd"

    @property
    def containerd_socket(self) -> Path:
        """The socket of containerd's API."""
        return self.run / "containerd.sock"

    @property
    def audit_log(self) -> Path:
        """Which requests the API server got, one JSON object a line; only with `audit`."""
        return self.state / "audit.log"


def checked_name(name: str) -> str:
    """The name, if it can be a cluster's.

    Raises:
        ClusterError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ClusterError(
            f"{name!r} cannot be a cluster's name: 1 to 32 of a-z, 0-9 and '-', a letter first, no '-' last"
        )
    return name


def cache_root() -> Path:
    """Folder for slow artefacts and clusters' data: $LORA_CACHE, else ~/.cache/lora-operator."""
    configured = os.environ.get("LORA_CACHE")
    return Path(configured).absolute() if configured else Path.home() / ".cache" / "lora-operator"


def runtime_root() -> Path:
    """Folder of the clusters' records and sockets: one a machine for root, one a user for others."""
    if os.geteuid() == 0:
        return Path("/run/local-cluster")
    return Path(os.environ.get("XDG_RUNTIME_DIR", cache_root() / "run")) / "local-cluster"
