"""Questions about sources: worked on once, answered once, and dropped when nobody repeats them."""

from __future__ import annotations

import asyncio
import errno

import pytest

from lora_api.runtime_api import AdapterFacts, ResolveRequest, ResolveState
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import VolumeSource
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_runtime.resolutions import Resolutions
from lora_runtime.workshop import Progress

QUESTION = ResolveRequest(source=AdapterSource(volume=VolumeSource(name="shared", path="a")))
FACTS = AdapterFacts(source=QUESTION.source, digest="sha256:" + "a" * 64, rank=8, size_bytes=1)
DEADLINE_SECONDS = 5


class SlowHub:
    """Answers when its gate opens."""

    def __init__(self) -> None:
        self.asked = 0
        self.gate, self.given_up = asyncio.Event(), asyncio.Event()

    async def resolve(self, request: ResolveRequest, progress: Progress) -> AdapterFacts:
        self.asked += 1
        progress.done, progress.total = 25, 100
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.given_up.set()
            raise
        return FACTS


@pytest.fixture
async def hub() -> SlowHub:
    return SlowHub()


async def test_who_asks_again_in_time_gets_the_answer_to_the_first_question(hub: SlowHub) -> None:
    resolutions = Resolutions(hub)
    first = await resolutions.answer(QUESTION, 0.01)
    assert (first.state, first.bytes_done, first.bytes_total) == (ResolveState.FETCHING, 25, 100)
    hub.gate.set()
    assert (await resolutions.answer(QUESTION, DEADLINE_SECONDS)).facts == FACTS
    assert hub.asked == 1
    assert list(resolutions.digests) == [FACTS.digest]


async def test_a_question_that_nobody_repeats_is_dropped_with_its_download(hub: SlowHub) -> None:
    resolutions = Resolutions(hub, unasked_seconds=0.01)
    await resolutions.answer(QUESTION, 0)
    await asyncio.wait_for(hub.given_up.wait(), DEADLINE_SECONDS)


async def test_a_question_that_somebody_waits_on_is_not_dropped(hub: SlowHub) -> None:
    resolutions = Resolutions(hub, unasked_seconds=0.01)
    waiting = asyncio.create_task(resolutions.answer(QUESTION, DEADLINE_SECONDS))
    await resolutions.answer(QUESTION, 0)
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    assert not hub.given_up.is_set()
    hub.gate.set()
    assert (await waiting).facts == FACTS


async def test_an_answer_that_nobody_came_for_is_not_given_to_a_later_question(hub: SlowHub) -> None:
    resolutions = Resolutions(hub, unasked_seconds=0.01)
    await resolutions.answer(QUESTION, 0)
    hub.gate.set()
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, later.set)  # after its time is over
    await later.wait()
    assert (await resolutions.answer(QUESTION, DEADLINE_SECONDS)).facts == FACTS
    assert hub.asked == 2, "the branch may have moved meanwhile"


class FailingHub:
    """Raises what nobody foresaw."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def resolve(self, request: ResolveRequest, progress: Progress) -> AdapterFacts:
        raise self._error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "OSError: [Errno 24] Too many open files"),
        (MemoryError("x" * 5000), "MemoryError: xxx"),
        (RuntimeError("can't start new thread"), "RuntimeError: can't start new thread"),
    ],
    ids=["files", "memory", "threads"],
)
async def test_a_pod_that_lacks_something_condemns_no_adapter(error: Exception, told: str) -> None:
    refusal = (await Resolutions(FailingHub(error)).answer(QUESTION, DEADLINE_SECONDS)).refusal
    assert refusal is not None
    assert (refusal.condition, refusal.reason) == (AdapterCondition.FETCHED, Reason.SOURCE_UNREACHABLE)
    assert refusal.retryable
    assert f"the pod had trouble of its own while it fetched or checked it ({told}" in refusal.message
    assert "it is tried again" in refusal.message


async def test_an_adapter_that_nobody_foresaw_is_not_asked_about_for_ever() -> None:
    refusal = (await Resolutions(FailingHub(KeyError("r"))).answer(QUESTION, DEADLINE_SECONDS)).refusal
    assert refusal is not None
    assert (refusal.reason, refusal.retryable) == (Reason.MALFORMED_ADAPTER, False)
    assert refusal.message == "the pod could not check it: KeyError: 'r'"
