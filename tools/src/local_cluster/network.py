"""A node's network: a namespace of its own, a link to the machine, the pods' bridge.

The namespace has no default route, so nothing in it can reach beyond this machine by mistake.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from ipaddress import IPv4Network
from pathlib import Path

from local_cluster.addresses import AddressPlan
from local_cluster.errors import ClusterError
from local_cluster.node_config import BRIDGE

_NAMESPACES = Path("/run/netns")


def create(namespace: str, plan: AddressPlan) -> None:
    """Makes the namespace, the link and the routes; nothing of them may exist yet."""
    inside = ("ip", "-n", namespace)
    _run("ip", "netns", "add", namespace)
    _run("ip", "link", "add", plan.link_name, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    _run("ip", "address", "add", f"{plan.outside}/{plan.link.prefixlen}", "dev", plan.link_name)
    _run("ip", "link", "set", plan.link_name, "up")
    _run(*inside, "link", "set", "lo", "up")
    _run(*inside, "address", "add", f"{plan.node}/{plan.link.prefixlen}", "dev", "eth0")
    _run(*inside, "link", "set", "eth0", "up")
    # The bridge before the first pod, so that the Services' range has a device to be routed to: packets of
    # the node's own processes need a route before kube-proxy's rules are looked at.
    _run(*inside, "link", "add", BRIDGE, "type", "bridge")
    _run(*inside, "address", "add", f"{plan.pod_gateway}/{plan.pods.prefixlen}", "dev", BRIDGE)
    _run(*inside, "link", "set", BRIDGE, "up")
    _run(*inside, "route", "add", str(plan.services), "dev", BRIDGE)
    _run("nsenter", f"--net={_NAMESPACES / namespace}", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    for network in (plan.pods, plan.services):
        _run("ip", "route", "add", str(network), "via", str(plan.node))


def intact(namespace: str, plan: AddressPlan) -> bool:
    """Whether everything `create` makes is there."""
    via_link = [route for route in _routes() if route.get("dev") == plan.link_name]
    wanted = {str(network) for network in plan.networks}
    if not wanted <= {str(route["dst"]) for route in via_link}:
        return False
    shown = subprocess.run(
        ["ip", "-n", namespace, "route", "show", str(plan.services)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    return shown.returncode == 0 and BRIDGE in shown.stdout


def remove(namespace: str, plan: AddressPlan | None) -> None:
    """Removes what `create` made, whole or half; its processes must have ended."""
    if plan is not None and plan.link_name in _links():
        _run("ip", "link", "delete", plan.link_name)
    path = _NAMESPACES / namespace
    if path.exists():
        # Plain steps instead of `ip netns delete`, which refuses a file whose mount a killed run never made.
        subprocess.run(["umount", "--lazy", path], check=False, capture_output=True, timeout=30)
        path.unlink(missing_ok=True)


def exists(namespace: str, plan: AddressPlan | None) -> bool:
    """Whether anything of the network is there."""
    return (_NAMESPACES / namespace).exists() or (plan is not None and plan.link_name in _links())


def routed_elsewhere(own: Iterable[AddressPlan]) -> list[IPv4Network]:
    """The ranges this machine already routes, its default route and our own clusters' left out."""
    ours = {plan.link_name for plan in own}
    return [
        IPv4Network(str(route["dst"]))
        for route in _routes()
        if route["dst"] != "default" and route.get("dev") not in ours
    ]


def _routes() -> list[dict[str, object]]:
    routes: list[dict[str, object]] = json.loads(_run("ip", "-4", "-json", "route", "show") or "[]")
    return routes


def _links() -> set[str]:
    return {str(link["ifname"]) for link in json.loads(_run("ip", "-json", "link", "show"))}


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise ClusterError(
            f"`{' '.join(argv)}` failed: {done.stderr.strip()}. Take the cluster down with "
            "`python -m local_cluster down`, then bring it up again; it needs root, and veth in the kernel"
        )
    return done.stdout
