"""The store shows whole folders or none: single flight, publishing, collecting, full disks and killed processes."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from lora_api.runtime_api import Part, RevisionSpec
from lora_api.v1alpha1.adapter import Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import ADAPTER_FILES, Refused
from lora_runtime.adapters.inspect import inspect
from lora_runtime.store.content import ContentStore
from lora_runtime.store.digest import digest_of
from lora_runtime.store.sources.source import Sources
from support.hub import Hub
from support.models import tiny_adapter
from unit.runtime.store.conftest import open_again
from unit.runtime.store.sources import ScriptedSource, contents, from_volume, publish, put, spec_of, versions


async def test_callers_at_once_share_one_fetch_and_all_hear_of_its_progress(
    slow_store: ContentStore, scripted: ScriptedSource, pirate: Path
) -> None:
    scripted.gate.clear()
    told: list[list[int]] = [[], []]
    digest = digest_of(pirate)
    tasks = [
        asyncio.create_task(
            slow_store.ensure(from_volume(), digest, lambda done, _, heard=heard: heard.append(done))  # type: ignore[misc]
        )
        for heard in told
    ]
    await scripted.began.wait()
    scripted.gate.set()
    assert len(set(await asyncio.gather(*tasks))) == 1
    assert scripted.fetches == 1
    assert told[0] == told[1]
    assert told[0][-1] == sum((pirate / name).stat().st_size for name in ADAPTER_FILES)


async def test_a_caller_that_gives_up_does_not_stop_the_fetch_of_the_others(
    slow_store: ContentStore, scripted: ScriptedSource, pirate: Path
) -> None:
    scripted.gate.clear()
    leaving, staying = (asyncio.create_task(slow_store.ensure(from_volume(), digest_of(pirate))) for _ in range(2))
    await scripted.began.wait()
    leaving.cancel()
    scripted.gate.set()
    assert digest_of(await staying) == digest_of(pirate)
    assert scripted.fetches == 1


async def test_files_that_are_here_are_verified_once_after_a_restart_and_not_fetched(
    slow_store: ContentStore, scripted: ScriptedSource, pirate: Path, tmp_path: Path
) -> None:
    digest = digest_of(pirate)
    await slow_store.ensure(from_volume(), digest)
    again = ContentStore(tmp_path / "store", Sources(hugging_face=scripted, volume=scripted))
    await again.ensure(from_volume(), digest)
    assert scripted.fetches == 1


@pytest.mark.parametrize("damage", ["rotten", "missing"])
@pytest.mark.parametrize("call", ["ensure", "resolve"])
async def test_files_that_rotted_on_disk_are_fetched_again(
    slow_store: ContentStore,
    scripted: ScriptedSource,
    pirate: Path,
    tmp_path: Path,
    damage: str,
    call: str,
) -> None:
    digest = digest_of(pirate)
    folder = await slow_store.ensure(from_volume(), digest)
    if damage == "rotten":
        (folder / "adapter_config.json").write_bytes(b"{}")
    else:
        (folder / "adapter_config.json").unlink()
    again = ContentStore(tmp_path / "store", Sources(hugging_face=scripted, volume=scripted))
    if call == "ensure":
        await again.ensure(from_volume(), digest)
    else:
        await again.resolve(from_volume())
    assert digest_of(folder) == digest


async def test_a_full_disk_is_a_retryable_refusal_and_leaves_nothing(
    slow_store: ContentStore, scripted: ScriptedSource, pirate: Path, tmp_path: Path
) -> None:
    def fill() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    scripted.act = fill
    with pytest.raises(Refused, match=r"is full .* raise spec\.cache\.sizeLimit") as caught:
        await slow_store.ensure(from_volume(), digest_of(pirate))
    assert (caught.value.refusal.reason, caught.value.refusal.retryable) == (Reason.STORE_FULL, True)
    assert [p for p in (tmp_path / "store").glob("*/*") if p.name != "versions"] == []


async def test_an_unreadable_source_is_a_retryable_refusal(
    slow_store: ContentStore, scripted: ScriptedSource, pirate: Path
) -> None:
    def fail() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/volumes/shared")

    scripted.act = fail
    with pytest.raises(Refused, match="Permission denied: '/volumes/shared'") as caught:
        await slow_store.ensure(from_volume(), digest_of(pirate))
    assert caught.value.refusal.retryable


async def test_a_fetch_killed_between_its_files_shows_nothing_and_the_next_start_heals_it(
    slow_store: ContentStore, scripted: ScriptedSource, pirate: Path, tmp_path: Path, hub: Hub, volumes: Path
) -> None:
    incoming = tmp_path / "store" / "incoming" / "half"
    incoming.mkdir()
    (incoming / "adapter_config.json").write_bytes(b"{")
    scratch = tmp_path / "store" / "scratch" / "tmp1"
    scratch.mkdir()
    (scratch / "adapter_model.safetensors").write_bytes(b"half")
    put(volumes, pirate)

    again = open_again(tmp_path, hub)

    assert contents(tmp_path / "store") == versions(tmp_path / "store") == []
    assert list((tmp_path / "store" / "scratch").iterdir()) == []
    assert digest_of(await again.ensure(from_volume(), digest_of(pirate))) == digest_of(pirate)


async def test_a_version_is_published_once_and_named_by_all_that_decides_its_bytes(
    store: ContentStore, volumes: Path, pirate: Path, tmp_path: Path
) -> None:
    put(volumes, pirate)
    digest = digest_of(pirate)
    first = await publish(store, spec_of(digest, 0.4))
    stamp = (first.folder / "adapter_model.safetensors").stat().st_mtime_ns

    assert await publish(store, spec_of(digest, 0.4)) == first
    assert (first.folder / "adapter_model.safetensors").stat().st_mtime_ns == stamp
    assert first.folder.is_absolute()
    assert first.folder.name.startswith(spec_of(digest, 0.4).revision + "-")
    assert (first.rank, first.size_bytes) == (8, (first.folder / "adapter_model.safetensors").stat().st_size)

    others = [spec_of(digest, 0.5), spec_of(digest, 0.4, Precision.BFLOAT16)]
    folders = {(await publish(store, spec)).folder for spec in others}
    assert len(folders | {first.folder}) == 3


def rot(file: Path, damage: str) -> None:
    """What a failing disk or a lost write makes of it."""
    data = bytearray(file.read_bytes())
    if damage == "flipped bit":
        data[-1] ^= 1
    elif damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "zeros":
        data[:] = bytes(len(data))
    file.write_bytes(data)
    if damage == "gone":
        file.unlink()


@pytest.mark.parametrize("damage", ["flipped bit", "cut", "zeros", "gone"])
@pytest.mark.parametrize("name", [*ADAPTER_FILES, "digest"])
async def test_a_version_that_rotted_on_disk_is_made_again_before_an_engine_reads_it(
    store: ContentStore, volumes: Path, pirate: Path, tmp_path: Path, hub: Hub, name: str, damage: str
) -> None:
    put(volumes, pirate)
    spec = spec_of(digest_of(pirate), 0.4)
    made = await publish(store, spec)
    good = [(made.folder / file).read_bytes() for file in ADAPTER_FILES]
    rot(made.folder / name, damage)

    assert await publish(open_again(tmp_path, hub), spec) == made
    assert [(made.folder / file).read_bytes() for file in ADAPTER_FILES] == good


async def test_a_version_that_is_whole_after_a_restart_is_not_made_again(
    store: ContentStore, volumes: Path, pirate: Path, tmp_path: Path, hub: Hub
) -> None:
    put(volumes, pirate)
    spec = spec_of(digest_of(pirate), 0.4)
    made = await publish(store, spec)
    stamp = (made.folder / "adapter_model.safetensors").stat().st_mtime_ns
    await publish(open_again(tmp_path, hub), spec)
    assert (made.folder / "adapter_model.safetensors").stat().st_mtime_ns == stamp


async def test_two_recipes_whose_short_names_collide_get_two_folders(
    store: ContentStore, volumes: Path, pirate: Path
) -> None:
    put(volumes, pirate)
    one = spec_of(digest_of(pirate), 0.4)
    other = spec_of(digest_of(pirate), 0.5).model_copy(update={"revision": one.revision})
    assert (await publish(store, one)).folder != (await publish(store, other)).folder


async def test_a_blend_of_two_sources_is_published(
    store: ContentStore, volumes: Path, pirate: Path, base: Path, tmp_path: Path
) -> None:
    formal = tiny_adapter(tmp_path / "formal", base, seed=2, r=4)
    put(volumes, pirate)
    put(volumes, formal, "formal")
    parts = tuple(
        Part(source=from_volume(path), digest=digest_of(folder), weight=weight)
        for path, folder, weight in (("pirate", pirate, 0.7), ("formal", formal, 0.5))
    )
    published = await publish(store, RevisionSpec.of(parts, BlendMethod.CONCAT, Precision.AUTO))
    assert published.rank == 12
    assert inspect(published.folder).rank == 12
