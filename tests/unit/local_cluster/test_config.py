"""Command lines and configuration files: what must be in them for clusters to work side by side."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_cluster import node_config
from local_cluster.commands import commands, component_names
from local_cluster.errors import ClusterError
from local_cluster.layout import Layout, Mode, Record, checked_name

PLUGINS = Path("/usr/lib/cni")


def a_layout(name: str = "demo", index: int | None = 3, **fields: Any) -> Layout:
    mode = Mode.API_ONLY if index is None else Mode.NODE
    record = Record(name=name, mode=mode, state=Path("/cache") / name, index=index, **fields)
    return Layout(record, Path("/run/local-cluster"))


def flags(layout: Layout, component: str) -> dict[str, str]:
    argv = commands(layout, {})[component].argv
    return dict(flag.removeprefix("--").split("=", 1) for flag in argv[1:])


def config(layout: Layout, name: str) -> str:
    return node_config.files(layout, PLUGINS)[layout.config / name]


def test_every_component_of_a_node_runs_in_the_nodes_namespace() -> None:
    every = commands(a_layout(), {})
    assert tuple(every) == component_names(Mode.NODE)
    assert {command.namespace for command in every.values()} == {"lora-demo"}


def test_an_api_server_alone_needs_no_namespace_and_listens_on_loopback() -> None:
    layout = a_layout(index=None, api_port=41000)
    assert {command.namespace for command in commands(layout, {}).values()} == {None}
    assert flags(layout, "kube-apiserver")["bind-address"] == "127.0.0.1"
    assert layout.api_url == "https://127.0.0.1:41000"


def test_no_fixed_port_is_taken_on_the_machine_by_an_api_server_alone() -> None:
    layout = a_layout(index=None, api_port=41000, etcd_port=41001, etcd_peer_port=41002)
    assert flags(layout, "kube-controller-manager")["secure-port"] == "0"
    assert flags(layout, "etcd")["listen-client-urls"] == "https://127.0.0.1:41001"
    assert flags(layout, "etcd")["listen-peer-urls"] == "https://127.0.0.1:41002"


def test_the_api_server_calls_the_kubelet_by_address_since_there_is_no_dns() -> None:
    assert flags(a_layout(), "kube-apiserver")["kubelet-preferred-address-types"] == "InternalIP"
    assert flags(a_layout(), "kubelet")["node-ip"] == "10.200.3.2"


def test_requests_are_written_down_only_when_asked() -> None:
    assert "audit-log-path" not in flags(a_layout(), "kube-apiserver")
    asked = a_layout(audit=True)
    assert flags(asked, "kube-apiserver")["audit-log-path"] == "/cache/demo/audit.log"
    assert yaml.safe_load(config(asked, "audit-policy.yaml"))["rules"] == [{"level": "Metadata"}]


def test_an_audit_log_is_one_file_however_long_the_cluster_lives() -> None:
    assert flags(a_layout(audit=True), "kube-apiserver")["audit-log-maxsize"] == "0"


def test_two_nodes_share_no_folder_socket_or_cgroup() -> None:
    def paths(layout: Layout) -> set[str]:
        kubelet = yaml.safe_load(config(layout, "kubelet.yaml"))
        containerd = tomllib.loads(config(layout, "containerd.toml"))
        network = json.loads(config(layout, "cni/10-local.conflist"))["plugins"][0]
        return {
            kubelet["cgroupRoot"],
            kubelet["podLogsDir"],
            kubelet["volumePluginDir"],
            kubelet["containerRuntimeEndpoint"],
            containerd["root"],
            containerd["state"],
            containerd["grpc"]["address"],
            network["ipam"]["dataDir"],
            flags(layout, "kubelet")["root-dir"],
            flags(layout, "etcd")["data-dir"],
        }

    one, other = paths(a_layout("demo", 1)), paths(a_layout("e2e", 2))
    assert len(one) == 10
    assert not one & other


def test_containerd_gets_what_a_machine_without_docker_needs() -> None:
    cri = tomllib.loads(config(a_layout(), "containerd.toml"))["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["restrict_oom_score_adj"] is True
    assert cri["netns_mounts_under_state_dir"] is True
    assert cri["sandbox_image"] == node_config.PAUSE_IMAGE
    assert cri["cni"]["bin_dir"] == str(PLUGINS)


def test_a_full_disk_evicts_no_pod_and_collects_no_image() -> None:
    kubelet = yaml.safe_load(config(a_layout(), "kubelet.yaml"))
    assert kubelet["evictionHard"] == {"memory.available": "100Mi"}
    assert kubelet["imageGCHighThresholdPercent"] == 100


@pytest.mark.parametrize("name", ["", "Demo", "1st", "a/b", "-a", "a-", "a" * 33])
def test_a_name_that_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="cannot be a cluster's name"):
        checked_name(name)
