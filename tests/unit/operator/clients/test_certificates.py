"""Who can talk to whom with the operator's certificates, tried with real handshakes on loopback."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lora_operator.clients.certificates import (
    CA_CERTIFICATE,
    CA_KEY,
    Authority,
    CertificateError,
    Leaf,
    client_context,
)

HOST = "smol.team.runtime.lora-operator.io"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.make(datetime.now(UTC))


@pytest.fixture(scope="module")
def stranger() -> Authority:
    return Authority.make(datetime.now(UTC))


def server_context(authority: Authority, leaf: Leaf, folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    path = folder / "server.pem"
    path.write_bytes(leaf.certificate + leaf.key)
    context.load_cert_chain(path)
    return context


async def exchange(server: ssl.SSLContext, client: ssl.SSLContext, host: str = HOST) -> bytes:
    """What the client reads from a server that says hello to whom it trusts."""

    async def hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async with await asyncio.start_server(hello, "127.0.0.1", 0, ssl=server) as listening:
        port = listening.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=host)
        try:
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()


async def is_refused(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Whether the server ends the connection without a word; in TLS 1.3 a client learns that only by reading."""
    try:
        return await exchange(server, client) == b""
    except (ssl.SSLError, ConnectionError):
        return True


async def test_the_operator_and_a_pod_trust_each_other(authority: Authority, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    server = server_context(authority, authority.server(HOST, now), tmp_path)
    assert await exchange(server, client_context(authority, authority.client("operator", now))) == b"hello"


async def test_a_pod_of_another_model_is_not_taken_for_this_one(authority: Authority, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    server = server_context(authority, authority.server("other.team.runtime.lora-operator.io", now), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await exchange(server, client_context(authority, authority.client("operator", now)))


async def test_a_pod_of_another_operator_is_not_trusted(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    server = server_context(stranger, stranger.server(HOST, now), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        await exchange(server, client_context(authority, authority.client("operator", now)))


async def test_a_pod_does_not_listen_to_another_operator(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    server = server_context(authority, authority.server(HOST, now), tmp_path)
    forged = client_context(authority, stranger.client("operator", now))
    assert await is_refused(server, forged)


async def test_a_pod_cannot_pass_for_the_operator(authority: Authority, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    server = server_context(authority, authority.server(HOST, now), tmp_path)
    pod = client_context(authority, authority.server("other.team.runtime.lora-operator.io", now))
    assert await is_refused(server, pod)


def test_an_authority_is_the_same_after_a_restart(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / CA_CERTIFICATE).write_bytes(authority.pem)
    (tmp_path / CA_KEY).write_bytes(authority.key_pem)
    loaded = Authority.load(tmp_path)
    assert loaded is not None
    assert loaded.pem == authority.pem


def test_no_files_are_no_authority(tmp_path: Path) -> None:
    assert Authority.load(tmp_path) is None


def test_a_key_of_another_authority_is_refused(authority: Authority, stranger: Authority, tmp_path: Path) -> None:
    (tmp_path / CA_CERTIFICATE).write_bytes(authority.pem)
    (tmp_path / CA_KEY).write_bytes(stranger.key_pem)
    with pytest.raises(CertificateError, match=r"ca\.key is not the key of ca\.crt"):
        Authority.load(tmp_path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / CA_CERTIFICATE).write_text("no certificate")
    (tmp_path / CA_KEY).write_text("no key")
    with pytest.raises(CertificateError, match=r"ca\.crt and ca\.key cannot be read"):
        Authority.load(tmp_path)
