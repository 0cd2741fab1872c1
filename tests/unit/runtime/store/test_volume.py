"""Adapters in a mounted volume: what is copied, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import ADAPTER_FILES, Refused
from lora_runtime.store.content import ContentStore
from lora_runtime.store.digest import digest_of
from lora_runtime.store.sources.volume import VolumeFiles
from support.hub import Hub
from unit.runtime.store.conftest import open_again
from unit.runtime.store.sources import from_volume, put, refusal_of


async def test_the_two_files_are_copied_and_named_by_their_digest(
    store: ContentStore, volumes: Path, pirate: Path
) -> None:
    put(volumes, pirate)
    resolved = await store.resolve(from_volume())
    assert resolved.digest == digest_of(pirate) == digest_of(resolved.folder)
    assert resolved.source.describe() == "volume shared/pirate"
    assert resolved.size_bytes == (pirate / "adapter_model.safetensors").stat().st_size
    assert sorted(p.name for p in resolved.folder.iterdir()) == sorted(ADAPTER_FILES)


async def test_new_bytes_in_the_folder_are_another_digest(store: ContentStore, volumes: Path, pirate: Path) -> None:
    folder = put(volumes, pirate)
    first = await store.resolve(from_volume())
    with (folder / "adapter_config.json").open("a") as config:
        config.write("\n")
    assert (await store.resolve(from_volume())).digest != first.digest

    elsewhere = "sha256:" + "0" * 64
    with pytest.raises(Refused, match=elsewhere) as caught:
        await store.ensure(from_volume(), elsewhere)
    assert caught.value.refusal.reason is Reason.DIGEST_MISMATCH
    assert caught.value.refusal.retryable


async def test_a_volume_that_is_not_mounted_is_named_with_those_that_are(store: ContentStore, volumes: Path) -> None:
    refusal = await refusal_of(store, from_volume(name="other"))
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_NOT_FOUND, True)
    assert "volume other is not mounted in this pod (mounted: shared)" in refusal.message


async def test_a_missing_folder_is_answered_with_what_the_volume_has(
    store: ContentStore, volumes: Path, pirate: Path
) -> None:
    put(volumes, pirate, "team/pirate")
    refusal = await refusal_of(store, from_volume("team/priate"))
    assert refusal.reason is Reason.SOURCE_NOT_FOUND
    assert "volume shared has no folder team/priate; folder team of it has: pirate" in refusal.message


async def test_a_missing_file_is_answered_with_what_the_folder_has(
    store: ContentStore, volumes: Path, pirate: Path
) -> None:
    (put(volumes, pirate) / "adapter_model.safetensors").unlink()
    refusal = await refusal_of(store, from_volume())
    assert refusal.reason is Reason.SOURCE_NOT_FOUND
    assert (
        "folder pirate of volume shared has no adapter_model.safetensors; it has: adapter_config.json"
        in refusal.message
    )


async def test_a_link_inside_the_volume_is_followed(store: ContentStore, volumes: Path, pirate: Path) -> None:
    put(volumes, pirate, "v1")
    (volumes / "shared" / "latest").symlink_to("v1")
    assert (await store.resolve(from_volume("latest"))).digest == digest_of(pirate)


@pytest.mark.parametrize("linked", ["folder", "file"])
async def test_a_link_out_of_the_volume_is_refused(
    store: ContentStore, volumes: Path, pirate: Path, linked: str
) -> None:
    if linked == "folder":
        (volumes / "shared" / "pirate").symlink_to(pirate)
    else:
        folder = put(volumes, pirate)
        (folder / "adapter_config.json").unlink()
        (folder / "adapter_config.json").symlink_to(pirate / "adapter_config.json")
    refusal = await refusal_of(store, from_volume())
    assert refusal.reason is Reason.SOURCE_FORBIDDEN
    assert "is a link that leads out of the volume" in refusal.message


@pytest.mark.parametrize("path", ["loop", "null\0character", "x" * 300])
async def test_a_path_that_cannot_be_read_is_a_refusal(store: ContentStore, volumes: Path, path: str) -> None:
    (volumes / "shared" / "loop").symlink_to("loop")
    refusal = await refusal_of(store, from_volume(path))
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_NOT_FOUND, True)


async def test_too_large_an_adapter_is_not_copied(hub: Hub, volumes: Path, pirate: Path, tmp_path: Path) -> None:
    put(volumes, pirate)
    refusal = await refusal_of(open_again(tmp_path, hub, max_bytes=1000), from_volume())
    assert refusal.reason is Reason.SOURCE_TOO_LARGE


async def test_files_written_to_while_they_are_copied_are_refused(volumes: Path, pirate: Path, tmp_path: Path) -> None:
    folder = put(volumes, pirate)
    (tmp_path / "into").mkdir()

    def write_meanwhile(done: int, total: int | None) -> None:
        os.utime(folder / "adapter_config.json", (1, 1))

    with pytest.raises(Refused, match="changed while they were copied") as caught:
        await VolumeFiles(volumes, 1 << 20).fetch(from_volume(), tmp_path / "into", write_meanwhile)
    assert caught.value.refusal.retryable
