"""A process killed at any of its steps on disk leaves only whole folders, and the next one heals the rest."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_runtime.adapters.errors import ADAPTER_FILES
from lora_runtime.adapters.inspect import inspect
from lora_runtime.store.content import ContentStore, Needed
from lora_runtime.store.digest import digest_of
from lora_runtime.store.room import Volume
from lora_runtime.store.sources.source import Sources
from lora_runtime.store.sources.volume import VolumeFiles
from lora_runtime.store.versions import Published
from unit.runtime.store.sources import contents, from_volume, put, spec_of, versions

pytestmark = pytest.mark.slow

STEPS_AT_MOST = 500
LIMIT_BYTES = int(3.5 * (48 << 10) / 0.9)
"""Room for an adapter and two versions of it, but not for a fourth folder."""
READING = ("os.listdir", "os.scandir")


def is_open_to_read(event: str, args: tuple[Any, ...]) -> bool:
    return event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR)


def open_root(root: Path, volumes: Path) -> ContentStore:
    """A store with room for what is needed only."""
    files = VolumeFiles(volumes, 1 << 20)
    return ContentStore(root, Sources(hugging_face=files, volume=files), Volume(root, LIMIT_BYTES))


async def serve_and_clean(root: Path, volumes: Path, digest: str, *, is_new: bool = True) -> Published:
    store = open_root(root, volumes)
    if is_new:
        await store.resolve(from_volume())
    content = await store.ensure(from_volume(), digest)
    published = await store.publish(spec_of(digest), [inspect(content)])
    store.keep(lambda: Needed(specs=[spec_of(digest)]))
    for weight in (0.5, 0.25):
        other = await store.publish(spec_of(digest, weight), [inspect(content)])
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


def is_killed_while_writing(root: Path, volumes: Path, digest: str, size: int, *, is_new: bool = True) -> bool:
    """Runs it in a child that the kernel kills at the first write beyond `size` bytes of any file."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGXFSZ
    try:
        torch.set_num_threads(1)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        asyncio.run(serve_and_clean(root, volumes, digest, is_new=is_new))
        os._exit(0)
    finally:
        os._exit(1)


def bytes_of(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ADAPTER_FILES]


@dataclass(frozen=True)
class Story:
    """What is done in each child, and what a whole run of it makes."""

    volumes: Path
    digest: str
    whole: Published

    async def is_healed(self, root: Path) -> None:
        """Nothing half is seen, and the next process on the same root ends with the right bytes and nothing else."""
        self.shows_nothing_half(root)
        healed = await serve_and_clean(root, self.volumes, self.digest)
        assert bytes_of(healed.folder) == bytes_of(self.whole.folder)
        assert versions(root).count(healed.folder.name) == 1
        self.shows_nothing_half(root)
        assert not any(files for _, _, files in os.walk(root / "scratch"))

    def shows_nothing_half(self, root: Path) -> None:
        made_by_it = {spec_of(self.digest, weight).revision for weight in (0.5, 0.25)}
        for content in root.glob("sha256/*"):
            assert digest_of(content) == f"sha256:{content.name}"
        for version in root.glob("versions/*"):
            if version.name == self.whole.folder.name:
                assert bytes_of(version) == bytes_of(self.whole.folder)
            else:
                assert version.name.split("-")[0] in made_by_it
                assert inspect(version).rank == self.whole.rank


@pytest.fixture
async def story(tmp_path: Path, volumes: Path, pirate: Path) -> Story:
    put(volumes, pirate)
    digest = digest_of(pirate)
    return Story(volumes, digest, await serve_and_clean(tmp_path / "whole", volumes, digest))


async def test_whatever_step_is_the_last_only_whole_folders_are_seen(tmp_path: Path, story: Story) -> None:
    for steps in range(STEPS_AT_MOST):
        root = tmp_path / str(steps)
        done = ends_by_itself(root, story.volumes, story.digest, steps)
        await story.is_healed(root)
        if done:
            break
    assert done
    assert steps > 30, "the steps were counted"


@pytest.mark.parametrize("size", [0, 1, 40, 500, 1000, 4096, 20_000, 29_000])
async def test_whichever_byte_is_the_last_only_whole_folders_are_seen(tmp_path: Path, story: Story, size: int) -> None:
    assert is_killed_while_writing(tmp_path / "torn", story.volumes, story.digest, size)
    await story.is_healed(tmp_path / "torn")


async def test_the_kernel_kills_in_the_middle_of_a_version_too(tmp_path: Path, story: Story) -> None:
    # the content is here already, so that the first file to grow is a version's, which safetensors writes
    root = tmp_path / "torn"
    await open_root(root, story.volumes).resolve(from_volume())
    assert is_killed_while_writing(root, story.volumes, story.digest, 20_000, is_new=False)
    assert len(contents(root)) == 1
    await story.is_healed(root)
