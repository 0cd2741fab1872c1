"""What the engine's LoRA tensors take, by asking its workers for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from lora_runtime.engine.vllm.worker_memory import LoRAMemory

_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class WorkerMemory:
    """One answer of all workers."""

    workers: int
    host: Mapping[int, int]
    """Bytes in the host caches, by the engine's id of the adapter."""
    resident: frozenset[int]
    """Ids that have a slot."""
    slots_bytes: int
    """Device memory of all slots."""

    @classmethod
    def unknown(cls) -> Self:
        """Before anybody was asked."""
        return cls(0, {}, frozenset(), 0)


async def ask(client: Any) -> WorkerMemory:
    """Asks the workers of an engine client; they answer between two steps.

    With data parallelism only the first engine answers, and the others hold the same.
    """
    answers = await client.collective_rpc(LoRAMemory.lora_runtime_memory.__name__, timeout=_TIMEOUT_SECONDS)
    return added(answers)


def added(answers: Sequence[Mapping[str, Any]]) -> WorkerMemory:
    """The sum over workers, each of which holds its own copy of an adapter and its own part of the slots."""
    host: dict[int, int] = {}
    for answer in answers:
        for lora_id, size in answer["host"]:
            host[lora_id] = host.get(lora_id, 0) + size
    resident = frozenset(lora_id for answer in answers for lora_id in answer["resident"])
    return WorkerMemory(len(answers), host, resident, sum(answer["slots"] for answer in answers))
