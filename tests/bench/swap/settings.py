"""How long a run is, and what its two engines hold."""

from dataclasses import dataclass, replace

from bench.served.recipes import TARGET_MODULES
from bench.served.world import Model
from bench.swap.plan import NAMES, REBORN, Name, many_names

REBORN_SHARE = 0.1
"""Share of the requests that go to the name that is deleted and made again."""


@dataclass(frozen=True, slots=True)
class PartSettings:
    """One engine, and what it goes through."""

    title: str
    names: tuple[Name, ...]
    reborn: Name
    max_resident: int
    max_cached: int
    pairs: int
    """Of phases: one without swaps and one with, in the order ABBA."""
    phase_seconds: float
    swap_every_seconds: float
    flags: tuple[str, ...] = ()
    spread: bool = False
    """Whether popularity falls by rank, as among many names; else all are asked alike."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One run."""

    model: Model
    max_tokens: int
    seed: int
    load: float
    """Share of what the machine sustains."""
    calibration_seconds: float
    clients: int
    """Of the calibration: as many as the engine takes into one batch."""
    parts: tuple[PartSettings, ...]


RESIDENT = PartSettings(
    title="resident",
    names=NAMES,
    reborn=REBORN,
    max_resident=8,
    max_cached=32,
    pairs=10,
    phase_seconds=20.0,
    swap_every_seconds=1.0,
    # No prompt fills such a block (it is also vLLM's default on CPU): what a revision's first requests cost is then
    # the swap, and not the cold prefix cache that any new weights must have.
    flags=("--block-size=128", *TARGET_MODULES),
)
"""Everything fits: the latency is compared here."""

EVICTING = PartSettings(
    title="evicting",
    names=many_names(12),
    reborn=REBORN,
    max_resident=2,
    max_cached=4,
    pairs=2,
    phase_seconds=20.0,
    swap_every_seconds=1.0,
    # Short blocks: prompts repeat, so that an answer from another revision's prefix cache would be seen.
    flags=("--block-size=32", *TARGET_MODULES),
    spread=True,
)
"""Three times as many adapters as the engine caches."""


def settings(model: Model, *, seed: int, load: float, pairs: int, phase_seconds: float, quick: bool) -> Settings:
    """The run that a user asked for."""
    resident = replace(RESIDENT, pairs=2 if quick else pairs, phase_seconds=8.0 if quick else phase_seconds)
    evicting = replace(EVICTING, pairs=1 if quick else EVICTING.pairs, phase_seconds=resident.phase_seconds)
    return Settings(
        model=model,
        max_tokens=16,
        seed=seed,
        load=load,
        calibration_seconds=10.0 if quick else 20.0,
        clients=16,
        parts=(resident, evicting),
    )
