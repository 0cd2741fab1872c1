"""The rules of the keyed queue."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from lora_operator.reconcile.queue import Backoff, KeyedQueue, TryAgain

SOON = Backoff(first_seconds=0.01, longest_seconds=0.05, jitter=lambda: 1.0)


@contextlib.asynccontextmanager
async def running(
    queue: KeyedQueue[str], work: Callable[[str], Awaitable[float | None]], workers: int = 2
) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run(work, workers))
    try:
        async with asyncio.timeout(10):
            yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Work:
    """Records its keys; each call waits until it is let go."""

    def __init__(self) -> None:
        self.started: asyncio.Queue[str] = asyncio.Queue()
        self.go = asyncio.Semaphore(0)
        self.calls: list[str] = []
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, key: str) -> float | None:
        self.calls.append(key)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.started.put_nowait(key)
        await self.go.acquire()
        self.at_once -= 1
        return None


async def test_a_burst_of_rings_while_a_key_is_worked_on_is_one_more_pass() -> None:
    queue, work = KeyedQueue[str](SOON), Work()
    async with running(queue, work):
        queue.ring("a")
        await work.started.get()
        for _ in range(20):
            queue.ring("a")
        work.go.release()
        await work.started.get()
        work.go.release()
        await idle(queue)
    assert work.calls == ["a", "a"]


async def test_two_workers_never_have_one_key() -> None:
    queue, work = KeyedQueue[str](SOON), Work()
    async with running(queue, work, workers=4):
        for _ in range(3):
            queue.ring("a")
            await work.started.get()
            queue.ring("a")
            work.go.release()
            await work.started.get()
            work.go.release()
            await idle(queue)
    assert work.most_at_once == 1


async def test_a_slow_key_does_not_hold_up_another() -> None:
    queue, work = KeyedQueue[str](SOON), Work()
    async with running(queue, work):
        queue.ring("slow")
        queue.ring("other")
        assert {await work.started.get(), await work.started.get()} == {"slow", "other"}


async def test_a_failing_key_is_retried_and_holds_no_worker_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    queue = KeyedQueue[str](SOON)
    calls: list[str] = []
    done = asyncio.Event()

    async def work(key: str) -> float | None:
        calls.append(key)
        if calls.count("bad") >= 4:
            done.set()
        if key == "bad" and not done.is_set():
            raise TryAgain("the API server is away")
        return None

    async with running(queue, work, workers=1):
        queue.ring("bad")
        queue.ring("good")
        await done.wait()
    assert calls[:2] == ["bad", "good"]
    assert calls.count("bad") == 4
    assert "the API server is away" in caplog.text


@pytest.mark.parametrize("when", ["while it is worked on", "while it waits"])
async def test_a_key_that_fails_and_rings_all_the_time_is_retried_within_a_second_and_not_at_once(when: str) -> None:
    queue = KeyedQueue[str](Backoff(first_seconds=3600, longest_seconds=3600, jitter=lambda: 1.0))
    at: list[float] = []
    twice = asyncio.Event()

    async def work(key: str) -> float | None:
        at.append(asyncio.get_running_loop().time())
        if len(at) == 2:
            twice.set()
        if when == "while it is worked on":
            queue.ring(key)
        await asyncio.sleep(0)
        raise TryAgain("the API server refuses the Deployment")

    async with running(queue, work):
        queue.ring("bad")
        if when == "while it waits":
            await idle(queue)
            for _ in range(20):
                queue.ring("bad")
        await twice.wait()
    assert at[1] - at[0] == pytest.approx(1.0, abs=0.5)


async def test_a_ring_does_not_put_off_a_retry_that_is_due_sooner() -> None:
    queue = KeyedQueue[str](SOON)
    calls: list[float] = []
    often = asyncio.Event()

    async def work(key: str) -> float | None:
        calls.append(asyncio.get_running_loop().time())
        if len(calls) == 5:
            often.set()
        queue.ring(key)
        await asyncio.sleep(0)
        raise TryAgain("a pod was not told")

    async with running(queue, work):
        queue.ring("bad")
        await often.wait()
    assert calls[-1] - calls[0] < 1.0


async def test_a_key_that_is_well_again_is_worked_on_at_once_when_it_rings() -> None:
    queue = KeyedQueue[str](SOON)
    outcomes: asyncio.Queue[str] = asyncio.Queue()
    failures = iter([True])

    async def work(key: str) -> float | None:
        failed = next(failures, False)
        outcomes.put_nowait("failed" if failed else "done")
        if failed:
            raise TryAgain("once")
        return None

    async with running(queue, work):
        queue.ring("a")
        assert [await outcomes.get(), await outcomes.get()] == ["failed", "done"]
        await idle(queue)
        asked = asyncio.get_running_loop().time()
        queue.ring("a")
        await outcomes.get()
        assert asyncio.get_running_loop().time() - asked < 0.5


async def test_a_bug_in_one_pass_leaves_the_worker_alive(caplog: pytest.LogCaptureFixture) -> None:
    queue = KeyedQueue[str](SOON)
    worked = asyncio.Event()

    async def work(key: str) -> float | None:
        if key == "bug":
            raise KeyError("no such thing")
        worked.set()
        return None

    async with running(queue, work, workers=1):
        queue.ring("bug")
        queue.ring("fine")
        await worked.wait()
    assert "KeyError: 'no such thing'" in caplog.text


async def test_the_answer_of_a_pass_is_when_to_come_back() -> None:
    queue = KeyedQueue[str](SOON)
    answers = iter([0.01, 0.01, None])
    calls: list[str] = []
    last = asyncio.Event()

    async def work(key: str) -> float | None:
        calls.append(key)
        if len(calls) == 3:
            last.set()
        return next(answers)

    async with running(queue, work):
        queue.ring("a")
        await last.wait()
    assert calls == ["a"] * 3


async def test_a_ring_brings_a_delayed_key_forward() -> None:
    queue, work = KeyedQueue[str](SOON), Work()
    async with running(queue, work):
        queue.ring_in("a", 3600)
        queue.ring("a")
        assert await work.started.get() == "a"


async def test_of_two_delays_the_shorter_counts() -> None:
    queue, work = KeyedQueue[str](SOON), Work()
    async with running(queue, work):
        queue.ring_in("a", 0.01)
        queue.ring_in("a", 3600)
        queue.ring_in("b", 3600)
        queue.ring_in("b", 0.01)
        assert {await work.started.get(), await work.started.get()} == {"a", "b"}


async def test_the_oldest_wait_counts_unfinished_work_and_not_delays() -> None:
    queue, work = KeyedQueue[str](SOON), Work()
    async with running(queue, work):
        queue.ring_in("later", 3600)
        assert queue.oldest_wait_seconds == 0.0
        queue.ring("now")
        await work.started.get()
        assert queue.oldest_wait_seconds > 0.0
        work.go.release()
        await idle(queue)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.5), (2, 1.0), (5, 8.0), (8, 60.0), (10_000, 60.0)])
def test_backoff_doubles_up_to_its_limit(failures: int, seconds: float) -> None:
    assert Backoff(0.5, 60, jitter=lambda: 1.0).seconds(failures) == seconds


async def idle(queue: KeyedQueue[str]) -> None:
    """Until nothing waits or is worked on."""
    while queue.oldest_wait_seconds > 0:  # noqa: ASYNC110  # the queue has no bell for its end
        await asyncio.sleep(0)


async def test_keys_that_no_worker_has_taken_yet_are_waiting() -> None:
    queue, work = KeyedQueue[str](SOON), Work()
    async with running(queue, work, workers=1):
        for key in ("a", "b", "c"):
            queue.ring(key)
        assert await work.started.get() == "a"
        assert queue.waiting == 2
