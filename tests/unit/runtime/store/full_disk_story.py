"""Run by test_full_disk.py on a small filesystem: `full_disk_story.py DISK BASE`. Names each story that ended well."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from lora_api.runtime_api import Desired, DesiredAdapter
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import Refused
from lora_runtime.engine.fake import FakeEngine
from lora_runtime.service import Service
from lora_runtime.store.content import ContentStore, Needed
from lora_runtime.store.digest import digest_of
from lora_runtime.store.sources.source import Sources
from lora_runtime.store.sources.volume import VolumeFiles
from support.models import tiny_adapter
from support.stand_in import EverySourceExists
from unit.runtime.store.sources import contents, from_volume, publish, put, spec_of, versions


class Disk:
    """Fills at the first step that is named, as if others had written there meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fills_at: tuple[str, str] | None = None
        sys.addaudithook(self._step)

    def _step(self, event: str, args: tuple[Any, ...]) -> None:
        if self.fills_at is not None and event == self.fills_at[0] and self.fills_at[1] in str(args[0]):
            self.fills_at = None
            self.fill()

    def fill(self) -> None:
        """A file takes all that is left."""
        with (self.folder / "ballast").open("wb", buffering=0) as out:
            try:
                while True:
                    out.write(b"\0" * 512)
            except OSError:
                return

    def empty(self) -> None:
        """And is gone again."""
        (self.folder / "ballast").unlink()


class Pod:
    """A store with two adapters in its volume, of which one is served."""

    def __init__(self, folder: Path, base: Path, volumes: Path) -> None:
        made = [tiny_adapter(volumes.parent / name, base, seed=seed) for seed, name in enumerate("ab", start=1)]
        self.a, self.b = (digest_of(put(volumes, adapter, adapter.name)) for adapter in made)
        self.root = folder / "store"
        files = VolumeFiles(volumes, 1 << 20)
        self.store = ContentStore(self.root, Sources(hugging_face=files, volume=files))
        self.served = spec_of(self.a, 0.5, path="a")
        self.store.keep(lambda: Needed(specs=[self.served]))

    def check(self) -> None:
        """What is served is there, and nothing half."""
        assert any(name.startswith(self.served.revision) for name in versions(self.root))
        assert all(digest_of(self.root / "sha256" / name) == f"sha256:{name}" for name in contents(self.root))
        assert list((self.root / "scratch").iterdir()) == []


async def fetch(disk: Disk, pod: Pod) -> None:
    """The disk fills while files come in."""
    disk.fills_at = "open", "incoming"
    await _refused(pod.store.ensure(from_volume("b"), pod.b))
    pod.check()
    disk.empty()
    assert digest_of(await pod.store.ensure(from_volume("b"), pod.b)) == pod.b


async def version(disk: Disk, pod: Pod) -> None:
    """The disk fills while a version is made."""
    wanted = spec_of(pod.b, 0.5, path="b")
    await pod.store.ensure(from_volume("b"), pod.b)
    disk.fills_at = "tempfile.mkdtemp", "scratch"
    await _refused(publish(pod.store, wanted))
    pod.check()
    disk.empty()
    assert (await publish(pod.store, wanted)).rank == 8


async def full_before(disk: Disk, pod: Pod) -> None:
    """The disk is full already: nothing is begun, and what nobody needs makes room."""
    await pod.store.ensure(from_volume("b"), pod.b)
    disk.fill()
    await pod.store.collect()
    assert len(contents(pod.root)) == 1, "what nobody needs went, although nothing could be written"
    disk.fill()
    await _refused(pod.store.ensure(from_volume("b"), pod.b))
    pod.check()
    disk.empty()
    assert digest_of(await pod.store.ensure(from_volume("b"), pod.b)) == pod.b


async def document(disk: Disk, pod: Pod) -> None:
    """The document cannot be kept: the pod works on it all the same, and a restart begins with the last kept one."""

    def service() -> Service:
        return Service(
            boot_id="b", workshop=EverySourceExists(), files=pod.store, state_folder=disk.folder, clock=time.monotonic
        )

    def wish(sequence: int) -> Desired:
        adapters = tuple(DesiredAdapter(name=f"a{n}", uid="u", serve=pod.served) for n in range(sequence * 50))
        return Desired(sequence=sequence, adapters=adapters)

    async def after_a_restart() -> int | None:
        restarted = service()
        await restarted.restore(disk.folder / "mounted.json.gz")
        return restarted.inventory().desired_sequence

    async def comes_to(sequence: int) -> None:
        """A pod answers before its disk does."""
        deadline = time.monotonic() + 10
        while await after_a_restart() != sequence:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    given_up: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            given_up.append(str(record.msg))

    logging.getLogger("lora_runtime.kept_document").addHandler(Listener())
    running = service()
    running.attach_engine(FakeEngine())
    await running.put(wish(1))
    await comes_to(1)
    disk.fill()
    await running.put(wish(2))
    assert running.inventory().desired_sequence == 2
    deadline = time.monotonic() + 10
    while not any("not kept" in line for line in given_up):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert await after_a_restart() == 1
    disk.empty()
    await running.put(wish(3))
    await comes_to(3)


async def _refused(work: Coroutine[Any, Any, object]) -> None:
    with pytest.raises(Refused) as caught:
        await work
    assert (caught.value.refusal.reason, caught.value.refusal.retryable) == (Reason.STORE_FULL, True)


async def tell(disk: Disk, base: Path) -> None:
    """Each of them, after one adapter is served."""
    for story in (fetch, version, full_before, document):
        with tempfile.TemporaryDirectory(dir=disk.folder.parent) as elsewhere:
            volumes = Path(elsewhere) / "volumes"
            (volumes / "shared").mkdir(parents=True)
            pod = Pod(disk.folder, base, volumes)
            await publish(pod.store, pod.served)
            await story(disk, pod)
            pod.check()
        sys.stdout.write(f"{story.__name__}\n")
        shutil.rmtree(pod.root)


if __name__ == "__main__":
    asyncio.run(tell(Disk(Path(sys.argv[1])), Path(sys.argv[2])))
