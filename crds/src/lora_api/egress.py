"""Which servers the sources of adapters may lead to.

Whoever may create a LoRAAdapter names a URL that pods then fetch. This is what the administrator allows: the operator
refuses what it can see in a spec, the runtime what a name or a redirect turns out to be.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

HostPattern = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^(\*|(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f]*(:[0-9A-Fa-f.]*){2,7})$",
    ),
]
"""A name or an address, which the source may name with any port; a port here would never match."""
Address = IPv4Address | IPv6Address

_METADATA = tuple(
    ip_network(network)
    for network in (
        "169.254.0.0/16",  # link-local: AWS, Google, Azure, OpenStack, Oracle
        "fd00:ec2::/32",  # AWS over IPv6
        "fd20:ce::254/128",  # Google over IPv6
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure's host
    )
)
_EMBEDDING_IPV4 = ip_network("64:ff9b::/96")
"""NAT64: the last four bytes are an IPv4 address."""


class Egress(BaseModel):
    """The administrator's choice."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    allowed_hosts: tuple[HostPattern, ...] = ()
    """Names, `*.example.com` for all names below one, `*` for every name. They may have private addresses. Empty: every host with a public
    address, but no redirect from one to another."""
    allowed_addresses: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks that may be reached although they are private, loopback, link-local, or a cloud's metadata service."""

    def allows_host(self, host: str) -> bool:
        """Whether a source may name this host."""
        return not self.allowed_hosts or self.names(host)

    def names(self, host: str) -> bool:
        """Whether the list names this host: then another host may redirect to it."""
        return is_named(host, self.allowed_hosts)

    def refusal_of_address(self, host: str, address: Address) -> str | None:
        """Why no connection may be opened to this address of a host, and what to do; None when it may."""
        found = _embedded(address)
        if any(found in network for network in self.allowed_addresses):
            return None
        which = f"{host} is" if str(address) == host else f"{host} resolves to {address}, which is"
        special = found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast
        if special or any(found in network for network in _METADATA):
            return (
                f"{which} a loopback, link-local or metadata address, which sources must not reach; name another server, or "
                f"have the network added to the Helm value `egress.allowedAddresses`; without a cluster, to LORA_EGRESS"
            )
        if found.is_global or self.names(host):
            return None
        return (
            f"{which} a private address, as pods of every namespace have one, which sources reach only where the administrator "
            f"says so; name another server, or have the network added to the Helm value `egress.allowedAddresses`, or the host, "
            f"and all others that sources may name, to `egress.allowedHosts`; without a cluster, to LORA_EGRESS"
        )

    def refusal(self, host: str) -> str | None:
        """Why a source may not name this host, and what to do; None when it may. Nothing is looked up."""
        if not self.allows_host(host):
            return (
                f"the administrator allows sources on {', '.join(self.allowed_hosts)} only, and {host} is none of them; "
                f"have it added to the Helm value `egress.allowedHosts`; without a cluster, to LORA_EGRESS"
            )
        try:
            address = ip_address(host)
        except ValueError:
            return None
        return self.refusal_of_address(host, address)


DEFAULT = Egress()
"""What holds unless the administrator chooses."""


def is_named(host: str, patterns: Iterable[HostPattern]) -> bool:
    """Whether one of the patterns means this host."""
    return any(_matches(pattern.lower(), host.lower()) for pattern in patterns)


def _matches(pattern: str, host: str) -> bool:
    if pattern == "*":
        return True
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _EMBEDDING_IPV4:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
