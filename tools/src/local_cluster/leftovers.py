"""Everything a cluster leaves on the machine, and removing all of it, whole or half-made."""

from __future__ import annotations

import shutil
from pathlib import Path

from local_cluster import cgroups, mounts, network, node_config, processes
from local_cluster.layout import Layout
from local_cluster.processes import Owner

# These places are fixed in the programs that use them, so clusters share them.
_CONTAINER_LOG_LINKS = Path("/var/log/containers")
_CNI_RESULTS = Path("/var/lib/cni/results")


def any_of(layout: Layout, owner: Owner) -> bool:
    """Whether anything of the cluster is on the machine."""
    return (
        layout.run.exists()
        or layout.state.exists()
        or cgroups.exists(layout.cgroup)
        or network.exists(layout.namespace, layout.addresses)
        or bool(processes.owned(owner))
    )


def remove(layout: Layout, owner: Owner) -> None:
    """Removes everything of the cluster. What an interrupted removal left, the next one finds.

    Raises:
        ClusterError: a process does not die, a mount does not go, or a cgroup stays in use.
    """
    # In this order: a living process holds mounts, namespaces and cgroups.
    processes.end(owner)
    shim_sockets = _shim_sockets(layout)
    mounts.unmount_below([layout.state, layout.run])
    network.remove(layout.namespace, layout.addresses)
    cgroups.remove(layout.cgroup)
    for path in (
        *shim_sockets,
        *_log_links(layout),
        *_CNI_RESULTS.glob(f"{node_config.cni_network(layout)}-*"),
    ):
        path.unlink(missing_ok=True)
    # The record lies in `run`, so that goes last.
    for folder in (layout.state, layout.run):
        if folder.exists():
            shutil.rmtree(folder)


def _shim_sockets(layout: Layout) -> list[Path]:
    """Sockets of containerd's shims, which lie in a folder that all containerds of a machine share."""
    files = layout.containerd_state.glob("io.containerd.runtime.v2.task/*/*/address")
    return [Path(file.read_text().strip().removeprefix("unix://")) for file in files]


def _log_links(layout: Layout) -> list[Path]:
    links = (path for path in _CONTAINER_LOG_LINKS.glob("*") if path.is_symlink())
    return [link for link in links if link.readlink().is_relative_to(layout.pod_logs)]
