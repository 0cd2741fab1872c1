"""Rules of an API server without a node."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from local_cluster import Cluster, ClusterError, Mode

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def api() -> Iterator[Cluster]:
    cluster = Cluster("api-test", Mode.API_ONLY)
    cluster.down()
    with cluster:
        yield cluster


def test_it_serves_and_collects_garbage(api: Cluster) -> None:
    assert "namespace/default" in api.kubectl("get", "namespaces", "-o", "name")
    api.kubectl("create", "deployment", "idle", "--image=none")
    api.kubectl("wait", "--for=create", "replicaset", "-l", "app=idle", "--timeout=30s")
    api.kubectl("delete", "deployment", "idle")
    api.kubectl("wait", "--for=delete", "replicaset", "-l", "app=idle", "--timeout=30s")


def test_two_live_side_by_side(api: Cluster) -> None:
    with Cluster("api-test-two", Mode.API_ONLY) as other:
        other.kubectl("create", "namespace", "only-here")
        assert other.api_url != api.api_url
        assert "only-here" not in api.kubectl("get", "namespaces")


def test_pods_cannot_be_reached_for_there_are_none(api: Cluster) -> None:
    with pytest.raises(ClusterError, match="no pod network"):
        _ = api.pod_cidr


def test_the_other_mode_under_the_same_name_is_refused(api: Cluster) -> None:
    with pytest.raises(ClusterError, match="take it down first"):
        Cluster(api.name, Mode.NODE).up()


def command_line(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local_cluster", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_shell_is_told_nothing_but_what_to_export(api: Cluster) -> None:
    assert command_line("env", "--name", api.name).stdout == f"export KUBECONFIG={api.kubeconfig}\n"


def test_the_exit_status_tells_whether_a_cluster_can_be_used(api: Cluster) -> None:
    assert command_line("status", "--name", api.name).returncode == 0
    assert command_line("status", "--name", "never-made").returncode == 3
    assert command_line("env", "--name", "never-made").returncode == 1


def test_requests_are_written_down_where_wanted() -> None:
    with Cluster("api-test-audit", Mode.API_ONLY, audit=True) as cluster:
        cluster.kubectl("get", "configmaps", "-A")
        assert '"resource":"configmaps"' in cluster.audit_log.read_text()
