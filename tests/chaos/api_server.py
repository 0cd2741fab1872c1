"""The API server of a local cluster, which is killed and comes back."""

import os
import select
import signal
import time

from chaos.excuses import API_SERVER, Excuses
from local_cluster import Cluster, processes, records
from local_cluster.bringup import owner_of
from local_cluster.layout import Layout, runtime_root

_DEATH_SECONDS = 30.0


def kill_api_server(cluster: Cluster, excuses: Excuses) -> None:
    """Kills the API server, and brings it back."""
    record = records.read(runtime_root(), cluster.name)
    assert record is not None, "the cluster is up"
    owner = owner_of(Layout(record, runtime_root()))
    excuses.begin(API_SERVER, "death")
    kill(processes.components(processes.owned(owner))["kube-apiserver"])
    cluster.up()
    excuses.end(API_SERVER, "death", time.monotonic())


def kill(pid: int) -> None:
    """Kills a process and waits until it is gone: while it dies, who looks for it still finds it running."""
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        ended, _, _ = select.select([handle], [], [], _DEATH_SECONDS)
        assert ended, f"process {pid} did not die"
    finally:
        os.close(handle)
