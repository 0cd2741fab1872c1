"""What pods say reaches the queue: inventories by long poll, answers about sources. Over real TLS on loopback."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lora_api.runtime_api import Desired, Inventory, ResolveRequest, ResolveResponse, ResolveState
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import HuggingFaceSource
from lora_operator.clients.certificates import Authority, client_context
from lora_operator.clients.clock import SystemClock
from lora_operator.clients.runtime_admin import PodAddress, RuntimeAdmin
from lora_operator.domain.actions import ResolveSource
from lora_operator.domain.observed import ModelKey, Unreachable
from lora_operator.reconcile.inventories import Inventories
from lora_operator.reconcile.queue import Backoff
from lora_operator.reconcile.resolutions import Resolutions
from support.fake_runtime import FakeRuntime, found

KEY = ModelKey("team", "smol")
HOST = "smol.team.runtime.lora-operator.io"
QUICKLY = Backoff(first_seconds=0.01, longest_seconds=0.05, jitter=lambda: 1.0)


@dataclass
class Rings:
    """Counts, and wakes whoever waits for something to come true."""

    count: int = 0
    rung: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, key: ModelKey) -> None:
        assert key == KEY
        self.count += 1
        self.rung.set()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not true():
                self.rung.clear()
                await self.rung.wait()


@dataclass
class World:
    """A pod's address, the folder of its certificate, and the operator's side of the conversation."""

    address: PodAddress
    folder: Path
    rings: Rings
    inventories: Inventories
    resolutions: Resolutions

    def runtime(self, answer: Callable[[ResolveRequest], ResolveResponse] = found) -> FakeRuntime:
        return FakeRuntime(self.address.ip, self.address.port, self.folder, answer)

    @property
    def answer(self) -> Inventory | Unreachable:
        return self.inventories.answer(KEY, self.address)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    now = datetime.now(UTC)
    authority = Authority.make(now)
    leaf = authority.server(HOST, now)
    (tmp_path / "tls.crt").write_bytes(leaf.certificate)
    (tmp_path / "tls.key").write_bytes(leaf.key)
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = PodAddress("pod-0", "127.0.0.1", HOST, probe.getsockname()[1])
    clock, rings = SystemClock(), Rings()
    async with (
        RuntimeAdmin(client_context(authority, authority.client("operator", now)), clock) as admin,
        asyncio.TaskGroup() as group,
    ):
        inventories = Inventories(admin, clock, QUICKLY, group.create_task, rings)
        resolutions = Resolutions(admin, clock, group.create_task, rings)
        yield World(address, tmp_path, rings, inventories, resolutions)
        inventories.close()
        resolutions.close()


@contextlib.asynccontextmanager
async def watched(world: World) -> AsyncIterator[FakeRuntime]:
    with world.runtime() as runtime:
        world.inventories.watch(KEY, [world.address])
        await world.rings.until(lambda: isinstance(world.answer, Inventory))
        yield runtime
        # The client hangs up first; a server that does is kept waiting.
        world.inventories.watch(KEY, ())


async def test_a_pod_is_unreachable_until_it_answers_and_rings_when_it_does(world: World) -> None:
    world.inventories.watch(KEY, [world.address])
    assert isinstance(world.answer, Unreachable)
    assert world.rings.count == 0
    with world.runtime():
        await world.rings.until(lambda: isinstance(world.answer, Inventory))
        world.inventories.watch(KEY, ())


async def test_a_change_in_a_pod_rings_without_being_asked_for(world: World) -> None:
    async with watched(world) as runtime:
        admin = world.inventories._admin
        await admin.put_desired(world.address, Desired(sequence=5))
        await world.rings.until(lambda: isinstance(world.answer, Inventory) and world.answer.desired_sequence == 5)
        assert runtime.inventory == world.answer


async def test_a_pod_that_fails_becomes_unreachable_and_rings_once(world: World) -> None:
    async with watched(world) as runtime:
        runtime.broken = "the disk is gone"
        # Ends the poll that is under way.
        await world.inventories._admin.put_desired(world.address, Desired(sequence=1))
        await world.rings.until(lambda: isinstance(world.answer, Unreachable))
        assert isinstance(world.answer, Unreachable)
        assert "the disk is gone" in world.answer.message


async def test_news_of_a_pod_that_is_no_longer_watched_are_dropped(world: World) -> None:
    async with watched(world) as runtime:
        inventory = runtime.inventory
    before = world.rings.count
    world.inventories.learn(KEY, world.address, inventory.model_copy(update={"etag": "later"}))
    assert world.rings.count == before


def a_question(attempt: int = 1) -> ResolveSource:
    source = AdapterSource(hugging_face=HuggingFaceSource(repo="team/pirate"))
    return ResolveSource("uid", "hash", "pod-0", "127.0.0.1", ResolveRequest(source=source), attempt, "why")


async def test_a_question_is_under_way_until_its_answer_is_there(world: World) -> None:
    with world.runtime():
        world.resolutions.ask(KEY, world.address, a_question())
        assert world.resolutions.under_way(KEY) == {"uid"}
        await world.rings.until(lambda: not world.resolutions.under_way(KEY))
    resolution = world.resolutions.answers(KEY)["uid"]
    assert (resolution.source_hash, resolution.retry_at) == ("hash", None)
    assert isinstance(resolution.answer, ResolveResponse)
    assert resolution.answer.state is ResolveState.RESOLVED


async def test_a_pod_that_is_still_fetching_is_asked_on_and_its_progress_is_told(world: World) -> None:
    progress = iter([100, 200])

    def answer(request: ResolveRequest) -> ResolveResponse:
        done = next(progress, None)
        return found(request) if done is None else ResolveResponse(state=ResolveState.FETCHING, bytes_done=done)

    with world.runtime(answer) as runtime:
        world.resolutions.ask(KEY, world.address, a_question())
        await world.rings.until(lambda: not world.resolutions.under_way(KEY))
    assert len(runtime.questions) == 3
    assert world.rings.count == 3


async def test_a_pod_that_went_away_is_an_answer_with_a_time_to_ask_again(world: World) -> None:
    world.resolutions.ask(KEY, world.address, a_question(attempt=2))
    await world.rings.until(lambda: not world.resolutions.under_way(KEY))
    resolution = world.resolutions.answers(KEY)["uid"]
    assert isinstance(resolution.answer, Unreachable)
    assert resolution.attempts == 2
    assert resolution.retry_at is not None


async def test_what_is_known_of_a_deleted_adapter_is_forgotten(world: World) -> None:
    world.resolutions.ask(KEY, world.address, a_question())
    await world.rings.until(lambda: not world.resolutions.under_way(KEY))
    world.resolutions.keep(KEY, ())
    assert world.resolutions.answers(KEY) == {}
