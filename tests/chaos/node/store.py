"""The volume in which a pod of a local node keeps what it fetches and makes, and a stranger's file that fills it."""

import contextlib
import os
from pathlib import Path

from local_cluster import Cluster, records
from local_cluster.layout import Layout, runtime_root

LIMIT_MIB = 256
_FILLED_MIB = 236
"""More than the nine tenths of the limit that the runtime uses: it has room for nothing any more."""
_FILE = "of-somebody-else"


def of_pod(cluster: Cluster, uid: str) -> Path:
    """The folder on this machine."""
    record = records.read(runtime_root(), cluster.name)
    assert record is not None, "the cluster is up"
    return Layout(record, runtime_root()).kubelet / "pods" / uid / "volumes" / "kubernetes.io~empty-dir" / "state"


def fill(volume: Path) -> None:
    """Takes what room there is, on the disk and not just by name."""
    # A pod that has just gone, or is not there yet, has none.
    with contextlib.suppress(FileNotFoundError), (volume / _FILE).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, _FILLED_MIB << 20)


def empty(volume: Path) -> None:
    """Gives it back."""
    (volume / _FILE).unlink(missing_ok=True)
