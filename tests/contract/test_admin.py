"""The operator's client and the runtime's admin server, over a real connection with real certificates."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from lora_api.runtime_api import (
    DESIRED_PATH,
    AdapterFacts,
    Desired,
    DesiredAdapter,
    Inventory,
    Part,
    ResolveRequest,
    ResolveResponse,
    ResolveState,
    RevisionSpec,
)  # fmt: skip
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_operator.clients.certificates import Authority, client_context
from lora_operator.clients.runtime_admin import PodAddress, RuntimeAdmin
from lora_operator.domain.observed import Unreachable
from lora_runtime.adapters.base import load_base
from lora_runtime.engine.fake import FakeEngine
from lora_runtime.http.admin import admin_server
from lora_runtime.store.content import ContentStore, open_store
from lora_runtime.store.versions import Published
from lora_runtime.workshop import Progress, Workshop
from support.models import tiny_adapter, tiny_base
from support.runtime_process import free_port
from support.stand_in import StandIn

HOST = "smol.team.runtime.lora-operator.io"


@dataclass
class Pod:
    address: PodAddress
    authority: Authority
    runtime: StandIn
    tls: Path


class RealFiles:
    """The real workshop, made on the loop that uses it."""

    def __init__(self, store: ContentStore, base: Path) -> None:
        self._store, self._base = store, base
        self._workshop: Workshop | None = None
        self._knows_engine = False

    @property
    def workshop(self) -> Workshop:
        if self._workshop is None:
            self._workshop = Workshop(self._store, max_rank=16)
            self._workshop.set_base(load_base(self._base))
        return self._workshop

    async def make(self, spec: RevisionSpec, progress: Progress) -> Published:
        if not self._knows_engine:
            self._knows_engine = True
            await self.workshop.learn_engine(FakeEngine())
        return await self.workshop.make(spec, progress)

    async def resolve(self, request: ResolveRequest, progress: Progress) -> AdapterFacts:
        return await self.workshop.resolve(request, progress)


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    folder = tmp_path_factory.mktemp("pod")
    authority = Authority.make(datetime.now(UTC))
    tls = folder / "tls"
    tls.mkdir()
    leaf = authority.server(HOST, datetime.now(UTC))
    (tls / "tls.crt").write_bytes(leaf.certificate)
    (tls / "tls.key").write_bytes(leaf.key)
    (tls / "ca.crt").write_bytes(authority.pem)
    base = tiny_base(folder / "base")
    tiny_adapter(folder / "volumes" / "shared" / "good", base, seed=1)
    tiny_adapter(folder / "volumes" / "shared" / "wide", base, seed=1, r=64)
    port = free_port()
    store = open_store(folder / "store", volumes_root=folder / "volumes", credentials_root=folder / "none")
    runtime = StandIn("127.0.0.1", port, tls, store=folder / "store", workshop=RealFiles(store, base), files=store)
    with runtime:
        yield Pod(PodAddress("pod-1", "127.0.0.1", HOST, port), authority, runtime, tls)


@pytest.fixture
async def admin(pod: Pod) -> AsyncIterator[RuntimeAdmin]:
    leaf = pod.authority.client("lora-operator", datetime.now(UTC))
    async with RuntimeAdmin(client_context(pod.authority, leaf)) as client:
        yield client


async def facts(admin: RuntimeAdmin, pod: Pod, path: str) -> ResolveResponse:
    request = ResolveRequest(source=AdapterSource(volume=VolumeSource(name="shared", path=path)))
    answer = await admin.resolve(pod.address, request, wait_seconds=20)
    assert isinstance(answer, ResolveResponse), answer
    return answer


def recipe(found: AdapterFacts, weight: float) -> RevisionSpec:
    part = Part(source=found.source, digest=found.digest, weight=weight)
    return RevisionSpec.of((part,), BlendMethod.CONCAT, Precision.AUTO)


async def test_what_is_resolved_can_be_declared_and_is_then_told_as_served(admin: RuntimeAdmin, pod: Pod) -> None:
    answer = await facts(admin, pod, "good")
    assert answer.state is ResolveState.RESOLVED
    assert answer.facts is not None
    spec = recipe(answer.facts, 0.5)
    inventory = await admin.put_desired(
        pod.address, Desired(sequence=1, adapters=(DesiredAdapter(name="a", uid="u", serve=spec),))
    )
    assert isinstance(inventory, Inventory), inventory
    for _ in range(20):
        adapter = inventory.adapter("a")
        if adapter is not None and adapter.serving == spec.revision:
            break
        told = await admin.inventory(pod.address, after=inventory.etag, wait_seconds=5)
        assert isinstance(told, Inventory), told
        inventory = told
    assert inventory.desired_sequence == 1
    assert pod.runtime.engine.published["a"].engine_name.startswith(f"a@{spec.revision}.")


async def test_a_refusal_carries_condition_reason_and_a_message_that_names_the_fix(
    admin: RuntimeAdmin, pod: Pod
) -> None:
    answer = await facts(admin, pod, "wide")
    assert answer.refusal is not None
    assert (answer.refusal.condition, answer.refusal.reason) == (AdapterCondition.COMPATIBLE, Reason.RANK_TOO_LARGE)
    assert "maxRank" in answer.refusal.message
    assert not answer.refusal.retryable

    missing = await facts(admin, pod, "nowhere")
    assert missing.refusal is not None
    assert (missing.refusal.condition, missing.refusal.reason) == (AdapterCondition.FETCHED, Reason.SOURCE_NOT_FOUND)
    assert missing.refusal.retryable


async def test_a_long_poll_ends_when_its_wait_is_over_and_nothing_happened(admin: RuntimeAdmin, pod: Pod) -> None:
    before = await admin.inventory(pod.address, after=None, wait_seconds=0)
    assert isinstance(before, Inventory)
    after = await admin.inventory(pod.address, after=before.etag, wait_seconds=0.2)
    assert isinstance(after, Inventory)


async def test_a_pod_never_goes_back_to_an_older_document(admin: RuntimeAdmin, pod: Pod) -> None:
    assert isinstance(await admin.put_desired(pod.address, Desired(sequence=50)), Inventory)
    answer = await admin.put_desired(pod.address, Desired(sequence=49))
    assert isinstance(answer, Unreachable)
    assert "409" in answer.message
    assert "does not come after" in answer.message


async def test_a_pod_is_told_what_changes_and_tells_what_has_changed(admin: RuntimeAdmin, pod: Pod) -> None:
    first = Desired(sequence=60, adapters=tuple(DesiredAdapter(name=name, uid=name) for name in ("x", "y")))
    second = Desired(sequence=61, adapters=(*first.adapters, DesiredAdapter(name="z", uid="z")))
    known = await admin.put_desired(pod.address, first)
    assert isinstance(known, Inventory), known
    told = await admin.patch_desired(pod.address, first.etag, second.patch_from(first), known.etag)
    assert isinstance(told, Inventory), told
    assert told.since == known.version
    assert (told.desired_etag, [report.name for report in told.adapters]) == (second.etag, ["z"])
    assert told.etag != known.etag


async def test_a_pod_on_another_document_wants_all_of_it(admin: RuntimeAdmin, pod: Pod) -> None:
    assert isinstance(await admin.put_desired(pod.address, Desired(sequence=70)), Inventory)
    never, later = Desired(sequence=71, adapters=(DesiredAdapter(name="x", uid="x"),)), Desired(sequence=72)
    assert await admin.patch_desired(pod.address, never.etag, later.patch_from(never)) is None


async def test_a_runtime_that_takes_whole_documents_only_wants_all_of_it(pod: Pod) -> None:
    older = FastAPI()
    older.put(DESIRED_PATH)(lambda: None)
    leaf = pod.authority.client("lora-operator", datetime.now(UTC))
    server = admin_server(older, "127.0.0.1", free_port(), pod.tls)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
        async with RuntimeAdmin(client_context(pod.authority, leaf)) as client:
            address = PodAddress("pod-2", "127.0.0.1", HOST, server.config.port)
            one, two = Desired(sequence=1), Desired(sequence=2)
            assert await client.patch_desired(address, one.etag, two.patch_from(one)) is None
    finally:
        server.should_exit = True
        await serving


async def test_the_operator_refuses_a_pod_of_another_model(admin: RuntimeAdmin, pod: Pod) -> None:
    elsewhere = PodAddress("pod-1", pod.address.ip, "other.team.runtime.lora-operator.io", pod.address.port)
    answer = await admin.inventory(elsewhere, after=None, wait_seconds=0)
    assert isinstance(answer, Unreachable)
    assert "other.team.runtime.lora-operator.io" in answer.message


async def test_a_body_that_is_no_document_is_refused_and_changes_nothing(pod: Pod) -> None:
    leaf = pod.authority.client("lora-operator", datetime.now(UTC))
    context = client_context(pod.authority, leaf)
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        answer = await client.put(
            f"https://127.0.0.1:{pod.address.port}/v1/desired",
            json={"sequence": -1, "adapters": "all"},
            extensions={"sni_hostname": HOST},
        )
    assert answer.status_code == 422


async def test_a_document_that_the_runtime_cannot_read_is_known_as_one(admin: RuntimeAdmin, pod: Pod) -> None:
    spec = RevisionSpec.model_construct(revision="as never before", parts=())
    later = Desired(sequence=1_000, adapters=(DesiredAdapter(name="a", uid="u", serve=spec),))
    answer = await admin.put_desired(pod.address, later)
    assert isinstance(answer, Unreachable)
    assert answer.refused
    assert "422" in answer.message
    stale = await admin.put_desired(pod.address, Desired(sequence=0))
    assert not (isinstance(stale, Unreachable) and stale.refused), "one that comes too late is another matter"
