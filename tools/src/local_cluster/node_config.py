"""The text of the components' configuration files. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from local_cluster.addresses import AddressPlan
from local_cluster.layout import Layout

BRIDGE = "cni0"
PAUSE_IMAGE = "localhost/pause:1"


def files(layout: Layout, cni_plugins: Path) -> Mapping[Path, str]:
    """Every configuration file of a node, by its path.

    Args:
        layout: the cluster.
        cni_plugins: folder of the network plugins' binaries.
    """
    config = layout.config
    texts = {config / "audit-policy.yaml": _audit_policy()} if layout.record.audit else {}
    if (addresses := layout.addresses) is None:
        return texts
    return texts | {
        config / "containerd.toml": _containerd(layout, cni_plugins),
        config / "cni" / "10-local.conflist": _cni(layout, addresses),
        config / "kubelet.yaml": _kubelet(layout),
        config / "kube-proxy.yaml": _kube_proxy(layout, addresses),
        # There is no cluster DNS. Nobody listens there, so that a look-up in a pod fails at once; were the file
        # empty, containerd would give pods the machine's, whose servers they cannot reach.
        config / "resolv.conf": "nameserver 127.0.0.1\n",
    }


def _containerd(layout: Layout, cni_plugins: Path) -> str:
    cri = "io.containerd.grpc.v1.cri"
    tables: dict[str, Mapping[str, object]] = {
        "": {
            "version": 2,
            "root": str(layout.containerd_root),
            "state": str(layout.containerd_state),
            # Snapshotters that need other file systems or devices, and only fill the log.
            "disabled_plugins": [
                f"io.containerd.snapshotter.v1.{name}" for name in ("aufs", "btrfs", "devmapper", "zfs")
            ],
        },
        "grpc": {"address": str(layout.containerd_socket)},
        "debug": {"level": "warn"},
        f'plugins."{cri}"': {
            "sandbox_image": PAUSE_IMAGE,
            "stream_server_address": "127.0.0.1",
            # Otherwise every sandbox dies on a machine that withholds CAP_SYS_RESOURCE.
            "restrict_oom_score_adj": True,
            # Not in /run/netns, where clusters would mix.
            "netns_mounts_under_state_dir": True,
        },
        f'plugins."{cri}".cni': {"bin_dir": str(cni_plugins), "conf_dir": str(layout.config / "cni")},
        'plugins."io.containerd.internal.v1.opt"': {"path": str(layout.containerd_root / "opt")},
    }
    return "\n".join(_toml_table(name, values) for name, values in tables.items())


def _toml_table(name: str, values: Mapping[str, object]) -> str:
    # Strings, numbers, booleans and lists of them are written alike in JSON and TOML.
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""] if name else [*lines, ""])


def _cni(layout: Layout, addresses: AddressPlan) -> str:
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(layout.run / "cni-addresses"),
            "ranges": [[{"subnet": str(addresses.pods), "gateway": str(addresses.pod_gateway)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps(
        {"cniVersion": "0.4.0", "name": f"local-cluster-{layout.record.name}", "plugins": [bridge, portmap]}, indent=2
    )


def _kubelet(layout: Layout) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(layout.pki / "kubelet-serving.crt"),
            "tlsPrivateKeyFile": str(layout.pki / "kubelet-serving.key"),
            "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{layout.cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "localStorageCapacityIsolation": False,
            "podLogsDir": str(layout.pod_logs),
            "volumePluginDir": str(layout.kubelet / "volume-plugins"),
            "resolvConf": str(layout.config / "resolv.conf"),
            # A signal that is not named is off. Images made here cannot be pulled again, so a full disk must
            # not cost them.
            "evictionHard": {"memory.available": "100Mi"},
            "imageGCHighThresholdPercent": 100,
            # Changed Secrets and ConfigMaps reach running pods at a sync; the default minute is long for people and tests.
            "syncFrequency": "10s",
        },
        sort_keys=False,
    )


def _kube_proxy(layout: Layout, addresses: AddressPlan) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(layout.config / "kube-proxy.kubeconfig")},
            "hostnameOverride": layout.record.name,
            "clusterCIDR": str(addresses.pods),
            "mode": "iptables",
            # Answers between two pods on the bridge come back through the node even where the kernel has no
            # bridge-nf-call-iptables. Price: a Service's pods see the node as the client.
            "iptables": {"masqueradeAll": True},
            # These limits are the whole machine's, and read-only in a namespace.
            "conntrack": {"maxPerCore": 0},
        },
        sort_keys=False,
    )


def _audit_policy() -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata"}],
        },
        sort_keys=False,
    )
