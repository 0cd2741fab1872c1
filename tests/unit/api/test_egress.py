"""Where sources may lead: hosts by the administrator's list, addresses by what they are."""

from ipaddress import ip_address

import pytest
from pydantic import ValidationError

from lora_api.egress import DEFAULT, Egress


@pytest.mark.parametrize(
    ("patterns", "host", "allowed"),
    [
        ((), "anything.example.com", True),
        (("files.example.com",), "FILES.example.com", True),
        (("files.example.com",), "files.example.com.evil.org", False),
        (("*.example.com",), "a.b.example.com", True),
        (("*.example.com",), "example.com", False),
        (("*.example.com",), "evil-example.com", False),
        (("*",), "anything", True),
        (("10.0.0.1",), "10.0.0.1", True),
        (("2001:db8::1",), "2001:db8::1", True),
        (("::1",), "::1", True),
    ],
)
def test_a_host_is_allowed_by_its_name(patterns: tuple[str, ...], host: str, allowed: bool) -> None:
    assert Egress(allowed_hosts=patterns).allows_host(host) is allowed


def test_without_a_list_no_host_is_named_by_it() -> None:
    assert not DEFAULT.names("files.example.com")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.255.254", "169.254.169.254", "169.254.170.2", "0.0.0.0", "224.0.0.1"),  # noqa: S104
        *("::1", "::", "fe80::1", "ff02::1", "fd00:ec2::254", "fd20:ce::254"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
        *("100.100.100.200", "168.63.129.16"),
    ],
)
def test_loopback_link_local_and_metadata_addresses_are_forbidden(address: str) -> None:
    for egress in (DEFAULT, Egress(allowed_hosts=("*",))):
        assert "loopback, link-local or metadata" in (egress.refusal_of_address("files", ip_address(address)) or "")


@pytest.mark.parametrize("address", ["8.8.8.8", "2600::1", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert DEFAULT.refusal_of_address("files", ip_address(address)) is None


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "240.0.0.1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
    ],
)
def test_private_addresses_are_for_hosts_and_networks_that_the_administrator_named(address: str) -> None:
    found = ip_address(address)
    assert "files resolves to" in (DEFAULT.refusal_of_address("files", found) or "")
    assert "a private address" in (Egress(allowed_hosts=("minio",)).refusal_of_address("files", found) or "")
    assert Egress(allowed_hosts=("minio", "files")).refusal_of_address("files", found) is None
    assert Egress(allowed_hosts=("*",)).refusal_of_address("files", found) is None
    everything = Egress.model_validate({"allowedAddresses": ["0.0.0.0/0", "::/0"]})
    assert everything.refusal_of_address("files", found) is None


def test_a_network_is_allowed_by_the_administrators_choice_alone() -> None:
    egress = Egress.model_validate({"allowedAddresses": ["127.0.0.0/8"]})
    assert egress.refusal("127.0.0.1") is None
    assert egress.refusal("::ffff:127.0.0.1") is None
    assert egress.refusal("169.254.169.254") is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"allowedHosts": ["https://x"]},
        {"allowedHosts": ["a*.com"]},
        {"allowedHosts": ["minio.storage.svc:9000"]},
        {"allowedHosts": ["*.example.com:443"]},
        {"allowedHosts": ["10.0.0.1:9000"]},
        {"allowedHosts": ["[::1]:9000"]},
        {"allowedAddresses": ["10.0.0.1/8"]},
        {"other": []},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, list[str]]) -> None:
    with pytest.raises(ValidationError):
        Egress.model_validate(wrong)
