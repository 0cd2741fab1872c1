"""Rules of an API server without a node."""

from __future__ import annotations

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


def test_requests_are_written_down_where_wanted() -> None:
    with Cluster("api-test-audit", Mode.API_ONLY, audit=True) as cluster:
        cluster.kubectl("get", "configmaps", "-A")
        assert '"resource":"configmaps"' in cluster.audit_log.read_text()
