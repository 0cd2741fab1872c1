"""How long a run is, and what is compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.served.recipes import ADAPTERS
from bench.served.world import BASE_NAME, Model

MAX_TOKENS = 24
CPU_KERNELS = "lora_runtime_cpu_kernels"
"""Our repair of vLLM's CPU kernels, as a plugin of vLLM that works without the runtime."""


@dataclass(frozen=True, slots=True)
class Section:
    """One comparison of the runtime with a bare vLLM."""

    title: str
    why: str
    plugins: tuple[str, ...]
    """That the bare vLLM loads."""
    models: tuple[str, ...]
    """That are asked."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One run."""

    model: Model
    lengths: tuple[int, ...]
    """Numbers of tokens that requests ask for: clients of equal requests would march in step, and a second more or less of
    their march would count as throughput."""
    seed: int
    load: float
    """Share of what the bare vLLM sustains."""
    pairs: int
    """Of blocks: one on each server, in the order ABBA."""
    ramp_seconds: float
    """Of each block, until the batch is full; not counted."""
    saturated_seconds: float
    """Of each block, with as many clients as the engine takes into one batch."""
    steady_seconds: float
    """Of each block, with open-loop arrivals."""
    burstiness: float
    """Of these arrivals: even ones, because a queue that chance piles up costs hundreds of milliseconds in one block and
    nothing in its twin, and p99 would be about these few."""
    clients: int
    max_resident: int
    max_cached: int
    sections: tuple[Section, ...]


class Title(StrEnum):
    """Which comparison."""

    STOCK = "stock"
    REPAIRED = "repaired"


SECTIONS = (
    Section(
        title=Title.STOCK,
        why="vLLM as it is. Adapters alone, because on CPU it answers wrongly to base requests beside adapter requests.",
        plugins=(),
        models=ADAPTERS,
    ),
    Section(
        title=Title.REPAIRED,
        why="vLLM with our repair of its CPU kernels, as the runtime has it: base and adapters mixed.",
        plugins=(CPU_KERNELS,),
        models=(BASE_NAME, *ADAPTERS),
    ),
)


def settings(
    model: Model, *, seed: int, load: float, burstiness: float, pairs: int, quick: bool, sections: Sequence[str] = ()
) -> Settings:
    """The run that a user asked for: with the sections of these titles, or all when none is given."""
    chosen = tuple(section for section in SECTIONS if not sections or section.title in sections)
    return Settings(
        model=model,
        lengths=tuple(range(12, MAX_TOKENS + 1)),
        seed=seed,
        load=load,
        pairs=1 if quick else pairs,
        ramp_seconds=3.0,
        saturated_seconds=5.0 if quick else 12.0,
        steady_seconds=8.0 if quick else 40.0,
        burstiness=burstiness,
        clients=16,
        max_resident=4,
        max_cached=8,
        sections=chosen[:1] if quick else chosen,
    )
