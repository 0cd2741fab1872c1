"""A pod that takes its time holds up nobody, and is told the newest document in the end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from lora_api.runtime_api import Desired, Inventory
from lora_operator.clients.runtime_admin import PodAddress, RuntimeAdmin
from lora_operator.domain.actions import PushDesired
from lora_operator.domain.observed import ModelKey, Unreachable
from lora_operator.reconcile.inventories import Inventories
from lora_operator.reconcile.pushes import Pushes
from lora_operator.reconcile.queue import Backoff
from support.builders import unreachable

KEY = ModelKey("team", "smol")
POD = PodAddress("pod-0", "10.0.0.1", "smol.team.runtime.lora-operator.io", 8001)
LONG_SECONDS = 60.0
FIRST, SECOND = Desired(sequence=1), Desired(sequence=2)


class Pod(RuntimeAdmin):
    """The way to a pod that answers when the test lets it."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Inventory | Unreachable] = asyncio.Queue()
        self.told: list[int] = []
        self.waiting = 0

    async def inventory(self, pod: PodAddress, after: str | None, wait_seconds: float) -> Inventory | Unreachable:
        """Has no news."""
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def forget(self, pod: PodAddress) -> None:
        """Nothing is kept."""

    async def put_desired(
        self, pod: PodAddress, document: Desired, since: str | None = None
    ) -> Inventory | Unreachable:
        self.told.append(document.sequence)
        self.waiting += 1
        try:
            return await self.answers.get()
        finally:
            self.waiting -= 1


@contextlib.asynccontextmanager
async def telling(pod: Pod, rings: list[ModelKey], patience_seconds: float = 0.0) -> AsyncIterator[Pushes]:
    async with asyncio.TaskGroup() as group:
        inventories = listening(pod, group, rings)
        pushes = Pushes(pod, inventories, group.create_task, rings.append, patience_seconds)
        yield pushes
        pushes.close()


def listening(pod: Pod, group: asyncio.TaskGroup, rings: list[ModelKey]) -> Inventories:
    return Inventories(pod, Backoff(1, 1, lambda: 1.0), group.create_task, rings.append, rings.append)


def push(document: Desired) -> PushDesired:
    return PushDesired(POD.name, POD.ip, document, "it is new")


async def until_rung(rings: list[ModelKey]) -> None:
    async with asyncio.timeout(10):
        while not rings:  # noqa: ASYNC110  # a list has no event
            await asyncio.sleep(0)


async def test_a_pass_waits_for_a_pod_that_answers_and_hears_that_it_was_not_told() -> None:
    pod, rings = Pod(), list[ModelKey]()
    async with telling(pod, rings, LONG_SECONDS) as pushes:
        pod.answers.put_nowait(Inventory(boot_id="b", etag="e"))
        assert await pushes.push(KEY, POD, push(FIRST)) is None
        pod.answers.put_nowait(unreachable("connection refused"))
        assert await pushes.push(KEY, POD, push(FIRST)) == "pod pod-0 was not told: connection refused"
    assert (pod.told, rings) == ([1, 1], [])


async def test_a_pass_goes_on_without_a_pod_that_hangs_which_rings_once_it_was_told() -> None:
    pod, rings = Pod(), list[ModelKey]()
    async with telling(pod, rings) as pushes:
        assert await pushes.push(KEY, POD, push(FIRST)) is None
        assert await pushes.push(KEY, POD, push(FIRST)) is None
        assert (pod.told, rings) == ([1], []), "it is on its way already"
        pod.answers.put_nowait(Inventory(boot_id="b", etag="e"))
        await until_rung(rings)
    assert rings == [KEY]


async def test_a_newer_document_takes_the_place_of_one_that_is_on_its_way() -> None:
    pod, rings = Pod(), list[ModelKey]()
    async with telling(pod, rings) as pushes:
        await pushes.push(KEY, POD, push(FIRST))
        assert await pushes.push(KEY, POD, push(SECOND)) is None
        async with asyncio.timeout(10):
            while pod.told != [1, 2]:  # noqa: ASYNC110  # a list has no event
                await asyncio.sleep(0)
        assert pod.waiting == 1
        pod.answers.put_nowait(Inventory(boot_id="b", etag="e"))
        await until_rung(rings)


async def test_one_that_was_late_and_failed_is_tried_again_after_a_while() -> None:
    pod, rings = Pod(), list[ModelKey]()
    async with telling(pod, rings) as pushes:
        await pushes.push(KEY, POD, push(FIRST))
        pod.answers.put_nowait(unreachable("it does not answer"))
        await until_rung(rings)
        assert await pushes.push(KEY, POD, push(FIRST)) is None
        await asyncio.sleep(0)
        assert pod.told == [1, 1]


async def test_what_a_pod_does_not_understand_is_remembered_until_it_takes_a_document_and_is_no_failure() -> None:
    pod, rings = Pod(), list[ModelKey]()
    async with asyncio.TaskGroup() as group:
        inventories = listening(pod, group, rings)
        pushes = Pushes(pod, inventories, group.create_task, rings.append, LONG_SECONDS)
        inventories.watch(KEY, [POD])
        for words in ("SVD is unknown", "so is TIES"):
            pod.answers.put_nowait(Unreachable(words, refused=True))
            assert await pushes.push(KEY, POD, push(FIRST)) is None, "to try again at once would not help"
            assert (inventories.refusal(KEY, POD), rings) == (words, [KEY])
        pod.answers.put_nowait(Inventory(boot_id="b", etag="e"))
        assert await pushes.push(KEY, POD, push(SECOND)) is None
        assert inventories.refusal(KEY, POD) is None
        inventories.close()
