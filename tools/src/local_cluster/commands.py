"""The command line of each component. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from local_cluster.layout import Layout, Mode
from local_cluster.processes import Command

# API-only mode has no pods, so its Services' addresses are never routed: every such cluster may use the same.
_UNROUTED_SERVICES = "10.96.0.0/16"

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager")
NODE = ("kube-scheduler", "containerd", "kubelet", "kube-proxy")


def component_names(mode: Mode) -> tuple[str, ...]:
    """The components that must run for a cluster to be up."""
    return CONTROL_PLANE if mode is Mode.API_ONLY else CONTROL_PLANE + NODE


def commands(layout: Layout, programs: Mapping[str, Path]) -> dict[str, Command]:
    """How each component of the cluster is run.

    Args:
        layout: the cluster.
        programs: where each component's binary lies; `containerd` may be left out, it is the system's.
    """
    lines: dict[str, dict[str, object]] = {
        "etcd": _etcd(layout),
        "kube-apiserver": _api_server(layout),
        "kube-controller-manager": _controller_manager(layout),
        "kube-scheduler": _scheduler(layout),
        "containerd": {"config": layout.config / "containerd.toml"},
        "kubelet": _kubelet(layout),
        "kube-proxy": {"config": layout.config / "kube-proxy.yaml"},
    }
    return {
        name: Command(
            name,
            (str(programs.get(name, name)), *(f"--{flag}={value}" for flag, value in lines[name].items())),
            None if layout.addresses is None else layout.namespace,
        )
        for name in component_names(layout.record.mode)
    }


def _etcd(layout: Layout) -> dict[str, object]:
    client = f"https://127.0.0.1:{layout.record.etcd_port}"
    peer = f"https://127.0.0.1:{layout.record.etcd_peer_port}"
    tls: dict[str, object] = {}
    for prefix in ("", "peer-"):
        tls |= {
            f"{prefix}cert-file": layout.pki / "etcd.crt",
            f"{prefix}key-file": layout.pki / "etcd.key",
            f"{prefix}trusted-ca-file": layout.pki / "ca.crt",
            f"{prefix}client-cert-auth": "true",
        }
    return tls | {
        "name": "local",
        "data-dir": layout.state / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"local={peer}",
        # The page cache survives a killed process, and this data need not survive a killed machine.
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }


def _api_server(layout: Layout) -> dict[str, object]:
    pki, addresses = layout.pki, layout.addresses
    flags: dict[str, object] = {
        "etcd-servers": f"https://127.0.0.1:{layout.record.etcd_port}",
        "etcd-cafile": pki / "ca.crt",
        "etcd-certfile": pki / "etcd.crt",
        "etcd-keyfile": pki / "etcd.key",
        "secure-port": layout.record.api_port,
        "authorization-mode": "Node,RBAC",
        # The second is on by default in some distributions: who may not finalize an owner may not make it wait for a child.
        "enable-admission-plugins": "NodeRestriction,OwnerReferencesPermissionEnforcement",
        "allow-privileged": "true",
        "client-ca-file": pki / "ca.crt",
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": pki / "service-accounts.pub",
        "service-account-signing-key-file": pki / "service-accounts.key",
        "requestheader-client-ca-file": pki / "front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": pki / "front-proxy-client.crt",
        "proxy-client-key-file": pki / "front-proxy-client.key",
        "profiling": "false",
    }
    if layout.record.audit:
        flags |= {
            "audit-policy-file": layout.config / "audit-policy.yaml",
            "audit-log-path": layout.audit_log,
            # Who reads it looks back on the whole life of the cluster; by default it begins anew after 100 MB.
            "audit-log-maxsize": 0,
        }
    if addresses is None:
        # The Service `kubernetes` may not point at a loopback address, so nobody writes its endpoints.
        return flags | {
            "bind-address": "127.0.0.1",
            "endpoint-reconciler-type": "none",
            "service-cluster-ip-range": _UNROUTED_SERVICES,
        }
    return flags | {
        "bind-address": "0.0.0.0",  # noqa: S104 - every address of the namespace it lives in
        "advertise-address": addresses.node,
        "service-cluster-ip-range": addresses.services,
        "kubelet-certificate-authority": pki / "ca.crt",
        "kubelet-client-certificate": pki / "apiserver-kubelet-client.crt",
        "kubelet-client-key": pki / "apiserver-kubelet-client.key",
        # By default `kubectl logs` and `exec` look the node's name up in DNS.
        "kubelet-preferred-address-types": "InternalIP",
    }


def _controller_manager(layout: Layout) -> dict[str, object]:
    flags: dict[str, object] = {
        "kubeconfig": layout.config / "kube-controller-manager.kubeconfig",
        "service-account-private-key-file": layout.pki / "service-accounts.key",
        "root-ca-file": layout.pki / "ca.crt",
        "cluster-signing-cert-file": layout.pki / "ca.crt",
        "cluster-signing-key-file": layout.pki / "ca.key",
        "use-service-account-credentials": "true",
        # Its defaults spread the start over 5 s.
        "kube-api-qps": 200,
        "kube-api-burst": 400,
        # By default an autoscaler looks every 15 s.
        "horizontal-pod-autoscaler-sync-period": "2s",
        "leader-elect": "false",
        "bind-address": "127.0.0.1",
    }
    # Without a namespace of its own the port could be another cluster's.
    return flags | {"secure-port": 0} if layout.addresses is None else flags


def _scheduler(layout: Layout) -> dict[str, object]:
    return {
        "kubeconfig": layout.config / "kube-scheduler.kubeconfig",
        "leader-elect": "false",
        "bind-address": "127.0.0.1",
    }


def _kubelet(layout: Layout) -> dict[str, object]:
    addresses = layout.addresses
    return {
        "config": layout.config / "kubelet.yaml",
        "kubeconfig": layout.config / "kubelet.kubeconfig",
        "root-dir": layout.kubelet,
        "cert-dir": layout.kubelet / "pki",
        "hostname-override": layout.record.name,
        "node-ip": addresses.node if addresses else "127.0.0.1",
    }
