"""An engine for tests of everything around it: keeps the protocol's promises, computes nothing."""

import asyncio
import itertools
from collections.abc import Callable, Collection
from pathlib import Path

from lora_api.runtime_api import Capacity, EngineMemory
from lora_api.v1alpha1.adapter import Precision
from lora_runtime.engine.protocol import LoadedAdapter, LoadFailed, Tier


class FakeEngine:
    """Remembers what it was told, in order."""

    def __init__(self, *, refuses: Callable[[Path], str | None] = lambda path: None) -> None:
        """Takes a rule that names why a folder cannot be loaded, or None when it can."""
        self._refuses = refuses
        self._ids = itertools.count(1)
        self.log: list[str] = []
        self.loaded: dict[str, LoadedAdapter] = {}
        self.published: dict[str, LoadedAdapter] = {}
        self.busy: dict[str, asyncio.Event] = {}
        """Engine names that requests use; set the event when they have ended."""
        self.gate = asyncio.Event()
        """Loads wait for it; open at first."""
        self.gate.set()
        self.publishing = asyncio.Event()
        """Flips wait for it; open at first."""
        self.publishing.set()
        self.asked_to_publish = asyncio.Event()
        self.answering = asyncio.Event()
        """Answers wait for it; open at first."""
        self.answering.set()
        self.asked = asyncio.Event()
        """Set when somebody wants an answer."""
        self.answers: dict[str, str | LoadFailed] = {}
        """What each revision says to every prompt, or why it says nothing."""
        self.refuses_to_remove = 0
        """So many removals fail."""

    async def adapted(self, modules: Collection[str]) -> Collection[str]:
        """See Engine.adapted."""
        return modules

    async def load(self, served_name: str, revision: str, path: Path) -> LoadedAdapter:
        """See Engine.load."""
        await self.gate.wait()
        if (why := self._refuses(path)) is not None:
            raise LoadFailed(why)
        lora_id = next(self._ids)
        adapter = LoadedAdapter(served_name, f"{served_name}@{revision}.{lora_id}", lora_id, path)
        self.loaded[adapter.engine_name] = adapter
        self.log.append(f"load {served_name}@{revision}")
        return adapter

    async def answer(self, adapter: LoadedAdapter, prompt: str, max_tokens: int) -> str:
        """See Engine.answer."""
        revision = adapter.engine_name.rpartition("@")[2].partition(".")[0]
        self.log.append(f"answer {adapter.served_name}@{revision}")
        self.asked.set()
        await self.answering.wait()
        found = self.answers.get(revision, "")
        if isinstance(found, LoadFailed):
            raise found
        return found

    async def publish(self, adapter: LoadedAdapter) -> None:
        """See Engine.publish."""
        self.asked_to_publish.set()
        await self.publishing.wait()
        self.published[adapter.served_name] = adapter
        self.log.append(f"publish {adapter.engine_name.rpartition('.')[0]}")

    async def withdraw(self, served_name: str) -> None:
        """See Engine.withdraw."""
        self.log.append(f"withdraw {served_name}")
        self.published.pop(served_name, None)

    async def drained(self, adapter: LoadedAdapter) -> None:
        """See Engine.drained."""
        if (busy := self.busy.get(adapter.engine_name)) is not None:
            await busy.wait()

    async def remove(self, adapter: LoadedAdapter) -> None:
        """See Engine.remove."""
        if self.refuses_to_remove:
            self.refuses_to_remove -= 1
            raise TimeoutError("the engine does not answer")
        del self.loaded[adapter.engine_name]
        self.log.append(f"remove {adapter.engine_name.rpartition('.')[0]}")

    def tier(self, adapter: LoadedAdapter) -> Tier:
        """See Engine.tier."""
        return Tier.HOST if adapter.engine_name in self.loaded else Tier.DISK

    @property
    def capacity(self) -> Capacity:
        """See Engine.capacity."""
        return Capacity(slots=4, slot_bytes=1000, max_cached=8)

    @property
    def precision(self) -> Precision:
        """See Engine.precision."""
        return Precision.FLOAT32

    def host_bytes(self, elements: int) -> int:
        """See Engine.host_bytes."""
        return elements * 2

    async def memory(self) -> EngineMemory:
        """See Engine.memory."""
        names = tuple(sorted(self.loaded))
        return EngineMemory(host_bytes=dict.fromkeys(names, 0), resident=names, slots_bytes=4000)
