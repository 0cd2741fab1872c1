import asyncio
from pathlib import Path

import pytest

from lora_runtime.engine.admission import Admission
from lora_runtime.engine.host_cache import HostCache
from lora_runtime.engine.protocol import LoadedAdapter, LoadFailed
from lora_runtime.engine.tiers import Tiers


class Engine:
    """Holds what it was told to."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.loads = 0
        self.most = 0
        self.refuses: set[str] = set()
        self.keeps = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def add(self, adapter: LoadedAdapter) -> None:
        self.loads += 1
        await self.gate.wait()
        if adapter.engine_name in self.refuses:
            raise LoadFailed("bad bytes")
        self.held.append(adapter.engine_name)
        self.most = max(self.most, len(self.held))

    async def take_out(self, adapter: LoadedAdapter) -> None:
        if self.keeps:
            raise TimeoutError
        self.held.remove(adapter.engine_name)


class Host:
    """Tiers over such an engine, and a clock that is moved by hand."""

    def __init__(self, *, slots: int = 2, capacity: int = 4, sequences: int = 8) -> None:
        self.engine = Engine()
        self.now = 0.0
        self.troubles: list[tuple[str, str | None]] = []
        self.tiers = Tiers(
            Admission(slots=slots, sequences=sequences, patience_seconds=0.05),
            HostCache(capacity),
            self.engine,
            lambda: self.now,
            lambda adapter, message: self.troubles.append((adapter.engine_name, message)),
        )


def adapter(name: str) -> LoadedAdapter:
    return LoadedAdapter(name, f"{name}@1", 1, Path("/nowhere"))


async def test_what_another_revision_answers_for_goes_before_what_may_be_asked_for() -> None:
    host = Host(capacity=2)
    await host.tiers.load(adapter("asked for"))
    await host.tiers.load(adapter("overtaken"))
    host.tiers.overtaken("overtaken@1")
    await host.tiers.load(adapter("new"))
    assert host.engine.held == ["asked for@1", "new@1"]


async def test_a_cold_adapter_costs_one_load_however_many_requests_wait_for_it() -> None:
    host = Host()
    host.engine.gate.clear()
    waiting = [asyncio.create_task(host.tiers.enter("a", adapter("a"))) for _ in range(5)]
    await asyncio.sleep(0)
    host.engine.gate.set()
    await asyncio.gather(*waiting)
    assert host.engine.loads == 1


async def test_a_hot_adapter_is_not_loaded_again() -> None:
    host = Host()
    for _ in range(3):
        (await host.tiers.enter("a", adapter("a"))).release()
    assert host.engine.loads == 1


async def test_the_least_recently_used_adapter_makes_room() -> None:
    host = Host(capacity=2)
    for name in ("a", "b", "a", "c"):
        (await host.tiers.enter(name, adapter(name))).release()
    assert sorted(host.engine.held) == ["a@1", "c@1"]


async def test_the_engine_never_holds_more_than_its_capacity_and_what_is_in_use_stays() -> None:
    host = Host(capacity=2, slots=1)
    lease = await host.tiers.enter("busy", adapter("busy"))
    for name in ("a", "b", "c"):
        await host.tiers.load(adapter(name))
    assert host.engine.most == 2
    assert "busy@1" in host.engine.held
    lease.release()


async def test_a_failed_load_refuses_its_requests_tells_why_and_is_tried_again_after_a_while() -> None:
    host = Host()
    host.engine.refuses.add("a@1")
    for _ in range(3):
        with pytest.raises(LoadFailed, match="bad bytes"):
            await host.tiers.enter("a", adapter("a"))
    assert host.engine.loads == 1
    assert host.troubles == [("a@1", "bad bytes")]
    host.engine.refuses.clear()
    host.now += 3
    (await host.tiers.enter("a", adapter("a"))).release()
    assert host.troubles[1:] == [("a@1", None)]


async def test_a_failed_load_gives_its_turn_to_the_next() -> None:
    host = Host(slots=1, sequences=1)
    host.engine.refuses.add("a@1")
    with pytest.raises(LoadFailed):
        await host.tiers.enter("a", adapter("a"))
    (await asyncio.wait_for(host.tiers.enter("b", adapter("b")), 1)).release()


async def test_a_client_that_leaves_the_queue_holds_nobody_up() -> None:
    host = Host(sequences=1)
    first = await host.tiers.enter("a", adapter("a"))
    leaves = asyncio.create_task(host.tiers.enter("a", adapter("a")))
    stays = asyncio.create_task(host.tiers.enter("b", adapter("b")))
    await asyncio.sleep(0)
    leaves.cancel()
    first.release()
    (await asyncio.wait_for(stays, 1)).release()


async def test_a_busy_adapter_gives_way_to_one_that_waits_for_a_slot() -> None:
    host = Host(slots=1)
    first = await host.tiers.enter("busy", adapter("busy"))
    cold = asyncio.create_task(host.tiers.enter("cold", adapter("cold")))
    await asyncio.sleep(0)
    host.now += 1
    more = asyncio.create_task(host.tiers.enter("busy", adapter("busy")))
    await asyncio.sleep(0)
    assert not more.done()
    first.release()
    (await asyncio.wait_for(cold, 1)).release()
    (await asyncio.wait_for(more, 1)).release()


async def test_what_is_removed_is_gone_from_the_engine_and_what_was_never_in_it_costs_nothing() -> None:
    host = Host()
    await host.tiers.load(adapter("a"))
    await host.tiers.remove(adapter("a"))
    await host.tiers.remove(adapter("never-loaded"))
    assert host.engine.held == []


async def test_the_runtimes_own_generation_waits_for_no_client() -> None:
    host = Host(slots=1, sequences=1)
    lease = await host.tiers.enter("busy", adapter("busy"))

    async def warmed() -> None:
        async with host.tiers.own(adapter("new")):
            pass

    await asyncio.wait_for(warmed(), 1)
    lease.release()


async def test_what_the_runtime_computes_with_is_not_pushed_out_however_much_is_loaded_meanwhile() -> None:
    host = Host(capacity=2)
    async with host.tiers.own(adapter("new")):
        for name in ("a", "b", "c"):
            (await host.tiers.enter(name, adapter(name))).release()
        assert "new@1" in host.engine.held
    (await host.tiers.enter("d", adapter("d"))).release()
    assert "new@1" not in host.engine.held


async def test_one_generation_of_the_runtimes_own_at_a_time() -> None:
    host, second = Host(), asyncio.Event()

    async def another() -> None:
        async with host.tiers.own(adapter("b")):
            second.set()

    async with host.tiers.own(adapter("a")):
        waiting = asyncio.create_task(another())
        await asyncio.sleep(0.01)
        assert not second.is_set()
    await asyncio.wait_for(waiting, 1)


async def test_who_waits_for_room_goes_on_when_the_runtime_has_computed() -> None:
    host = Host(capacity=2)
    lease = await host.tiers.enter("a", adapter("a"))
    async with host.tiers.own(adapter("new")):
        waiting = asyncio.create_task(host.tiers.enter("b", adapter("b")))
        await asyncio.sleep(0.01)
        assert not waiting.done()
    (await asyncio.wait_for(waiting, 1)).release()
    lease.release()


async def test_trouble_is_over_whoever_loads_the_adapter() -> None:
    host = Host()
    host.engine.refuses.add("a@1")
    with pytest.raises(LoadFailed):
        await host.tiers.enter("a", adapter("a"))
    host.engine.refuses.clear()
    async with host.tiers.own(adapter("a")):
        assert host.troubles == [("a@1", "bad bytes"), ("a@1", None)]


async def test_what_the_engine_does_not_give_up_stays_on_the_books_and_is_told() -> None:
    host = Host(capacity=1)
    (await host.tiers.enter("a", adapter("a"))).release()
    host.engine.keeps = True
    with pytest.raises(LoadFailed, match="the engine does not give a up, whose room is needed"):
        await host.tiers.enter("b", adapter("b"))
    assert "a@1" in host.tiers
    host.engine.keeps = False
    host.now += 3
    (await host.tiers.enter("b", adapter("b"))).release()
    assert host.engine.held == ["b@1"]


async def test_a_removed_adapters_failure_is_forgotten() -> None:
    host = Host()
    host.engine.refuses.add("a@1")
    with pytest.raises(LoadFailed):
        await host.tiers.enter("a", adapter("a"))
    await host.tiers.remove(adapter("a"))
    host.engine.refuses.clear()
    (await host.tiers.enter("a", adapter("a"))).release()
    assert host.engine.loads == 2
