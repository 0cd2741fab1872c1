"""Who may speak to the admin port, while certificates come and go: real certificates, real handshakes."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from lora_api.runtime_api import MAX_MESSAGE_BYTES, Desired, Inventory
from lora_operator.clients.certificates import Authority, client_context, present
from lora_operator.clients.clock import SystemClock
from lora_operator.clients.identity import Identity
from lora_operator.clients.runtime_admin import PodAddress, RuntimeAdmin
from lora_operator.domain.observed import Unreachable
from support.mounted_secret import mount_certificate
from support.runtime_process import free_port
from support.stand_in import StandIn

HOST = "smol.team.runtime.lora-operator.io"
SHORT = timedelta(seconds=3)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Pod:
    tls: Path
    address: PodAddress

    def mount(self, authority: Authority, lifetime: timedelta = timedelta(days=1)) -> None:
        mount_certificate(self.tls, authority, authority.server(HOST, now(), lifetime))

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.address.port}"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.make(now())


@pytest.fixture(scope="module")
def pod(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    folder = tmp_path_factory.mktemp("pod")
    made = Pod(folder / "tls", PodAddress("pod-1", "127.0.0.1", HOST, free_port()))
    made.mount(authority)
    with StandIn("127.0.0.1", made.address.port, made.tls, store=folder):
        yield made


@pytest.fixture(autouse=True)
def as_it_was(pod: Pod, authority: Authority) -> Iterator[None]:
    yield
    pod.mount(authority)


def showing_nothing(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.pem.decode())


def a_context(kind: str, authority: Authority) -> ssl.SSLContext:
    """What somebody may come with; all of them trust the pod."""
    context = showing_nothing(authority)
    match kind:
        case "another authority's":
            present(context, Authority.make(now()).client("operator", now()))
        case "an expired one":
            present(context, authority.client("operator", now() - timedelta(days=2), timedelta(days=1)))
        case "one that is not good yet":
            present(context, authority.client("operator", now() + timedelta(days=2)))
        case "a pod's own":
            present(context, authority.server(HOST, now()))
        case "the operator's":
            present(context, authority.client("operator", now()))
    return context


async def asked(context: ssl.SSLContext, pod: Pod) -> Inventory | Unreachable:
    async with RuntimeAdmin(context) as admin:
        return await admin.inventory(pod.address, after=None, wait_seconds=0)


@pytest.mark.parametrize(
    "kind", ["nothing", "another authority's", "an expired one", "one that is not good yet", "a pod's own"]
)
async def test_the_admin_port_refuses_who_is_not_the_operator(pod: Pod, authority: Authority, kind: str) -> None:
    answer = await asked(a_context(kind, authority), pod)
    assert isinstance(answer, Unreachable)
    assert isinstance(await asked(a_context("the operator's", authority), pod), Inventory)


async def test_older_versions_of_tls_are_refused(pod: Pod, authority: Authority) -> None:
    context = a_context("the operator's", authority)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert isinstance(await asked(context, pod), Unreachable)


async def test_nobody_comes_back_with_an_earlier_session(pod: Pod, authority: Authority) -> None:
    context = a_context("the operator's", authority)
    reader, writer = await asyncio.open_connection("127.0.0.1", pod.address.port, ssl=context, server_hostname=HOST)
    writer.write(b"GET /v1/inventory HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert b"200 OK" in await reader.read()
    session = writer.get_extra_info("ssl_object").session
    assert session is None or not session.has_ticket
    writer.close()


@contextlib.asynccontextmanager
async def a_client(pod: Pod, authority: Authority) -> AsyncIterator[httpx.AsyncClient]:
    """Sends what it likes, with the operator's certificate."""
    context = a_context("the operator's", authority)
    async with httpx.AsyncClient(verify=context, trust_env=False, base_url=pod.url, timeout=30) as client:
        yield client


async def put(
    client: httpx.AsyncClient,
    content: bytes | AsyncIterator[bytes],
    way: tuple[str, str] = ("PUT", "/v1/desired"),
) -> int:
    """The status of the answer; 0 when the connection was ended before one."""
    headers = {"If-Match": '"e"'}
    try:
        answer = await client.request(*way, content=content, headers=headers, extensions={"sni_hostname": HOST})
    except httpx.TransportError:
        return 0
    return answer.status_code


async def test_a_document_that_was_caught_earlier_is_refused_when_it_is_sent_once_more(
    pod: Pod, authority: Authority
) -> None:
    caught, newer = Desired(sequence=7).canonical(), Desired(sequence=8).canonical()
    async with a_client(pod, authority) as client:
        assert await put(client, caught) == 200
        assert await put(client, newer) == 200
        assert await put(client, caught) == 409
        found = await client.get("/v1/inventory", extensions={"sni_hostname": HOST})
    assert found.json()["desiredSequence"] == 8


WAYS_IN = [("PUT", "/v1/desired"), ("PATCH", "/v1/desired"), ("POST", "/v1/resolve")]


@pytest.mark.parametrize("way", WAYS_IN)
async def test_a_body_that_is_too_long_is_refused_by_its_announced_length(
    pod: Pod, authority: Authority, way: tuple[str, str]
) -> None:
    async with a_client(pod, authority) as client:
        assert await put(client, b" " * (MAX_MESSAGE_BYTES + 1), way) in (413, 0)
        assert await put(client, b" " * 1000, way) == 422


ANSWERS = [*((way, 413) for way in WAYS_IN), (("PUT", "/v1/nothing"), 404), (("GET", "/v1/inventory"), 200)]


@pytest.mark.parametrize(("way", "status"), ANSWERS)
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_of_a_body_without_an_end_little_is_read(
    pod: Pod, authority: Authority, way: tuple[str, str], status: int, connection: str
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1 << 16
            yield b" " * (1 << 16)

    async with a_client(pod, authority) as client, asyncio.timeout(15):
        client.headers["Connection"] = connection
        assert await put(client, endless(), way) in (status, 0)
    assert sent < 6 * MAX_MESSAGE_BYTES


async def test_who_sends_a_little_too_much_hears_why_on_a_connection_that_goes_on(
    pod: Pod, authority: Authority
) -> None:
    async with a_client(pod, authority) as client:
        for _ in range(3):
            assert await put(client, b" " * (MAX_MESSAGE_BYTES + 1000)) == 413


def test_who_speaks_no_http_is_told_so_and_cut_off_also_if_he_does_not_listen(pod: Pod, authority: Authority) -> None:
    context = a_context("the operator's", authority)
    with (
        socket.create_connection(("127.0.0.1", pod.address.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as connection,
    ):
        connection.sendall(b"HELO operator\r\n\r\n")
        assert b" 400 " in connection.recv(1000)
        sent = 0
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while sent < 6 * MAX_MESSAGE_BYTES:
                sent += connection.send(b" " * (1 << 16))
    assert sent < 6 * MAX_MESSAGE_BYTES


async def test_a_new_authority_is_believed_at_the_next_handshake_and_the_old_one_no_longer(
    pod: Pod, authority: Authority
) -> None:
    successor = Authority.make(now())
    pod.mount(successor)
    assert isinstance(await asked(a_context("the operator's", successor), pod), Inventory)
    trusting_both = client_context(successor, authority.client("operator", now()))
    assert isinstance(await asked(trusting_both, pod), Unreachable)


async def test_files_that_do_not_belong_together_leave_the_certificate_that_was_good(
    pod: Pod, authority: Authority
) -> None:
    assert isinstance(await asked(a_context("the operator's", authority), pod), Inventory)
    good = (pod.tls / "tls.key").read_bytes()
    (pod.tls / "tls.key").write_bytes(b"half a key")
    assert isinstance(await asked(a_context("the operator's", authority), pod), Inventory)
    (pod.tls / "tls.key").write_bytes(good)
    assert isinstance(await asked(a_context("the operator's", authority), pod), Inventory)


def serial(pod: Pod) -> int:
    return x509.load_pem_x509_certificate((pod.tls / "tls.crt").read_bytes()).serial_number


@pytest.mark.slow
async def test_certificates_of_both_sides_are_replaced_under_load_and_no_request_fails(
    pod: Pod, authority: Authority
) -> None:
    """Lives of 3 s, replaced after 2: at the end no connection could begin with what there was at first."""
    pod.mount(authority, SHORT)
    identity = Identity(authority, SHORT, SystemClock())
    serials: set[int] = set()
    failed: list[Unreachable] = []
    answered = {"new connection": 0, "one connection": 0}
    until = time.monotonic() + 3 * SHORT.total_seconds()

    async def rotate() -> None:
        while time.monotonic() < until:
            serials.add(serial(pod))
            await asyncio.sleep(SHORT.total_seconds() * 2 / 3)
            pod.mount(authority, SHORT)

    async def note(kind: str, admin: RuntimeAdmin) -> None:
        answer = await admin.inventory(pod.address, after=None, wait_seconds=0)
        answered[kind] += 1
        if isinstance(answer, Unreachable):
            failed.append(answer)

    async def connect_anew() -> None:
        while time.monotonic() < until:
            async with RuntimeAdmin(identity.context) as admin:
                await note("new connection", admin)
            await asyncio.sleep(0.01)

    async def stay() -> None:
        async with RuntimeAdmin(identity.context) as admin:
            while time.monotonic() < until:
                await note("one connection", admin)
                await asyncio.sleep(0.01)

    renewing = asyncio.create_task(identity.renew_for_ever())
    try:
        await asyncio.gather(rotate(), connect_anew(), stay())
        assert failed == []
        assert len(serials) >= 4
        assert min(answered.values()) > 50
    finally:
        renewing.cancel()
    deadline = time.monotonic() + 2 * SHORT.total_seconds()
    while isinstance(await asked(identity.context, pod), Inventory):
        assert time.monotonic() < deadline, "a certificate that nobody renews must end"
        await asyncio.sleep(0.1)
