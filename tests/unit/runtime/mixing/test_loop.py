"""From the mixture that a document wants to the one that answers: what is told on the way, and what stays meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lora_api.mixture_api import MixtureReport, MixtureSpec, MixtureState
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import malformed, not_fetched
from lora_runtime.mixing.loop import MixtureLoop
from lora_runtime.mixing.making import Made
from lora_runtime.mixing.protocol import Busy, NotExchanged
from lora_runtime.mixture.options import Options
from lora_runtime.mixture.shapes import Shape
from lora_runtime.workshop import Progress
from support.stores import a_source

SHAPE = Shape(Options(hidden_size=8), ("layer",), 2, {("layer", 0): 4, ("layer", 1): 4})
WIDER = Shape(Options(hidden_size=8), ("layer",), 2, {("layer", 0): 8, ("layer", 1): 4})


def a_spec(revision: str, path: str | None = None) -> MixtureSpec:
    return MixtureSpec(revision=revision, source=a_source("volume", name="v", path=path or revision))


A, B = a_spec("aaaaaaaa"), a_spec("bbbbbbbb")


@dataclass
class Maker:
    """Makes what it is told to, at once."""

    latest: str | None = None
    refusals: dict[str, Exception] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    hold: dict[str, asyncio.Event] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def make(self, spec: MixtureSpec, progress: Progress, fetched: Callable[[], None]) -> Made:
        assert spec.source is not None
        assert spec.source.volume is not None
        path = spec.source.volume.path
        self.asked.append(spec.revision)
        if (held := self.hold.get(spec.revision)) is not None:
            progress.part()(7, None)
            await held.wait()
        if (refusal := self.refusals.get(spec.revision)) is not None:
            raise refusal
        fetched()
        shape = self.shapes.get(spec.revision, SHAPE)
        return Made(Path("/made") / path, spec.source, "sha256:" + "0" * 64, shape, ("0", "1"), trained=True)


@dataclass
class Engine:
    """Serves what it is given, or does not."""

    refuses: Exception | None = None
    serves: list[str] = field(default_factory=list)

    async def exchange(self, folder: Path, before: Path, drain_seconds: float) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.serves.append(folder.name)


@dataclass
class Pod:
    """The loop and all that is around it."""

    loop: MixtureLoop
    maker: Maker
    engine: Engine
    now: float = 0.0
    told: list[MixtureReport] = field(default_factory=list)

    def changed(self) -> None:
        if (report := self.loop.report()) is not None:
            self.told.append(report)

    async def until(self, holds: Callable[[MixtureReport], bool]) -> MixtureReport:
        async with asyncio.timeout(5):
            while (report := self.loop.report()) is None or not holds(report):  # noqa: ASYNC110  # as the operator polls
                await asyncio.sleep(0)
        return report

    async def serving(self, spec: MixtureSpec) -> MixtureReport:
        self.loop.want(spec)
        return await self.until(lambda report: report.serving == report.revision == spec.revision and _at_rest(report))


def _at_rest(report: MixtureReport) -> bool:
    return report.state is MixtureState.SERVING


@asynccontextmanager
async def a_pod(*, started: bool = True) -> AsyncIterator[Pod]:
    maker, pods = Maker(), list[Pod]()
    loop = MixtureLoop(maker, lambda: pods[0].changed(), clock=lambda: pods[0].now, drain_seconds=60)
    pod = Pod(loop, maker, Engine())
    pods.append(pod)
    running = asyncio.create_task(loop.run())
    try:
        if started:
            loop.want(A)
            await asyncio.wrap_future(loop.first)
            loop.attach(pod.engine)
            await pod.until(lambda report: report.serving == A.revision and report.state is MixtureState.SERVING)
        yield pod
    finally:
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled(), running.exception()


async def test_an_engine_is_started_with_the_first_that_is_sound() -> None:
    async with a_pod(started=False) as pod:
        pod.maker.refusals["bbbbbbbb"] = malformed("its classifier was lost")
        pod.loop.want(B)
        failed = await pod.until(lambda report: report.state is MixtureState.FAILED)
        assert (failed.reason, failed.message) == (Reason.MALFORMED_ADAPTER, "its classifier was lost")
        assert not pod.loop.first.done()
        pod.loop.want(A)
        assert await asyncio.wrap_future(pod.loop.first) == Path("/made/aaaaaaaa")
        loading = await pod.until(lambda report: report.state is MixtureState.LOADING)
        assert loading.serving is None
        before = pod.loop.settled
        pod.loop.attach(pod.engine)
        assert (before, pod.loop.settled) == (False, True)
        await pod.until(lambda report: report.state is MixtureState.SERVING)
        assert pod.engine.serves == [], "it was started with it"


async def test_what_is_wanted_while_the_engine_starts_takes_its_place_then() -> None:
    async with a_pod(started=False) as pod:
        pod.loop.want(A)
        await asyncio.wrap_future(pod.loop.first)
        pod.loop.want(B)
        await pod.until(lambda report: report.state is MixtureState.LOADING)
        pod.loop.attach(pod.engine)
        await pod.until(lambda report: report.serving == B.revision)
        assert pod.engine.serves == ["bbbbbbbb"]


async def test_an_engine_that_starts_is_not_started_with_another_one() -> None:
    async with a_pod(started=False) as pod:
        pod.loop.want(A)
        first = await asyncio.wrap_future(pod.loop.first)
        pod.loop.want(B)
        await pod.until(lambda report: report.layers is not None and report.revision == B.revision)
        await asyncio.sleep(0.01)  # the loop is done with it until the engine is there
        pod.loop.attach(pod.engine)
        await pod.until(lambda report: report.serving == B.revision)
        assert (first.name, pod.engine.serves) == ("aaaaaaaa", ["bbbbbbbb"])


async def test_another_mixture_of_the_same_shape_is_exchanged_and_told_step_by_step() -> None:
    async with a_pod() as pod:
        pod.told.clear()
        await pod.serving(B)
        assert [(report.state, report.serving) for report in pod.told] == [
            (MixtureState.FETCHING, A.revision),
            (MixtureState.LOADING, A.revision),
            (MixtureState.LOADING, A.revision),
            (MixtureState.DRAINING, A.revision),
            (MixtureState.SERVING, B.revision),
        ]


async def test_the_same_mixture_under_another_revision_disturbs_nobody() -> None:
    async with a_pod() as pod:
        await pod.serving(a_spec("cccccccc", path=A.revision))
        assert pod.engine.serves == []


async def test_another_shape_needs_a_restart_and_nothing_is_tried() -> None:
    async with a_pod() as pod:
        pod.maker.shapes["bbbbbbbb"] = WIDER
        pod.loop.want(B)
        told = await pod.until(lambda report: report.state is MixtureState.NEEDS_RESTART)
        assert told.serving == A.revision
        assert "expert 0 has rank 8 in layer, and the one before it 4" in told.message
        assert pod.engine.serves == []
        assert (await pod.serving(A)).state is MixtureState.SERVING


async def test_the_old_one_serves_on_while_requests_do_not_end() -> None:
    async with a_pod() as pod:
        pod.engine.refuses = Busy()
        pod.loop.want(B)
        held = await pod.until(lambda report: report.state is MixtureState.FAILED)
        assert (held.reason, held.serving) == (Reason.UPDATE_HELD, A.revision)
        assert "did not end within 60 s" in held.message
        pod.engine.refuses = None
        pod.now = 299
        pod.loop.want(B)
        await asyncio.sleep(0.01)
        assert pod.engine.serves == [], "clients that waited in vain are left in peace for a while"
        pod.now = 301
        pod.loop.want(B)
        await pod.until(lambda report: report.serving == B.revision)


async def test_the_old_one_serves_on_when_the_engine_refuses_another() -> None:
    async with a_pod() as pod:
        pod.engine.refuses = NotExchanged("no memory")
        pod.loop.want(B)
        told = await pod.until(lambda report: report.state is MixtureState.FAILED)
        assert (told.reason, told.serving) == (Reason.LOAD_FAILED, A.revision)
        assert "no memory" in told.message
        assert (await pod.serving(A)).state is MixtureState.SERVING


async def test_what_cannot_be_had_now_is_tried_again_and_what_is_broken_is_not() -> None:
    async with a_pod() as pod:
        pod.maker.refusals["bbbbbbbb"] = not_fetched(Reason.SOURCE_UNREACHABLE, "no hub", retryable=True)
        pod.loop.want(B)
        await pod.until(lambda report: report.state is MixtureState.FAILED)
        pod.maker.refusals.clear()
        pod.now = 1000
        pod.loop.want(B)  # any news; the same mixture is no new goal
        await pod.until(lambda report: report.serving == B.revision)
        pod.maker.refusals["cccccccc"] = malformed("broken")
        pod.loop.want(a_spec("cccccccc"))
        await pod.until(lambda report: report.state is MixtureState.FAILED)
        pod.now = 1_000_000
        pod.loop.want(a_spec("cccccccc"))
        await asyncio.sleep(0.01)
        assert pod.maker.asked.count("cccccccc") == 1


async def test_a_fault_of_ours_in_one_mixture_does_not_end_the_process() -> None:
    async with a_pod() as pod:
        pod.maker.refusals["bbbbbbbb"] = ZeroDivisionError("by zero")
        pod.loop.want(B)
        told = await pod.until(lambda report: report.state is MixtureState.FAILED)
        assert told.message == "unexpected ZeroDivisionError: by zero"
        assert told.serving == A.revision


async def test_a_download_that_nobody_wants_any_more_is_given_up() -> None:
    async with a_pod() as pod:
        pod.maker.hold["bbbbbbbb"] = asyncio.Event()
        pod.loop.want(B)
        fetching = await pod.until(lambda report: report.state is MixtureState.FETCHING and bool(report.bytes_done))
        assert fetching.bytes_done == 7
        await pod.serving(a_spec("cccccccc"))


async def test_files_of_what_serves_and_of_what_the_engine_was_started_with_stay() -> None:
    async with a_pod() as pod:
        await pod.serving(B)
        assert pod.loop.made == {"aaaaaaaa", "bbbbbbbb"}
        await pod.serving(a_spec("cccccccc"))
        assert pod.loop.made == {"aaaaaaaa", "cccccccc"}
        pod.maker.latest = "dddddddd"
        assert pod.loop.made == {"aaaaaaaa", "cccccccc", "dddddddd"}, "what is being made may be revealed any time"
