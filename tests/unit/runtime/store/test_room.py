"""A store with a budget: what nobody needs stays while there is room, and the least recently used goes first."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from lora_api.runtime_api import RevisionSpec
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import Refused
from lora_runtime.store.content import ContentStore, Needed
from lora_runtime.store.digest import digest_of
from support.hub import Hub
from support.models import tiny_adapter
from unit.runtime.store.conftest import open_again
from unit.runtime.store.sources import contents, from_volume, publish, put, spec_of, versions

KIB = 1 << 10
EACH = 48 * KIB
"""A little more than an adapter or a version of these tests takes, with its folder."""


def limit_for(count: int) -> int:
    """A size limit that so many adapters or versions fit into."""
    return int((count * EACH + 8 * KIB) / 0.9)


@pytest.fixture
def adapters(volumes: Path, base: Path, tmp_path: Path) -> list[str]:
    """Digests of six adapters in the volume, in folders `0` to `5`."""
    made = [tiny_adapter(tmp_path / f"a{n}", base, seed=n + 1) for n in range(6)]
    return [digest_of(put(volumes, folder, str(n))) for n, folder in enumerate(made)]


async def fetch(store: ContentStore, adapters: Sequence[str], *indices: int) -> None:
    for index in indices:
        await store.ensure(from_volume(str(index)), adapters[index])


def here(tmp_path: Path, adapters: Sequence[str]) -> list[int]:
    found = contents(tmp_path / "store")
    return [index for index, digest in enumerate(adapters) if digest.removeprefix("sha256:") in found]


def newest_last(tmp_path: Path, adapters: Sequence[str], *indices: int) -> None:
    """Sets when each was used last, without waiting between them."""
    for age, index in enumerate(indices):
        folder = tmp_path / "store" / "sha256" / adapters[index].removeprefix("sha256:")
        os.utime(folder, (1000 + age, 1000 + age))


async def test_what_nobody_needs_stays_while_there_is_room(
    store: ContentStore, adapters: list[str], tmp_path: Path
) -> None:
    await fetch(store, adapters, 0, 1, 2)
    version = await publish(store, spec_of(adapters[0]))
    await store.collect()
    assert here(tmp_path, adapters) == [0, 1, 2]
    assert versions(tmp_path / "store") == [version.folder.name]


async def test_the_least_recently_used_goes_first_also_after_a_restart(
    adapters: list[str], tmp_path: Path, hub: Hub
) -> None:
    await fetch(open_again(tmp_path, hub), adapters, 0, 1, 2)
    newest_last(tmp_path, adapters, 1, 2, 0)

    restarted = open_again(tmp_path, hub, limit_bytes=limit_for(3))
    await fetch(restarted, adapters, 3)
    assert here(tmp_path, adapters) == [0, 2, 3]


async def test_a_smaller_limit_is_kept_from_the_first_collection_on(
    adapters: list[str], tmp_path: Path, hub: Hub
) -> None:
    await fetch(open_again(tmp_path, hub), adapters, 0, 1, 2)
    newest_last(tmp_path, adapters, 0, 1, 2)
    await open_again(tmp_path, hub, limit_bytes=limit_for(2)).collect()
    assert here(tmp_path, adapters) == [1, 2]


async def test_a_restart_fetches_nothing_again(adapters: list[str], tmp_path: Path, hub: Hub, volumes: Path) -> None:
    before = await publish(open_again(tmp_path, hub), spec_of(adapters[0], path="0"))
    stamp = (before.folder / "adapter_model.safetensors").stat().st_mtime_ns
    (volumes / "shared").rename(volumes / "away")

    again = open_again(tmp_path, hub)
    assert await publish(again, spec_of(adapters[0], path="0")) == before
    assert (before.folder / "adapter_model.safetensors").stat().st_mtime_ns == stamp


async def test_what_is_needed_stays_however_long_ago_it_was_used(adapters: list[str], tmp_path: Path, hub: Hub) -> None:
    await fetch(open_again(tmp_path, hub), adapters, 0, 1, 2)
    newest_last(tmp_path, adapters, 0, 1, 2)
    store = open_again(tmp_path, hub, limit_bytes=limit_for(3))
    store.keep(lambda: Needed(digests=[adapters[0]]))
    await fetch(store, adapters, 3)
    assert here(tmp_path, adapters) == [0, 2, 3]


async def test_a_version_that_an_engine_knows_stays_with_what_it_is_made_of(
    adapters: list[str], tmp_path: Path, hub: Hub
) -> None:
    store = open_again(tmp_path, hub, limit_bytes=limit_for(4))
    serving: list[RevisionSpec] = []
    store.keep(lambda: Needed(specs=serving))
    kept, other = spec_of(adapters[0], 0.5, path="0"), spec_of(adapters[1], 0.5, path="1")
    serving.append(kept)
    known = await publish(store, kept)
    await publish(store, other)
    restarted = open_again(tmp_path, hub, limit_bytes=limit_for(4))
    restarted.keep(lambda: Needed(specs=serving))
    await fetch(restarted, adapters, 2, 3)
    assert known.folder.name in versions(tmp_path / "store")
    assert 0 in here(tmp_path, adapters)
    assert 1 not in here(tmp_path, adapters)


async def test_what_was_needed_until_now_goes_after_what_was_not(adapters: list[str], tmp_path: Path, hub: Hub) -> None:
    await fetch(open_again(tmp_path, hub), adapters, 0, 1)
    newest_last(tmp_path, adapters, 0, 1)
    store = open_again(tmp_path, hub, limit_bytes=limit_for(2))
    needed = [adapters[0]]
    store.keep(lambda: Needed(digests=needed))
    await store.collect()
    needed.clear()
    await store.collect()
    await fetch(store, adapters, 2)
    assert here(tmp_path, adapters) == [0, 2]


async def test_when_all_is_needed_the_next_is_refused_with_the_sizes_and_the_field_to_raise(
    adapters: list[str], tmp_path: Path, hub: Hub
) -> None:
    store = open_again(tmp_path, hub, limit_bytes=limit_for(2))
    store.keep(lambda: Needed(digests=adapters))
    await fetch(store, adapters, 0, 1)
    with pytest.raises(Refused) as caught:
        await fetch(store, adapters, 2)
    refusal = caught.value.refusal
    assert (refusal.reason, refusal.retryable) == (Reason.STORE_FULL, True)
    assert "volume shared/2 needs 1 MiB" in refusal.message
    assert "raise spec.cache.sizeLimit of the LoRAModel to 1Mi at least" in refusal.message
    assert here(tmp_path, adapters) == [0, 1]
    assert list((tmp_path / "store" / "incoming").iterdir()) == []


async def test_a_version_that_does_not_fit_is_refused_and_the_good_one_stays(
    adapters: list[str], tmp_path: Path, hub: Hub
) -> None:
    store = open_again(tmp_path, hub, limit_bytes=limit_for(2))
    first = spec_of(adapters[0], 1.0, path="0")
    store.keep(lambda: Needed(specs=[first]))
    good = await publish(store, first)
    with pytest.raises(Refused) as caught:
        await publish(store, spec_of(adapters[0], 0.5, path="0"))
    assert caught.value.refusal.reason is Reason.STORE_FULL
    assert versions(tmp_path / "store") == [good.folder.name]


async def test_the_base_models_files_beside_the_store_count(adapters: list[str], tmp_path: Path, hub: Hub) -> None:
    store = open_again(tmp_path, hub, limit_bytes=limit_for(3))
    blobs = tmp_path / "store" / "models--team--base" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "0").write_bytes(b"\0" * EACH)
    (blobs / "1").symlink_to(blobs / "0")
    store.keep(lambda: Needed(digests=adapters))
    await fetch(store, adapters, 0)
    with pytest.raises(Refused, match="the base model and caches 1 MiB"):
        await fetch(store, adapters, 1, 2)


async def test_room_that_the_base_model_is_about_to_take_is_not_given_away(
    adapters: list[str], tmp_path: Path, hub: Hub
) -> None:
    store = open_again(tmp_path, hub, limit_bytes=limit_for(3))
    store.expect_elsewhere(2 * EACH)
    store.keep(lambda: Needed(digests=adapters))
    await fetch(store, adapters, 0)
    with pytest.raises(Refused, match="the base model and caches 1 MiB"):
        await fetch(store, adapters, 1)


async def test_two_downloads_at_once_do_not_share_the_room_for_one(
    adapters: list[str], tmp_path: Path, hub: Hub
) -> None:
    store = open_again(tmp_path, hub, limit_bytes=limit_for(1))
    store.keep(lambda: Needed(digests=adapters))
    fetches = [store.ensure(from_volume(str(index)), adapters[index]) for index in range(4)]
    ends = await asyncio.gather(*fetches, return_exceptions=True)
    assert sum(isinstance(end, Path) for end in ends) == 1
    assert all(isinstance(end, (Path, Refused)) for end in ends)


async def test_room_that_a_failed_download_had_is_given_back(
    adapters: list[str], tmp_path: Path, hub: Hub, volumes: Path
) -> None:
    store = open_again(tmp_path, hub, limit_bytes=limit_for(1))
    for _ in range(3):
        with pytest.raises(Refused) as caught:
            await store.ensure(from_volume("0"), adapters[1])
        assert caught.value.refusal.reason is Reason.DIGEST_MISMATCH
    await fetch(store, adapters, 2)
    assert 2 in here(tmp_path, adapters)


async def test_interrupted_downloads_count_and_go_too(adapters: list[str], tmp_path: Path, hub: Hub) -> None:
    partial = tmp_path / "store" / "incoming" / ("0" * 32)
    partial.mkdir(parents=True)
    (partial / "adapter_model.safetensors.part").write_bytes(b"\0" * EACH)
    store = open_again(tmp_path, hub, limit_bytes=limit_for(1))
    await fetch(store, adapters, 0)
    assert not partial.exists()


async def test_what_was_just_resolved_stays_until_somebody_wants_it(
    adapters: list[str], tmp_path: Path, hub: Hub
) -> None:
    store = open_again(tmp_path, hub, limit_bytes=limit_for(2))
    await store.resolve(from_volume("0"))
    await fetch(store, adapters, 1, 2)
    assert here(tmp_path, adapters) == [0, 2], "the operator is about to ask for it"


async def test_how_full_the_store_is_tells_what_must_stay_and_not_what_only_lies_there(
    adapters: list[str], tmp_path: Path, hub: Hub
) -> None:
    await fetch(open_again(tmp_path, hub), adapters, 0, 1, 2)
    store = open_again(tmp_path, hub, limit_bytes=limit_for(4))
    store.keep(lambda: Needed(digests=[adapters[0], adapters[5]]))
    await store.collect()
    assert store.fill is not None
    assert 0 < store.fill.needed_bytes <= EACH
    assert 3 * EACH < store.fill.possible_bytes < 5 * EACH
