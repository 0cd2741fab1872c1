"""What pods say reaches the queue: inventories by long poll, and answers about sources."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace

from lora_api.runtime_api import (
    AdapterReport,
    Desired,
    Inventory,
    ResolveRequest,
    ResolveResponse,
    ResolveState,
    RevisionState,
)
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import HuggingFaceSource
from lora_operator.clients.clock import SystemClock
from lora_operator.clients.runtime_admin import PodAddress, RuntimeAdmin
from lora_operator.domain.actions import ResolveSource
from lora_operator.domain.observed import ModelKey, Unreachable
from lora_operator.reconcile.inventories import Inventories
from lora_operator.reconcile.queue import Backoff
from lora_operator.reconcile.resolutions import Resolutions
from support.builders import a_report, some_facts, unreachable

KEY = ModelKey("team", "smol")
POD = PodAddress("pod-0", "10.0.0.1", "smol.team.runtime.lora-operator.io", 8001)
AT_ONCE = Backoff(first_seconds=0, longest_seconds=0, jitter=lambda: 1.0)
NEVER = Backoff(first_seconds=3600, longest_seconds=3600, jitter=lambda: 1.0)


class Pod(RuntimeAdmin):
    """The way to a pod that answers when the test lets it, with what the test says."""

    def __init__(self) -> None:
        self.says: asyncio.Queue[Inventory | Unreachable] = asyncio.Queue()
        self.answers: asyncio.Queue[ResolveResponse | Unreachable] = asyncio.Queue()
        self.polls: list[str | None] = []
        self.questions: list[ResolveRequest] = []
        self.forgotten: list[PodAddress] = []

    async def forget(self, pod: PodAddress) -> None:
        self.forgotten.append(pod)

    async def inventory(self, pod: PodAddress, after: str | None, wait_seconds: float) -> Inventory | Unreachable:
        self.polls.append(after)
        return await self.says.get()

    async def resolve(
        self, pod: PodAddress, request: ResolveRequest, wait_seconds: float
    ) -> ResolveResponse | Unreachable:
        self.questions.append(request)
        return await self.answers.get()


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
        async with asyncio.timeout(10):
            while not true():
                self.rung.clear()
                await self.rung.wait()


@contextlib.asynccontextmanager
async def watching(pod: Pod, rings: Rings, backoff: Backoff = AT_ONCE) -> AsyncIterator[Inventories]:
    async with asyncio.TaskGroup() as group:
        inventories = Inventories(pod, backoff, group.create_task, rings, lambda key: None)
        inventories.watch(KEY, [POD])
        yield inventories
        inventories.close()


@contextlib.asynccontextmanager
async def asking(pod: Pod, rings: Rings) -> AsyncIterator[Resolutions]:
    async with asyncio.TaskGroup() as group:
        resolutions = Resolutions(pod, SystemClock(), group.create_task, rings)
        yield resolutions
        resolutions.close()


def version(number: int, boot_id: str = "boot-1") -> Inventory:
    return Inventory(boot_id=boot_id, etag=f"{boot_id}-{number}", version=number)


async def test_a_pod_is_unreachable_until_it_answers_and_rings_when_it_does() -> None:
    pod, rings = Pod(), Rings()
    async with watching(pod, rings) as inventories:
        assert isinstance(inventories.answer(KEY, POD), Unreachable)
        assert rings.count == 0
        pod.says.put_nowait(version(1))
        await rings.until(lambda: inventories.answer(KEY, POD) == version(1))
        assert rings.count == 1


async def test_a_pod_whose_first_answer_is_that_it_is_away_rings() -> None:
    pod, rings = Pod(), Rings()
    async with watching(pod, rings) as inventories:
        assert inventories.answer(KEY, POD) == Unreachable("the pod has not been asked yet", asked=False)
        pod.says.put_nowait(unreachable())
        await rings.until(lambda: inventories.answer(KEY, POD) == unreachable())
        assert rings.count == 1


async def test_each_poll_asks_for_what_comes_after_the_last_answer() -> None:
    pod, rings = Pod(), Rings()
    async with watching(pod, rings) as inventories:
        for number in (1, 2):
            pod.says.put_nowait(version(number))
        await rings.until(lambda: inventories.answer(KEY, POD) == version(2))
        assert pod.polls[:2] == [None, "boot-1-1"]


async def test_a_pod_that_fails_becomes_unreachable_rings_once_and_is_so_since_then() -> None:
    pod, rings = Pod(), Rings()
    first, second = unreachable("the disk is gone"), unreachable("connection refused")
    async with watching(pod, rings) as inventories:
        pod.says.put_nowait(version(1))
        pod.says.put_nowait(first)
        await rings.until(lambda: inventories.answer(KEY, POD) == first)
        rung = rings.count
        pod.says.put_nowait(second)
        pod.says.put_nowait(version(2))
        await rings.until(lambda: inventories.answer(KEY, POD) == version(2))
        assert rings.count == rung + 1


async def test_a_poll_that_was_overtaken_by_the_answer_to_a_push_changes_nothing() -> None:
    pod, rings = Pod(), Rings()
    async with watching(pod, rings) as inventories:
        inventories.learn(KEY, POD, version(3))
        rung = rings.count
        inventories.learn(KEY, POD, version(2))
        assert inventories.answer(KEY, POD) == version(3)
        assert rings.count == rung


async def test_what_two_pods_say_alike_or_one_says_again_is_one_object() -> None:
    pod, rings, other = Pod(), Rings(), replace(POD, name="pod-1", ip="10.0.0.2")
    async with watching(pod, rings) as inventories:
        inventories.watch(KEY, [POD, other])
        inventories.learn(KEY, POD, says(1, "a", "b"))
        inventories.learn(KEY, other, says(1, "a"))
        first, second = heard(inventories, POD), heard(inventories, other)
        assert second["a"] is first["a"]
        inventories.learn(KEY, POD, says(2, "a"))
        assert heard(inventories, POD) == {"a": first["a"]}
        assert heard(inventories, POD)["a"] is first["a"]


def says(number: int, *names: str) -> Inventory:
    reports = tuple(a_report(name, aaaaaaaa=RevisionState.SERVING) for name in names)
    return version(number).model_copy(update={"adapters": reports})


def heard(inventories: Inventories, pod: PodAddress) -> Mapping[str, AdapterReport]:
    answer = inventories.answer(KEY, pod)
    assert isinstance(answer, Inventory)
    return answer.by_name


async def test_a_document_that_a_pod_calls_otherwise_is_called_as_here_and_no_other_is() -> None:
    pod, rings = Pod(), Rings()
    told = Desired(sequence=4)
    taken = version(1).model_copy(update={"desired_sequence": 4, "desired_etag": "its own"})
    async with watching(pod, rings) as inventories:
        inventories.told(KEY, POD, told, taken)
        said = inventories.answer(KEY, POD)
        assert said == taken.model_copy(update={"desired_etag": told.etag})
        later = version(2).model_copy(update={"desired_sequence": 5, "desired_etag": "another"})
        inventories.learn(KEY, POD, later)
        assert inventories.answer(KEY, POD) == later


async def test_while_a_pod_is_told_a_document_news_of_that_one_by_another_name_wait_for_its_answer() -> None:
    pod, rings = Pod(), Rings()
    told = Desired(sequence=4)
    taken = version(1).model_copy(update={"desired_sequence": 4, "desired_etag": "its own"})
    later = version(2).model_copy(update={"desired_sequence": 4, "desired_etag": "its own"})
    async with watching(pod, rings) as inventories:
        pod.says.put_nowait(version(0))
        await rings.until(lambda: inventories.answer(KEY, POD) == version(0))
        with inventories.telling(KEY, POD, told):
            pod.says.put_nowait(later)
            for _ in range(100):
                await asyncio.sleep(0)
            assert (inventories.answer(KEY, POD), rings.count) == (version(0), 1)
            inventories.told(KEY, POD, told, taken)
        await rings.until(lambda: inventories.answer(KEY, POD) == later.model_copy(update={"desired_etag": told.etag}))


async def test_news_by_another_name_count_once_a_push_that_was_not_answered_has_ended() -> None:
    pod, rings = Pod(), Rings()
    foreign = version(1).model_copy(update={"desired_sequence": 4, "desired_etag": "another"})
    async with watching(pod, rings) as inventories:
        with inventories.telling(KEY, POD, Desired(sequence=4)):
            pod.says.put_nowait(foreign)
            for _ in range(100):
                await asyncio.sleep(0)
            assert isinstance(inventories.answer(KEY, POD), Unreachable)
        await rings.until(lambda: inventories.answer(KEY, POD) == foreign)


async def test_what_has_changed_is_added_to_what_is_known() -> None:
    pod, rings = Pod(), Rings()
    async with watching(pod, rings) as inventories:
        inventories.learn(KEY, POD, version(3).model_copy(update={"adapters": (a_report("a"), a_report("b"))}))
        inventories.learn(KEY, POD, version(4).model_copy(update={"since": 3, "gone": ("a",)}))
        assert inventories.answer(KEY, POD) == version(4).model_copy(update={"adapters": (a_report("b"),)})


async def test_what_has_changed_since_something_that_is_not_known_is_asked_for_in_full() -> None:
    pod, rings = Pod(), Rings()
    async with watching(pod, rings) as inventories:
        inventories.learn(KEY, POD, version(4).model_copy(update={"since": 3}))
        assert isinstance(inventories.answer(KEY, POD), Unreachable)
        inventories.learn(KEY, POD, version(4))
        inventories.learn(KEY, POD, version(9).model_copy(update={"since": 7}))
        assert inventories.answer(KEY, POD) == version(4)
        assert rings.count == 1


async def test_a_pod_that_started_anew_counts_from_the_beginning() -> None:
    pod, rings = Pod(), Rings()
    async with watching(pod, rings) as inventories:
        inventories.learn(KEY, POD, version(3))
        inventories.learn(KEY, POD, version(1, boot_id="boot-2"))
        assert inventories.answer(KEY, POD) == version(1, boot_id="boot-2")


async def test_a_pod_that_answers_at_once_although_nothing_changed_is_left_alone_for_a_while() -> None:
    pod, rings = Pod(), Rings()
    async with watching(pod, rings, NEVER):
        for _ in range(5):
            pod.says.put_nowait(version(1))
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(pod.polls) == 2


async def test_a_pod_with_news_without_an_end_is_asked_slowly_after_a_burst() -> None:
    pod, rings = Pod(), Rings()
    async with watching(pod, rings):
        for number in range(1000):
            pod.says.put_nowait(version(number))
        await rings.until(lambda: rings.count >= 50)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert len(pod.polls) < 60


async def test_news_of_a_pod_that_is_no_longer_watched_are_dropped() -> None:
    pod, rings = Pod(), Rings()
    async with watching(pod, rings) as inventories:
        inventories.watch(KEY, ())
        inventories.learn(KEY, POD, version(1))
    assert rings.count == 0


async def test_the_connections_to_a_pod_that_is_no_longer_watched_are_closed() -> None:
    pod, rings = Pod(), Rings()
    async with watching(pod, rings) as inventories:
        pod.says.put_nowait(version(1))
        await rings.until(lambda: inventories.answer(KEY, POD) == version(1))
        assert pod.forgotten == []
        inventories.watch(KEY, ())
    assert pod.forgotten == [POD]


def a_question(repo: str = "team/pirate", attempt: int = 1) -> ResolveSource:
    source = AdapterSource(hugging_face=HuggingFaceSource(repo=repo))
    return ResolveSource(
        "uid", f"hash of {repo}", POD.name, POD.ip, ResolveRequest(source=source), attempt, "not pinned yet"
    )


def fetching(bytes_done: int) -> ResolveResponse:
    return ResolveResponse(state=ResolveState.FETCHING, bytes_done=bytes_done)


FOUND = ResolveResponse(state=ResolveState.RESOLVED, facts=some_facts())


async def test_a_question_is_under_way_until_its_answer_is_there() -> None:
    pod, rings = Pod(), Rings()
    async with asking(pod, rings) as resolutions:
        resolutions.ask(KEY, POD, a_question())
        assert resolutions.under_way(KEY) == {"uid": "hash of team/pirate"}
        pod.answers.put_nowait(FOUND)
        await rings.until(lambda: not resolutions.under_way(KEY))
        resolution = resolutions.answers(KEY)["uid"]
    assert (resolution.source_hash, resolution.retry_at) == ("hash of team/pirate", None)
    assert resolution.answer == FOUND


async def test_a_pod_that_is_still_fetching_is_asked_on_and_its_progress_is_told() -> None:
    pod, rings = Pod(), Rings()
    async with asking(pod, rings) as resolutions:
        resolutions.ask(KEY, POD, a_question())
        pod.answers.put_nowait(fetching(100))
        await rings.until(lambda: "uid" in resolutions.answers(KEY))
        assert resolutions.answers(KEY)["uid"].answer == fetching(100)
        pod.answers.put_nowait(FOUND)
        await rings.until(lambda: not resolutions.under_way(KEY))
    assert len(pod.questions) == 2


async def test_a_corrected_source_ends_the_question_about_the_wrong_one_and_forgets_its_progress() -> None:
    pod, rings = Pod(), Rings()
    async with asking(pod, rings) as resolutions:
        resolutions.ask(KEY, POD, a_question("team/wrong"))
        pod.answers.put_nowait(fetching(100))
        await rings.until(lambda: "uid" in resolutions.answers(KEY))
        resolutions.ask(KEY, POD, a_question("team/right"))
        assert resolutions.answers(KEY) == {}
        pod.answers.put_nowait(FOUND)
        await rings.until(lambda: not resolutions.under_way(KEY))
        assert resolutions.answers(KEY)["uid"].source_hash == "hash of team/right"


async def test_a_pod_is_asked_a_bounded_number_of_questions_at_once() -> None:
    pod, rings = Pod(), Rings()
    async with asking(pod, rings) as resolutions:
        for number in range(40):
            resolutions.ask(KEY, POD, replace(a_question(), adapter_uid=str(number)))
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(pod.questions) == 32
        for _ in range(40):
            pod.answers.put_nowait(FOUND)
        await rings.until(lambda: not resolutions.under_way(KEY))
        assert len(pod.questions) == 40


async def test_a_pod_that_went_away_is_an_answer_with_a_time_to_ask_again() -> None:
    pod, rings = Pod(), Rings()
    async with asking(pod, rings) as resolutions:
        resolutions.ask(KEY, POD, a_question(attempt=2))
        pod.answers.put_nowait(unreachable())
        await rings.until(lambda: not resolutions.under_way(KEY))
        resolution = resolutions.answers(KEY)["uid"]
    assert isinstance(resolution.answer, Unreachable)
    assert resolution.attempts == 2
    assert resolution.retry_at is not None


async def test_what_is_known_of_a_deleted_adapter_is_forgotten() -> None:
    pod, rings = Pod(), Rings()
    async with asking(pod, rings) as resolutions:
        resolutions.ask(KEY, POD, a_question())
        pod.answers.put_nowait(FOUND)
        await rings.until(lambda: not resolutions.under_way(KEY))
        resolutions.keep(KEY, set())
        assert resolutions.answers(KEY) == {}
