"""What adapters take in each pod, and the room there is."""

from collections.abc import Iterable, Sequence

from lora_cli.domain.objects import Adapter, Json, Model
from lora_cli.domain.sizes import size
from lora_cli.domain.tables import Row, Table

COLUMNS = ("ADAPTER", "RANK", "DISK", "HOST", "SLOT")


def taken(found: Iterable[Adapter]) -> Table:
    """What each adapter takes in every pod that serves it, the largest first."""
    by_size = sorted(found, key=lambda one: (-_host(one), one.meta.name))
    return Table(COLUMNS, tuple(Row(_cells(adapter)) for adapter in by_size), "no LoRAAdapters here")


def room(model: Model, found: Sequence[Adapter]) -> tuple[str, ...]:
    """Sentences about the room in each pod of a model."""
    capacity = model.status.capacity
    if capacity is None:
        return (f"{model.meta.name}: no pod has told its room yet",)
    served = [adapter for adapter in found if adapter.status.memory is not None]
    cached = capacity.max_cached
    said = [
        f"{model.meta.name}: {len(served)} adapters served; {capacity.slots} can be in one batch, for which each pod "
        f"keeps {size(capacity.slot_bytes * capacity.slots)} of device memory ({size(capacity.slot_bytes)} each)",
        f"host memory: {min(len(served), cached)} of {cached} places; all served ones together take "
        f"{size(sum(map(_host, served)))}",
    ]
    if len(served) > cached:
        said.append(
            f"{len(served) - cached} wait on the pod's disk and come in when asked for; raise spec.adapters.maxCached "
            f"to hold them all"
        )
    return tuple(said)


def data(model: Model, found: Iterable[Adapter]) -> Json:
    """The same for programs."""
    capacity = model.status.capacity
    return {
        "model": model.meta.name,
        "capacity": None if capacity is None else capacity.model_dump(mode="json", by_alias=True),
        "adapters": [
            {
                "name": adapter.meta.name,
                "rank": adapter.status.rank,
                "memory": None
                if adapter.status.memory is None
                else adapter.status.memory.model_dump(mode="json", by_alias=True),
            }
            for adapter in found
        ],
    }


def _cells(adapter: Adapter) -> tuple[str, ...]:
    rank = "-" if adapter.status.rank is None else str(adapter.status.rank)
    memory = adapter.status.memory
    counts = (None, None, None) if memory is None else (memory.disk_bytes, memory.host_bytes, memory.slot_bytes)
    return (adapter.meta.name, rank, *map(size, counts))


def _host(adapter: Adapter) -> int:
    memory = adapter.status.memory
    return 0 if memory is None or memory.host_bytes is None else memory.host_bytes
