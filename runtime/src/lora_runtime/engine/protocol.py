"""What the runtime needs of an engine."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from lora_api.runtime_api import Capacity, EngineMemory
from lora_api.v1alpha1.adapter import Precision
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.engine import out_of_memory


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """One revision of one served name inside the engine.

    Its engine name is never used twice, because the engine compares and caches by name.
    """

    served_name: str
    engine_name: str
    lora_id: int
    path: Path


class Tier(StrEnum):
    """Where an adapter waits for its next request."""

    DISK = "Disk"
    """Registered: its next request waits for one load."""
    HOST = "Host"
    """In the engine."""


@dataclass(frozen=True, slots=True)
class NotServed:
    """Why a declared name is not served."""

    reason: Reason
    message: str

    def __str__(self) -> str:
        return self.message


class LoadFailed(Exception):
    """The engine refused an adapter that passed our own checks; it holds nothing of it."""

    @property
    def reason(self) -> Reason:
        """Whether it was memory; by the engine's words, which come from another process."""
        return Reason.OUT_OF_MEMORY if out_of_memory.is_said(str(self)) else Reason.LOAD_FAILED


class Engine(Protocol):
    """Loads adapters and decides which one answers for a served name. Every call may come from any event loop."""

    async def adapted(self, modules: Collection[str]) -> Collection[str]:
        """Those of the base model's modules that adapters act on.

        Args:
            modules: by their names in adapters, which are those in the model's Hugging Face class.

        Raises:
            TimeoutError: it had no time to answer.
        """
        ...

    async def load(self, served_name: str, revision: str, path: Path) -> LoadedAdapter:
        """Takes an adapter under a name that no client can ask for, loaded if there is room for it.

        If there is not, it waits on disk, and is loaded for the first request that wants it; unless the name is served
        already, for which room is made.

        Args:
            served_name: the public name that it will answer for.
            revision: goes into the engine name, for people who read logs and metrics.
            path: folder that holds these bytes for as long as the adapter may be used.

        Raises:
            LoadFailed: with the engine's words.
        """
        ...

    async def answer(self, adapter: LoadedAdapter, prompt: str, max_tokens: int) -> str:
        """What it goes on with after a prompt, greedily; it need not be published.

        Raises:
            LoadFailed: with the engine's words.
        """
        ...

    async def publish(self, adapter: LoadedAdapter) -> None:
        """Makes new requests for the served name use this adapter, from one request to the next."""
        ...

    async def withdraw(self, served_name: str) -> None:
        """Makes the served name unknown to new requests."""
        ...

    async def drained(self, adapter: LoadedAdapter) -> None:
        """Returns when no request that may use the adapter is under way. It must not be published any more."""
        ...

    async def remove(self, adapter: LoadedAdapter) -> None:
        """Gives the adapter's memory back."""
        ...

    def tier(self, adapter: LoadedAdapter) -> Tier:
        """Any thread: where the adapter is now."""
        ...

    @property
    def capacity(self) -> Capacity:
        """Any thread: room for adapters, as the engine was started."""
        ...

    @property
    def precision(self) -> Precision:
        """Any thread: what it rounds adapters to; never Auto."""
        ...

    def host_bytes(self, elements: int) -> int:
        """Any thread: what an adapter of so many matrix elements takes in the host cache, over all workers."""
        ...

    async def memory(self) -> EngineMemory:
        """What the engine's own tensors take now; asks its workers, between two of their steps."""
        ...
