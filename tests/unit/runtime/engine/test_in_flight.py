import asyncio

from lora_runtime.engine.admission import Admission
from lora_runtime.engine.host_cache import HostCache
from lora_runtime.engine.in_flight import InFlight
from lora_runtime.engine.tiers import Tiers
from unit.runtime.engine.test_tiers import Engine as Loader


async def started(in_flight: InFlight, uses: str | None, end: asyncio.Event) -> asyncio.Task[None]:
    begun = asyncio.Event()

    async def request() -> None:
        with in_flight.request():
            if uses is not None:
                in_flight.uses(uses)
            begun.set()
            await end.wait()

    task = asyncio.create_task(request())
    await begun.wait()
    return task


async def is_waiting(drain: asyncio.Task[None]) -> bool:
    done, _ = await asyncio.wait({drain}, timeout=0.05)
    return not done


async def test_an_adapter_is_drained_when_the_requests_that_use_it_have_ended() -> None:
    in_flight, end = InFlight(), asyncio.Event()
    request = await started(in_flight, "a@1", end)
    drain = asyncio.create_task(in_flight.drained("a@1"))
    assert await is_waiting(drain)
    end.set()
    await asyncio.wait_for(drain, 1)
    await request


async def test_requests_for_other_adapters_and_the_base_hold_nothing_back() -> None:
    in_flight, end = InFlight(), asyncio.Event()
    requests = [await started(in_flight, other, end) for other in ("b@1", "a@2", None)]
    await asyncio.wait_for(in_flight.drained("a@1"), 1)
    end.set()
    await asyncio.gather(*requests)


async def test_a_request_that_has_not_looked_its_adapter_up_yet_holds_nothing_back() -> None:
    in_flight, end = InFlight(), asyncio.Event()
    slow_body = await started(in_flight, None, end)
    await asyncio.wait_for(in_flight.drained("a@1"), 1)
    end.set()
    await slow_body


async def test_a_request_that_looks_up_again_still_uses_what_it_found_first() -> None:
    in_flight, end, begun = InFlight(), asyncio.Event(), asyncio.Event()

    async def request() -> None:
        with in_flight.request():
            in_flight.uses("a@1")
            in_flight.uses("a@2")
            begun.set()
            await end.wait()

    task = asyncio.create_task(request())
    await begun.wait()
    drain = asyncio.create_task(in_flight.drained("a@1"))
    assert await is_waiting(drain)
    end.set()
    await asyncio.wait_for(drain, 1)
    await task


async def test_the_end_of_a_request_ends_its_stay_in_the_engine() -> None:
    tiers = Tiers(Admission(slots=1, sequences=1), HostCache(1), Loader(), lambda: 0.0)
    in_flight = InFlight()
    with in_flight.request() as request:
        request.leases.append(await tiers.enter("x", None))
    (await asyncio.wait_for(tiers.enter("y", None), 1)).release()
