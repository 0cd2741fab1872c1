"""One download for all who want the same bytes, and none for bytes that nobody wants any more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import ADAPTER_FILES, Refused, not_fetched
from lora_runtime.store.content import ContentStore
from lora_runtime.store.digest import digest_of
from lora_runtime.store.progress import Progress
from lora_runtime.store.sources.source import Sources
from lora_runtime.store.threads import in_thread
from support.models import tiny_adapter
from unit.runtime.store.sources import ScriptedSource, from_hub, from_volume

DEADLINE_SECONDS = 5


class FailingSource(ScriptedSource):
    """Cannot be reached, once its gate opens."""

    async def fetch(self, source: AdapterSource, into: Path, progress: Progress) -> None:
        self.fetches += 1
        self.began.set()
        await self.gate.wait()
        raise not_fetched(Reason.SOURCE_UNREACHABLE, "it is down", retryable=True)


class EndlessSource(ScriptedSource):
    """Writes for ever, in a thread."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ended = asyncio.Event()

    async def fetch(self, source: AdapterSource, into: Path, progress: Progress) -> None:
        def work(tell: Progress) -> None:
            try:
                with (into / (ADAPTER_FILES[0] + ".part")).open("ab") as out:
                    out.write(b"x" * 100)
                    out.flush()
                    loop.call_soon_threadsafe(self.began.set)
                    while True:
                        tell(100, 1000)
            finally:
                loop.call_soon_threadsafe(self.ended.set)

        loop = asyncio.get_running_loop()
        await in_thread(work, progress)


def both(tmp_path: Path, hub: ScriptedSource, volume: ScriptedSource) -> ContentStore:
    return ContentStore(tmp_path / "store", Sources(hugging_face=hub, volume=volume))


async def test_two_sources_of_one_digest_cost_one_download(tmp_path: Path, pirate: Path) -> None:
    hub, volume = ScriptedSource(pirate), ScriptedSource(pirate)
    hub.gate.clear()
    store = both(tmp_path, hub, volume)
    heard: list[int] = []
    first = asyncio.create_task(store.ensure(from_hub("v1"), digest_of(pirate)))
    await hub.began.wait()
    second = asyncio.create_task(store.ensure(from_volume(), digest_of(pirate), lambda done, total: heard.append(done)))
    await asyncio.sleep(0)
    hub.gate.set()
    assert await first == await second
    assert (hub.fetches, volume.fetches) == (1, 0)
    assert heard[-1] == sum((pirate / name).stat().st_size for name in ADAPTER_FILES)


async def test_when_the_first_source_fails_the_other_one_is_tried(tmp_path: Path, pirate: Path) -> None:
    hub, volume = FailingSource(pirate), ScriptedSource(pirate)
    hub.gate.clear()
    store = both(tmp_path, hub, volume)
    first = asyncio.create_task(store.ensure(from_hub("v1"), digest_of(pirate)))
    await hub.began.wait()
    second = asyncio.create_task(store.ensure(from_volume(), digest_of(pirate)))
    await asyncio.sleep(0)
    hub.gate.set()
    with pytest.raises(Refused, match="it is down"):
        await first
    assert digest_of(await second) == digest_of(pirate)


async def test_when_the_first_source_holds_other_bytes_only_its_own_caller_is_refused(
    tmp_path: Path, pirate: Path, base: Path
) -> None:
    hub, volume = ScriptedSource(tiny_adapter(tmp_path / "other", base, seed=9)), ScriptedSource(pirate)
    hub.gate.clear()
    store = both(tmp_path, hub, volume)
    first = asyncio.create_task(store.ensure(from_hub("v1"), digest_of(pirate)))
    await hub.began.wait()
    second = asyncio.create_task(store.ensure(from_volume(), digest_of(pirate)))
    await asyncio.sleep(0)
    hub.gate.set()
    with pytest.raises(Refused) as caught:
        await first
    assert (caught.value.refusal.reason, caught.value.refusal.retryable) == (Reason.DIGEST_MISMATCH, True)
    assert digest_of(await second) == digest_of(pirate)


async def test_a_pinned_commit_that_came_with_other_bytes_is_read_afresh_the_next_time(
    tmp_path: Path, pirate: Path, base: Path
) -> None:
    hub = ScriptedSource(tiny_adapter(tmp_path / "other", base, seed=9))
    store = both(tmp_path, hub, hub)
    with pytest.raises(Refused):
        await store.ensure(from_hub("v1"), digest_of(pirate))
    hub.folder = pirate
    assert digest_of(await store.ensure(from_hub("v1"), digest_of(pirate))) == digest_of(pirate)


async def test_a_download_ends_with_the_last_caller_and_keeps_what_it_has(tmp_path: Path, pirate: Path) -> None:
    source = EndlessSource(pirate)
    store = both(tmp_path, source, source)
    callers = [asyncio.create_task(store.ensure(from_hub(place), digest_of(pirate))) for place in ("v1", "v2")]
    await asyncio.wait_for(source.began.wait(), DEADLINE_SECONDS)
    callers[0].cancel()
    await asyncio.wait({callers[0]}, timeout=DEADLINE_SECONDS)
    assert not source.ended.is_set(), "the other one wants it still"
    callers[1].cancel()
    await asyncio.wait({callers[1]}, timeout=DEADLINE_SECONDS)
    await asyncio.wait_for(source.ended.wait(), DEADLINE_SECONDS)
    (incoming,) = (tmp_path / "store" / "incoming").iterdir()
    assert (incoming / (ADAPTER_FILES[0] + ".part")).read_bytes() == b"x" * 100


async def test_a_collection_leaves_what_is_being_fetched_alone(
    slow_store: ContentStore, scripted: ScriptedSource, pirate: Path
) -> None:
    scripted.gate.clear()
    fetch = asyncio.create_task(slow_store.ensure(from_volume(), digest_of(pirate)))
    await scripted.began.wait()
    await slow_store.collect()
    scripted.gate.set()
    assert digest_of(await fetch) == digest_of(pirate)


async def test_a_slow_kind_of_source_does_not_hold_up_another(tmp_path: Path, pirate: Path) -> None:
    hub, volume = ScriptedSource(pirate), ScriptedSource(pirate)
    hub.gate.clear()
    store = both(tmp_path, hub, volume)
    stuck = [asyncio.create_task(store.resolve(from_hub(f"v{n}"))) for n in range(50)]
    await hub.began.wait()
    assert (await asyncio.wait_for(store.resolve(from_volume()), DEADLINE_SECONDS)).digest == digest_of(pirate)
    assert hub.fetches == 8, "so many at once"
    hub.gate.set()
    assert {found.digest for found in await asyncio.gather(*stuck)} == {digest_of(pirate)}
