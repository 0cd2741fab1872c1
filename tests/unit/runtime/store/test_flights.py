"""Work that several want is done once, and ends with the last of them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from lora_runtime.store.flights import Flights, to_the_end
from lora_runtime.store.progress import Progress
from lora_runtime.store.threads import in_thread

DEADLINE_SECONDS = 5


class Job:
    """Something to fly: begins, waits for its gate, and notices its end."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.began, self.gate, self.may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.may_end.set()
        self.over = asyncio.Event()

    async def run(self, tell: Progress) -> int:
        self.begun += 1
        self.began.set()
        tell(self.begun, 9)
        try:
            await self.gate.wait()
            return self.begun
        finally:
            await self.may_end.wait()
            self.ended += 1
            self.over.set()


@pytest.fixture
async def job() -> Job:
    return Job()


async def gone(task: asyncio.Task[int]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, DEADLINE_SECONDS)


async def test_the_work_goes_on_while_one_caller_stays(job: Job) -> None:
    flights: Flights[int] = Flights()
    leaving, staying = (asyncio.create_task(flights.join("k", job.run)) for _ in range(2))
    await job.began.wait()
    await gone(leaving)
    job.gate.set()
    assert await staying == 1
    assert job.ended == 1


async def test_the_last_caller_that_leaves_ends_the_work(job: Job) -> None:
    flights: Flights[int] = Flights()
    callers = [asyncio.create_task(flights.join("k", job.run)) for _ in range(2)]
    await job.began.wait()
    for caller in callers:
        await gone(caller)
    await asyncio.wait_for(job.over.wait(), DEADLINE_SECONDS)
    assert job.ended == 1


async def test_who_comes_while_the_work_is_ending_gets_work_of_his_own(job: Job) -> None:
    flights: Flights[int] = Flights()
    job.may_end.clear()
    first = asyncio.create_task(flights.join("k", job.run))
    await job.began.wait()
    await gone(first)

    late = asyncio.create_task(flights.join("k", job.run))
    await asyncio.sleep(0)
    assert job.begun == 1, "never two at once"
    job.may_end.set()
    job.gate.set()
    assert await asyncio.wait_for(late, DEADLINE_SECONDS) == 2


async def test_a_late_caller_hears_at_once_how_far_the_work_is(job: Job) -> None:
    flights: Flights[int] = Flights()
    first = asyncio.create_task(flights.join("k", job.run))
    await job.began.wait()
    heard: list[tuple[int, int | None]] = []
    second = asyncio.create_task(flights.join("k", job.run, lambda done, total: heard.append((done, total))))
    await asyncio.sleep(0)
    assert heard == [(1, 9)]
    job.gate.set()
    assert (await first, await second) == (1, 1)


async def test_a_thread_ends_at_its_next_word_once_nobody_wants_it() -> None:
    working, words = threading.Event(), 0

    def work(tell: Progress) -> None:
        nonlocal words
        working.set()
        while True:
            words += 1
            tell(words, None)

    task = asyncio.create_task(in_thread(work, lambda done, total: None))
    assert await asyncio.to_thread(working.wait, DEADLINE_SECONDS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, DEADLINE_SECONDS)
    said = words
    await asyncio.to_thread(lambda: None)
    assert words == said, "it is over when the caller is let go"


async def test_what_must_not_be_left_half_done_holds_its_caller_however_often_he_is_cancelled(job: Job) -> None:
    task = asyncio.create_task(to_the_end(job.run(lambda done, total: None)))
    await job.began.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    job.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, DEADLINE_SECONDS)
    assert job.ended == 1
