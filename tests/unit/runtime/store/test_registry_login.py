"""Where a registry may send the runtime for a token: it is the registry that names the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_api.v1alpha1.conditions import Reason
from support.stores import a_source, mount_secret, open_at, refused
from support.tls import server_context
from support.web_server import running_web_server


async def test_a_password_is_not_sent_to_an_unencrypted_token_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = server_context(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    secret = mount_secret(tmp_path, {"username": "pirate", "password": "arr"})
    with running_web_server(tls=context) as registry, running_web_server() as tokens:
        registry.token, registry.challenge = "secret", f'Bearer realm="{tokens.url}/token",service="registry"'
        source = a_source("oci", secret, reference=f"{registry.url.removeprefix('https://')}/team/pirate:v1")
        refusal = await refused(open_at(tmp_path), source)
    assert (refusal.reason, refusal.retryable) == (Reason.UNAUTHORIZED, True)
    assert "its address is not encrypted" in refusal.message
    assert not tokens.asked


async def test_a_server_that_the_registry_redirects_to_may_not_ask_for_the_login(tmp_path: Path) -> None:
    secret = mount_secret(tmp_path, {"username": "pirate", "password": "arr"})
    with running_web_server() as registry, running_web_server("127.0.0.2") as other:
        other.token, other.challenge = "secret", f'Bearer realm="{other.url}/token"'
        path = "/v2/team/pirate/manifests/v1"
        registry.redirects[path] = f"{other.url}{path}"
        source = a_source(
            "oci", secret, reference=f"{registry.url.removeprefix('http://')}/team/pirate:v1", plainHTTP=True
        )
        refusal = await refused(open_at(tmp_path), source)
    assert refusal.reason is Reason.UNAUTHORIZED
    assert other.asked
    assert {one.authorization for one in other.asked} == {None}


@pytest.mark.parametrize(
    ("challenge", "reason", "told"),
    [
        ('Bearer realm="http://169.254.169.254/token"', Reason.SOURCE_FORBIDDEN, "metadata address"),
        ("Bearer", Reason.UNAUTHORIZED, "its challenge cannot be read"),
        ("Bearer realm", Reason.UNAUTHORIZED, "its challenge cannot be read"),
        ('Bearer realm="http://[::1"', Reason.UNAUTHORIZED, "its challenge cannot be read"),
        ("Negotiate", Reason.UNAUTHORIZED, "the server answers 401"),
    ],
)
async def test_a_challenge_that_leads_nowhere_is_refused(
    tmp_path: Path, challenge: str, reason: Reason, told: str
) -> None:
    with running_web_server() as registry:
        registry.token, registry.challenge = "secret", challenge
        host = registry.url.removeprefix("http://")
        source = a_source("oci", reference=f"{host}/team/pirate:v1", plainHTTP=True)
        refusal = await refused(open_at(tmp_path), source)
    assert refusal.reason is reason
    assert told in refusal.message


async def test_an_answer_that_is_no_manifest_is_refused(tmp_path: Path) -> None:
    with running_web_server() as registry:
        registry.files["/v2/team/pirate/manifests/v1"] = b'{"manifests": []}'
        host = registry.url.removeprefix("http://")
        source = a_source("oci", reference=f"{host}/team/pirate:v1", plainHTTP=True)
        refusal = await refused(open_at(tmp_path), source)
    assert refusal.reason is Reason.SOURCE_NOT_FOUND
    assert "no artifact with layers" in refusal.message
