"""Which addresses a cluster uses. Pure: no system is asked here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from local_cluster.errors import ClusterError

HIGHEST_INDEX = 49
"""Pods take 10.101-149, services 10.151-199, links 10.200: a higher index would make them overlap."""


@dataclass(frozen=True)
class AddressPlan:
    """The address ranges of the cluster with one index (1 to 49); no two indices share an address."""

    index: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= HIGHEST_INDEX:
            raise ValueError(f"a cluster's index is 1 to {HIGHEST_INDEX}, not {self.index}")

    @property
    def link_name(self) -> str:
        """The network device that is the machine's end of the link."""
        return f"lora{self.index}"

    @property
    def link(self) -> IPv4Network:
        """The veth pair between the machine and the node's network namespace."""
        return IPv4Network(f"10.200.{self.index}.0/30")

    @property
    def outside(self) -> IPv4Address:
        """The machine's end of the link: where pods reach a server that runs on the machine."""
        return self.link[1]

    @property
    def node(self) -> IPv4Address:
        """The node's end of the link: the kubelet's and the API server's address."""
        return self.link[2]

    @property
    def pods(self) -> IPv4Network:
        """Where pods get their addresses from."""
        return IPv4Network(f"10.{100 + self.index}.0.0/16")

    @property
    def pod_gateway(self) -> IPv4Address:
        """The bridge's own address in the pod range."""
        return self.pods[1]

    @property
    def services(self) -> IPv4Network:
        """Where Services get their cluster IPs from."""
        return IPv4Network(f"10.{150 + self.index}.0.0/16")

    @property
    def api_service(self) -> IPv4Address:
        """The cluster IP of the Service `kubernetes`."""
        return self.services[1]

    @property
    def networks(self) -> tuple[IPv4Network, ...]:
        """Every range the cluster takes."""
        return self.link, self.pods, self.services


def free_plan(taken: Collection[int], routed: Collection[IPv4Network]) -> AddressPlan:
    """The first plan that no other cluster has and that collides with no route of this machine.

    Raises:
        ClusterError: all of them are in use.
    """
    for index in range(1, HIGHEST_INDEX + 1):
        plan = AddressPlan(index)
        collides = any(own.overlaps(other) for own in plan.networks for other in routed)
        if index not in taken and not collides:
            return plan
    raise ClusterError(
        f"all {HIGHEST_INDEX} address ranges (10.101-149, 10.151-199, 10.200) are used by other clusters "
        "or routes of this machine: take one down with `python -m local_cluster down --name NAME`"
    )
