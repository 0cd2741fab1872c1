"""Who may change what a runtime without a cluster serves."""

import json
from pathlib import Path

import pytest

from lora_runtime.http.changers import Changers
from lora_runtime.standalone.wish import Changes

HERE = Changes(loopback=True)


def refused(changes: Changes, peer: str | None = "127.0.0.1", version: str = "1.1", **headers: str) -> str | None:
    """The code of the refusal; None for who may."""
    named = {"host": "127.0.0.1:8000"} | headers
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
    scope = {"client": None if peer is None else (peer, 1), "headers": sent, "http_version": version}
    answer = Changers(changes).refuse(scope)
    return None if answer is None else json.loads(bytes(answer.body))["error"]["code"]


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_programs_of_this_machine_may_where_it_was_said_so(peer: str) -> None:
    assert refused(HERE, peer) is None
    assert refused(Changes(), peer) == "Forbidden"


@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "testclient", None])
def test_others_may_not(peer: str | None) -> None:
    assert refused(HERE, peer) == "Forbidden"


@pytest.mark.parametrize(
    "header",
    [
        "origin", "sec_fetch_site", "sec_fetch_mode", "forwarded", "via", "x_forwarded_for", "x_forwarded_host", "x_real_ip",
        "cf_connecting_ip", "true_client_ip", "x_client_ip", "cdn_loop", "x_envoy_external_address", "tailscale_user_login",
    ],
)  # fmt: skip
def test_browsers_and_who_is_behind_a_proxy_may_not(header: str) -> None:
    assert refused(HERE, **{header: ""}) == "Forbidden"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.2:1", "[::1]:8000", "[::1]"])
def test_who_asks_for_this_machine_may(host: str) -> None:
    assert refused(HERE, host=host) is None


@pytest.mark.parametrize(
    "host", ["", "lora.example.com", "lora.example.com:8000", "10.0.0.1:8000", "localhost.example.com", "127.0.0.1.nip.io",
             "localhost@evil.example", "[::1", "[::]"]
)  # fmt: skip
def test_a_proxy_without_headers_of_its_own_is_told_by_the_name_that_it_was_asked_for(host: str) -> None:
    assert refused(HERE, host=host) == "Forbidden"


def test_a_proxy_that_names_this_machine_is_told_by_the_version_that_it_speaks() -> None:
    assert refused(HERE, version="1.0") == "Forbidden"


def test_who_shows_a_key_for_it_may_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("right")
    keyed = Changes(keys_file=tmp_path / "keys")
    assert refused(keyed, "10.0.0.1", authorization="Bearer right", origin="http://own.example") is None
    assert refused(keyed, x_api_key="right") is None
    assert refused(keyed, x_api_key="wrong") == "Unauthorized"
    assert refused(keyed) == "Unauthorized", "to be on this machine is not enough"
    assert refused(Changes(True, tmp_path / "keys")) is None
