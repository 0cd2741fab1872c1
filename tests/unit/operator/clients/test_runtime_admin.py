"""The admin client against a real TLS server."""

import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lora_api.runtime_api import Desired, Inventory, ResolveRequest, ResolveResponse
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import HuggingFaceSource
from lora_operator.clients.certificates import Authority, client_context
from lora_operator.clients.clock import SystemClock
from lora_operator.clients.runtime_admin import PodAddress, RuntimeAdmin
from lora_operator.domain.observed import Unreachable
from support.fake_runtime import FakeRuntime

HOST = "smol.team.runtime.lora-operator.io"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.make(datetime.now(UTC))


@pytest.fixture
def address() -> PodAddress:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return PodAddress("pod-0", "127.0.0.1", HOST, probe.getsockname()[1])


@pytest.fixture
async def admin(authority: Authority) -> AsyncIterator[RuntimeAdmin]:
    leaf = authority.client("operator", datetime.now(UTC))
    async with RuntimeAdmin(client_context(authority, leaf), SystemClock()) as made:
        yield made


@pytest.fixture
def runtime(authority: Authority, address: PodAddress, tmp_path: Path) -> Iterator[FakeRuntime]:
    write_secret(authority, HOST, tmp_path)
    with FakeRuntime(address.ip, address.port, tmp_path) as running:
        yield running


def write_secret(authority: Authority, host: str, folder: Path) -> None:
    leaf = authority.server(host, datetime.now(UTC))
    (folder / "tls.crt").write_bytes(leaf.certificate)
    (folder / "tls.key").write_bytes(leaf.key)
    (folder / "ca.crt").write_bytes(authority.pem)


async def test_a_document_is_put_and_answered_with_the_inventory(
    runtime: FakeRuntime, admin: RuntimeAdmin, address: PodAddress
) -> None:
    document = Desired(sequence=7)
    answer = await admin.put_desired(address, document)
    assert runtime.documents == [document]
    assert isinstance(answer, Inventory)
    assert answer.desired_etag == document.etag


async def test_a_long_poll_is_answered_when_something_changes(
    runtime: FakeRuntime, admin: RuntimeAdmin, address: PodAddress
) -> None:
    first = await admin.inventory(address, None, 0)
    assert isinstance(first, Inventory)
    await admin.put_desired(address, Desired(sequence=1))
    second = await admin.inventory(address, first.etag, 30)
    assert isinstance(second, Inventory)
    assert second.desired_sequence == 1


async def test_a_source_is_resolved(runtime: FakeRuntime, admin: RuntimeAdmin, address: PodAddress) -> None:
    question = ResolveRequest(source=AdapterSource(hugging_face=HuggingFaceSource(repo="team/pirate")))
    answer = await admin.resolve(address, question, 1)
    assert runtime.questions == [question]
    assert isinstance(answer, ResolveResponse)
    assert answer.facts is not None


async def test_a_pod_that_is_away_is_a_value(admin: RuntimeAdmin, address: PodAddress) -> None:
    answer = await admin.inventory(address, None, 0)
    assert isinstance(answer, Unreachable)
    assert "does not answer" in answer.message


async def test_a_pod_with_the_certificate_of_another_model_is_unreachable(
    admin: RuntimeAdmin, authority: Authority, address: PodAddress, tmp_path: Path
) -> None:
    write_secret(authority, "other.team.runtime.lora-operator.io", tmp_path)
    with FakeRuntime(address.ip, address.port, tmp_path) as runtime:
        answer = await admin.put_desired(address, Desired(sequence=1))
    assert isinstance(answer, Unreachable)
    assert "Hostname mismatch" in answer.message
    assert runtime.documents == []


async def test_an_error_of_the_pod_makes_it_unreachable_in_its_own_words(
    runtime: FakeRuntime, admin: RuntimeAdmin, address: PodAddress
) -> None:
    runtime.broken = "the disk is gone"
    answer = await admin.inventory(address, None, 0)
    assert isinstance(answer, Unreachable)
    assert "503" in answer.message
    assert "the disk is gone" in answer.message
