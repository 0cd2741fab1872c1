"""One served name from declared to gone, with an engine that only remembers."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lora_api.runtime_api import (
    AdapterReport,
    DesiredAdapter,
    Part,
    Refusal,
    RevisionSpec,
    RevisionState,
)  # fmt: skip
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_runtime import observer
from lora_runtime.adapter_loop import AdapterLoop, EngineTurn
from lora_runtime.adapters.errors import Refused
from lora_runtime.engine.fake import FakeEngine
from lora_runtime.store.versions import Published
from lora_runtime.workshop import Progress

SOURCE = AdapterSource(volume=VolumeSource(name="shared", path="a"))


def a_spec(weight: float) -> RevisionSpec:
    part = Part(source=SOURCE, digest="sha256:" + "a" * 64, weight=weight)
    return RevisionSpec.of((part,), BlendMethod.CONCAT, Precision.AUTO)


V1, V2 = a_spec(1.0), a_spec(0.4)


class ScriptedMaker:
    """Makes a folder name from the recipe; refuses or waits where the test says so."""

    def __init__(self) -> None:
        self.refusals: dict[str, Refusal] = {}
        self.held_back: dict[str, asyncio.Event] = {}
        self.cancelled: list[str] = []
        self.breaks: dict[str, Exception] = {}
        self.waits_seconds = 0.0

    async def make(self, spec: RevisionSpec, progress: Progress) -> Published:
        progress.waited_seconds += self.waits_seconds
        try:
            if spec.revision in self.held_back:
                progress.part()(25, 100)
                await self.held_back[spec.revision].wait()
        except asyncio.CancelledError:
            self.cancelled.append(spec.revision)
            raise
        if spec.revision in self.breaks:
            raise self.breaks[spec.revision]
        if spec.revision in self.refusals:
            raise Refused(self.refusals[spec.revision])
        return Published(folder=Path("/versions") / spec.revision, rank=8, size_bytes=100, elements=20)


class Told(observer.Nobody):
    """Writes down what an observer is told."""

    def __init__(self) -> None:
        self.stages: list[tuple[observer.Stage, float]] = []
        self.failures: list[Reason] = []

    def took(self, stage: observer.Stage, seconds: float) -> None:
        self.stages.append((stage, seconds))

    def failed(self, reason: Reason) -> None:
        self.failures.append(reason)

    def forget(self, name: str) -> None:
        raise AssertionError("a loop does not know when it is over")


@dataclass
class Stage:
    """A loop, what it talks to, and a clock that the test moves."""

    maker: ScriptedMaker = field(default_factory=ScriptedMaker)
    engine: FakeEngine = field(default_factory=FakeEngine)
    now: float = 100.0
    told: Told = field(default_factory=Told)
    changes: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.turn = EngineTurn()
        self.turn.engine.set_result(self.engine)
        self.loop = AdapterLoop("x", self.maker, self.turn, self.changes.set, lambda: self.now, self.told)
        self.task: asyncio.Task[None] | None = None

    def want(self, serve: RevisionSpec | None = None, prepare: RevisionSpec | None = None, uid: str = "u1") -> None:
        self.task = self.task or asyncio.create_task(self.loop.run())
        self.loop.want(DesiredAdapter(name="x", uid=uid, serve=serve, prepare=prepare))

    async def end(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait({self.task})
        if not self.task.cancelled():
            self.task.result()

    async def until(self, *expected: tuple[RevisionSpec, RevisionState]) -> AdapterReport:
        """Waits until the report says exactly this."""
        want = sorted((spec.revision, state.value) for spec, state in expected)
        deadline = time.monotonic() + 5
        while True:
            self.changes.clear()
            report = self.loop.report()
            if sorted((r.revision, r.state.value) for r in report.revisions) == want:
                return report
            try:
                await asyncio.wait_for(self.changes.wait(), deadline - time.monotonic())
            except TimeoutError:
                raise AssertionError(f"still {report}") from None


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.end()


async def test_how_far_a_download_is_is_told_while_it_goes_on_and_no_longer(stage: Stage) -> None:
    stage.maker.held_back[V1.revision] = asyncio.Event()
    stage.want(V1)
    await stage.until((V1, RevisionState.FETCHING))
    stage.changes.clear()
    await asyncio.wait_for(stage.changes.wait(), 5)
    (report,) = stage.loop.report().revisions
    assert (report.bytes_done, report.bytes_total) == (25, 100)
    stage.maker.held_back[V1.revision].set()
    (report,) = (await stage.until((V1, RevisionState.SERVING))).revisions
    assert (report.bytes_done, report.bytes_total) == (None, None)


async def test_a_change_is_loaded_before_it_is_published_and_the_old_one_goes_after_its_requests(stage: Stage) -> None:
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.SERVING))
    old = stage.engine.published["x"].engine_name
    stage.engine.busy[old] = asyncio.Event()

    stage.want(serve=V2)
    await stage.until((V1, RevisionState.DRAINING), (V2, RevisionState.SERVING))
    assert old in stage.engine.loaded, "requests still use it"

    stage.engine.busy[old].set()
    await stage.until((V2, RevisionState.SERVING))
    assert stage.engine.log == [
        f"load x@{V1.revision}", f"publish x@{V1.revision}",
        f"load x@{V2.revision}", f"publish x@{V2.revision}", f"remove x@{V1.revision}",
    ]  # fmt: skip


async def test_going_back_to_a_revision_that_still_drains_loads_it_under_a_new_engine_name(stage: Stage) -> None:
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.SERVING))
    first = stage.engine.published["x"].engine_name
    stage.engine.busy[first] = asyncio.Event()
    stage.want(serve=V2)
    await stage.until((V1, RevisionState.DRAINING), (V2, RevisionState.SERVING))

    stage.want(serve=V1)
    await stage.until((V1, RevisionState.DRAINING), (V1, RevisionState.SERVING))
    assert stage.engine.published["x"].engine_name != first
    stage.engine.busy[first].set()
    await stage.until((V1, RevisionState.SERVING))


async def test_a_refused_update_leaves_the_old_revision_serving_and_says_why(stage: Stage) -> None:
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.SERVING))
    refusal = Refusal(
        condition=AdapterCondition.COMPATIBLE, reason=Reason.SHAPE_MISMATCH, message="tensor q_proj", retryable=False
    )
    stage.maker.refusals[V2.revision] = refusal
    stage.want(serve=V2)
    report = await stage.until((V1, RevisionState.SERVING), (V2, RevisionState.FAILED))
    failed = report.report(V2.revision)
    assert failed is not None
    assert (failed.reason, failed.message) == (Reason.SHAPE_MISMATCH, "tensor q_proj")
    assert stage.loop.settled(), "a starting pod does not wait for what will never load"


async def test_a_failure_that_may_pass_is_tried_again_later(stage: Stage) -> None:
    stage.maker.refusals[V1.revision] = Refusal(
        condition=AdapterCondition.FETCHED, reason=Reason.SOURCE_UNREACHABLE, message="hub", retryable=True
    )
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.FAILED))
    assert not stage.loop.settled()
    del stage.maker.refusals[V1.revision]
    stage.now += 60
    stage.want(serve=V1, prepare=V2)
    await stage.until((V1, RevisionState.SERVING), (V2, RevisionState.PREPARED))
    assert stage.loop.settled()


@pytest.mark.parametrize(
    ("words", "reason"), [("no such layer", Reason.LOAD_FAILED), ("CUDA out of memory", Reason.OUT_OF_MEMORY)]
)
async def test_what_the_engine_refuses_is_reported_with_its_words(words: str, reason: Reason) -> None:
    stage = Stage(engine=FakeEngine(refuses=lambda path: words if path.name == V1.revision else None))
    stage.want(serve=V1)
    report = await stage.until((V1, RevisionState.FAILED))
    assert words in report.revisions[0].message
    assert report.revisions[0].reason is reason
    await stage.end()


async def test_a_fetch_that_is_not_wanted_any_more_is_given_up(stage: Stage) -> None:
    stage.maker.held_back[V1.revision] = asyncio.Event()
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.FETCHING))
    stage.want(serve=V2)
    await stage.until((V2, RevisionState.SERVING))
    assert stage.maker.cancelled == [V1.revision]


async def test_a_load_that_has_begun_is_never_interrupted(stage: Stage) -> None:
    stage.engine.gate.clear()
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.LOADING))
    stage.want(serve=V2)
    for _ in range(20):  # let the loop see it, while the engine is still loading
        await asyncio.sleep(0)
    stage.engine.gate.set()
    await stage.until((V2, RevisionState.SERVING))
    assert set(stage.engine.loaded) == {stage.engine.published["x"].engine_name}, "the superseded one is removed"
    assert stage.engine.log[0] == f"load x@{V1.revision}"


async def test_a_name_that_is_let_go_is_withdrawn_first_and_then_removed(stage: Stage) -> None:
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.SERVING))
    stage.loop.want(None)
    assert stage.task is not None
    await asyncio.wait_for(stage.task, 5)
    assert stage.engine.log[-2:] == ["withdraw x", f"remove x@{V1.revision}"]
    assert stage.engine.loaded == {}


async def test_a_re_created_object_is_not_served_with_the_weights_of_the_one_before(stage: Stage) -> None:
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.SERVING))
    stage.want(serve=V2, uid="u2")
    await stage.until((V2, RevisionState.SERVING))
    assert stage.engine.log[2:4] == ["withdraw x", f"load x@{V2.revision}"] or stage.engine.log[2:5] == [
        "withdraw x", f"remove x@{V1.revision}", f"load x@{V2.revision}"
    ]  # fmt: skip


async def test_an_object_re_created_while_its_name_is_flipped_does_not_keep_the_weights_of_the_one_before(
    stage: Stage,
) -> None:
    stage.engine.publishing.clear()
    stage.want(serve=V1)
    await asyncio.wait_for(stage.engine.asked_to_publish.wait(), 5)
    stage.want(serve=V1, uid="u2")
    stage.engine.publishing.set()
    await stage.until((V1, RevisionState.SERVING))
    while stage.engine.log.count(f"publish x@{V1.revision}") < 2:
        await asyncio.wait_for(stage.changes.wait(), 5)
        stage.changes.clear()
    assert "withdraw x" in stage.engine.log


async def test_the_same_bytes_from_another_place_are_tried_at_once_after_the_first_place_failed(stage: Stage) -> None:
    stage.maker.refusals[V1.revision] = Refusal(
        condition=AdapterCondition.FETCHED, reason=Reason.UNAUTHORIZED, message="no token", retryable=False
    )
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.FAILED))
    del stage.maker.refusals[V1.revision]
    elsewhere = AdapterSource(volume=VolumeSource(name="shared", path="b"))
    moved = V1.model_copy(update={"parts": (V1.parts[0].model_copy(update={"source": elsewhere}),)})
    stage.want(serve=moved)
    await stage.until((V1, RevisionState.SERVING))


async def test_what_nobody_foresaw_in_one_adapter_is_its_failure_and_not_the_pod_s(stage: Stage) -> None:
    stage.maker.breaks[V1.revision] = RuntimeError("out of memory")
    stage.want(serve=V1)
    report = await stage.until((V1, RevisionState.FAILED))
    assert "out of memory" in report.revisions[0].message
    assert stage.task is not None
    assert not stage.task.done()


async def test_an_adapter_that_the_engine_does_not_remove_is_removed_later(stage: Stage) -> None:
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.SERVING))
    stage.engine.refuses_to_remove = 1
    stage.want(serve=V2)
    await stage.until((V2, RevisionState.SERVING))
    assert set(stage.engine.loaded) == {stage.engine.published["x"].engine_name}


async def test_what_was_replaced_is_not_taken_out_beside_the_first_answers_of_its_successor(stage: Stage) -> None:
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.SERVING))
    stage.want(serve=V2)
    await stage.until((V1, RevisionState.DRAINING), (V2, RevisionState.SERVING))
    switched = time.monotonic()
    await stage.until((V2, RevisionState.SERVING))
    assert time.monotonic() - switched > 0.1


async def test_an_observer_is_told_how_long_each_stage_of_a_swap_took(stage: Stage) -> None:
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.SERVING))
    stage.engine.busy[stage.engine.published["x"].engine_name] = busy = asyncio.Event()
    stage.want(serve=V2)
    await stage.until((V1, RevisionState.DRAINING), (V2, RevisionState.SERVING))
    stage.now += 7
    busy.set()
    await stage.until((V2, RevisionState.SERVING))
    swap = [(observer.Stage.PREPARE, 0.0), (observer.Stage.FLIP, 0.0)]
    assert stage.told.stages == [*swap, *swap, (observer.Stage.DRAIN, 7.0)]


async def test_the_wait_for_an_engine_that_starts_is_no_part_of_a_preparation(stage: Stage) -> None:
    stage.turn.engine = asyncio.get_running_loop().create_future()
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.LOADING))
    stage.now += 300
    stage.turn.engine.set_result(stage.engine)
    await stage.until((V1, RevisionState.SERVING))
    assert stage.told.stages[0] == (observer.Stage.PREPARE, 0.0)


async def test_nor_is_what_the_workshop_waited_for_it(stage: Stage) -> None:
    stage.maker.waits_seconds, stage.maker.held_back[V1.revision] = 60, asyncio.Event()
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.FETCHING))
    stage.now += 63
    stage.maker.held_back[V1.revision].set()
    await stage.until((V1, RevisionState.SERVING))
    assert stage.told.stages[0] == (observer.Stage.PREPARE, 3.0)


async def test_an_observer_is_told_why_a_preparation_failed(stage: Stage) -> None:
    stage.maker.breaks[V1.revision] = RuntimeError("out of memory")
    stage.want(serve=V1)
    await stage.until((V1, RevisionState.FAILED))
    assert stage.told.failures == [Reason.LOAD_FAILED]
    assert stage.told.stages == []


async def test_a_revision_says_what_it_takes_once_the_engine_has_it(stage: Stage) -> None:
    stage.engine.gate.clear()
    stage.want(serve=V1)
    assert (await stage.until((V1, RevisionState.LOADING))).revisions[0].host_bytes is None
    stage.engine.gate.set()
    report = (await stage.until((V1, RevisionState.SERVING))).revisions[0]
    assert (report.size_bytes, report.host_bytes) == (100, stage.engine.host_bytes(20))
