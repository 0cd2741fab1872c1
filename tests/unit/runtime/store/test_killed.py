"""A process killed at any of its steps on disk leaves only whole folders, and the next one heals the rest."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from lora_runtime.adapters.errors import ADAPTER_FILES
from lora_runtime.adapters.inspect import inspect
from lora_runtime.store.content import ContentStore, Needed
from lora_runtime.store.digest import digest_of
from lora_runtime.store.room import Volume
from lora_runtime.store.sources.source import Sources
from lora_runtime.store.sources.volume import VolumeFiles
from lora_runtime.store.versions import Published
from unit.runtime.store.sources import from_volume, put, spec_of, versions

STEPS_AT_MOST = 500
LIMIT_BYTES = int(3.5 * (44 << 10) / 0.9)
"""Room for an adapter and two versions of it, but not for a fourth folder."""
READING = ("os.listdir", "os.scandir")


def is_open_to_read(event: str, args: tuple[Any, ...]) -> bool:
    return event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR)


def open_root(root: Path, volumes: Path) -> ContentStore:
    """A store with room for what is needed only."""
    files = VolumeFiles(volumes, 1 << 20)
    return ContentStore(root, Sources(hugging_face=files, volume=files), Volume(root, LIMIT_BYTES))


async def serve_and_clean(root: Path, volumes: Path, digest: str) -> Published:
    store = open_root(root, volumes)
    resolved = await store.resolve(from_volume())
    published = await store.publish(spec_of(digest), [inspect(resolved.folder)])
    store.keep(lambda: Needed(specs=[spec_of(digest)]))
    for weight in (0.5, 0.25):
        other = await store.publish(spec_of(digest, weight), [inspect(resolved.folder)])
    assert len(versions(root)) == 2, "one had to go for the last"
    assert other.folder.name in versions(root)
    await store.collect()
    return published


def ends_by_itself(root: Path, volumes: Path, digest: str, steps: int) -> bool:
    """Runs it in a child that is killed before its step number `steps` on the store's disk."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    left = steps

    def step(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        if event not in READING and not is_open_to_read(event, args) and any(str(root) in str(a) for a in args):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        torch.set_num_threads(1)
        sys.addaudithook(step)
        asyncio.run(serve_and_clean(root, volumes, digest))
        os._exit(0)
    finally:
        os._exit(1)


def bytes_of(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ADAPTER_FILES]


async def test_whatever_step_is_the_last_only_whole_folders_are_seen(
    tmp_path: Path, volumes: Path, pirate: Path
) -> None:
    put(volumes, pirate)
    digest = digest_of(pirate)
    whole = await serve_and_clean(tmp_path / "whole", volumes, digest)
    others = {spec_of(digest, weight).revision for weight in (0.5, 0.25)}

    for steps in range(STEPS_AT_MOST):
        root = tmp_path / str(steps)
        done = ends_by_itself(root, volumes, digest, steps)

        for content in root.glob("sha256/*"):
            assert digest_of(content) == f"sha256:{content.name}"
        for version in root.glob("versions/*"):
            if version.name == whole.folder.name:
                assert bytes_of(version) == bytes_of(whole.folder)
            else:
                assert version.name.split("-")[0] in others
                assert inspect(version).rank == whole.rank
        healed = await serve_and_clean(root, volumes, digest)
        assert bytes_of(healed.folder) == bytes_of(whole.folder)
        assert [p.name for p in root.glob("*/*")].count(healed.folder.name) == 1
        assert list(root.glob("scratch/*")) == []
        if done:
            break

    assert done
    assert steps > 20, "the steps were counted"
