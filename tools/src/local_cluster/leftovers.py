"""Everything a cluster leaves on the machine, and removing all of it, whole or half-made."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from local_cluster import cgroups, mounts, network, processes, unix_sockets
from local_cluster.layout import Layout
from local_cluster.processes import Owner

# These places are fixed in the programs that use them, so clusters share them.
_CONTAINER_LOG_LINKS = Path("/var/log/containers")
_NETWORK_RESULTS = Path("/var/lib/cni/results")
_SHIM_SOCKETS = Path("/run/containerd/s")
_BIND_TO_LISTEN_SECONDS = 0.1


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
    mounts.unmount_below([layout.state, layout.run])
    network.remove(layout.namespace, layout.addresses)
    cgroups.remove(layout.cgroup)
    for path in (*_dead_shim_sockets(), *_log_links(layout), *_network_results(layout)):
        path.unlink(missing_ok=True)
    # The record lies in `run`, so that goes last.
    for folder in (layout.state, layout.run):
        if folder.exists():
            shutil.rmtree(folder)


def _dead_shim_sockets() -> list[Path]:
    """Sockets that nobody listens on; whose they were, their names (hashes) do not tell."""
    found = [path for path in _SHIM_SOCKETS.glob("*") if path.is_socket() and not unix_sockets.listens(path)]
    if found:
        time.sleep(_BIND_TO_LISTEN_SECONDS)  # another cluster's shim may be between bind and listen
    return [path for path in found if not unix_sockets.listens(path)]


def _network_results(layout: Layout) -> list[Path]:
    """What the network plugins remember about pods' interfaces."""
    namespaces = f'"{layout.containerd_state}/'
    return [path for path in _NETWORK_RESULTS.glob("*") if namespaces in path.read_text(errors="replace")]


def _log_links(layout: Layout) -> list[Path]:
    links = (path for path in _CONTAINER_LOG_LINKS.glob("*") if path.is_symlink())
    return [link for link in links if link.readlink().is_relative_to(layout.pod_logs)]
