"""Whatever is fetched, wanted, let go and restarted in whatever order: the budget holds, and what is needed stays."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lora_api.runtime_api import Refusal
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.common import VolumeSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import ADAPTER_FILES, Refused
from lora_runtime.store.budget import USABLE_SHARE
from lora_runtime.store.content import ContentStore, Needed
from lora_runtime.store.digest import digest_of
from lora_runtime.store.disk import size_of
from lora_runtime.store.progress import Progress
from lora_runtime.store.room import Volume
from lora_runtime.store.sources.source import Sources

COUNT = 6
BLOCK = 4096
LIMIT_BYTES = int(15.5 * BLOCK / USABLE_SHARE)
"""Adapter n takes n + 3 blocks, with its folder and its configuration: all six would be 33."""

numbers = st.integers(0, COUNT - 1)


def source(number: int) -> AdapterSource:
    return AdapterSource(volume=VolumeSource(name="shared", path=str(number)))


class Blocks:
    """Adapter n has n + 1 blocks of tensors."""

    async def pin(self, source: AdapterSource) -> AdapterSource:
        return source

    async def fetch(self, source: AdapterSource, into: Path, progress: Progress) -> None:
        assert source.volume is not None
        write(into, int(source.volume.path), progress)


def write(into: Path, number: int, progress: Progress = lambda done, total: None) -> None:
    size = (number + 1) * BLOCK + 1
    progress(0, size)
    (into / ADAPTER_FILES[0]).write_bytes(b"%d" % number)
    (into / ADAPTER_FILES[1]).write_bytes(b"x" * (size - 1))
    progress(size, size)


class StoreOverTime(RuleBasedStateMachine):
    """The store beside a list of what was used when."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.digests: list[str] = []
        for number in range(COUNT):
            made = self.folder / str(number)
            made.mkdir()
            write(made, number)
            self.digests.append(digest_of(made))
        self.needed: set[int] = set()
        self.order: list[int] = []
        """Least recently used first."""
        self.refused = False

    @initialize()
    def begin(self) -> None:
        self.restart()

    def teardown(self) -> None:
        self.loop.close()
        shutil.rmtree(self.folder)

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def here(self) -> set[int]:
        names = {path.name for path in (self.folder / "store" / "sha256").iterdir()}
        return {number for number, digest in enumerate(self.digests) if digest.removeprefix("sha256:") in names}

    def used(self, number: int) -> None:
        self.order = [other for other in self.order if other != number] + [number]

    @rule()
    def restart(self) -> None:
        blocks = Blocks()
        root = self.folder / "store"
        self.store = ContentStore(root, Sources(hugging_face=blocks, volume=blocks), Volume(root, LIMIT_BYTES))
        self.store.keep(lambda: Needed(digests=[self.digests[number] for number in self.needed]))

    @rule(number=numbers)
    def fetch(self, number: int) -> None:
        before = self.here()
        try:
            self.run(self.store.ensure(source(number), self.digests[number]))
        except Refused as refused:
            refusal: Refusal | None = refused.refusal
        else:
            refusal = None
        if refusal is not None:
            assert refusal.reason is Reason.STORE_FULL
            assert number not in before
            assert before & self.needed <= self.here() <= before
            return
        self.used(number)
        assert number in self.here()
        self.went_in_order(before - self.here(), self.here() - {number})

    @rule(number=numbers)
    def need(self, number: int) -> None:
        self.needed.add(number)

    @precondition(lambda self: self.needed)
    @rule(data=st.data())
    def let_go(self, data: Any) -> None:
        number = data.draw(st.sampled_from(sorted(self.needed)))
        self.run(self.store.collect())
        self.needed.remove(number)
        self.run(self.store.collect())
        if number in self.here():
            self.used(number)

    @rule()
    def collect(self) -> None:
        before = self.here()
        self.run(self.store.collect())
        assert self.here() == before, "within the budget, nothing goes"

    @invariant()
    def the_budget_holds(self) -> None:
        assert size_of(self.folder / "store" / "sha256") - size_of_empty(self.folder) <= LIMIT_BYTES * USABLE_SHARE

    @invariant()
    def all_that_is_here_is_whole(self) -> None:
        contents = self.folder / "store" / "sha256"
        assert all(digest_of(path) == f"sha256:{path.name}" for path in contents.iterdir())

    def went_in_order(self, gone: set[int], stayed: set[int]) -> None:
        assert not gone & self.needed, "what is needed stays"
        spare = [number for number in self.order if number in (gone | stayed) - self.needed]
        assert set(spare[: len(gone)]) == gone, "the least recently used goes first"


def size_of_empty(folder: Path) -> int:
    """What the folder of contents takes itself."""
    path = folder / "empty"
    path.mkdir(exist_ok=True)
    return size_of(path)


TestStoreOverTime = StoreOverTime.TestCase
TestStoreOverTime.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
