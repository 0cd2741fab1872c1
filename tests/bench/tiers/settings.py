"""How large a run is."""

from dataclasses import dataclass, replace

from bench.served.recipes import PURE, WEIGHTS, Recipe
from bench.served.world import Model

MAX_TOKENS = 24
RECIPES: tuple[Recipe, ...] = tuple(dict.fromkeys((*PURE, *WEIGHTS)))
"""What the names answer with, in turn: few enough for every response to be checked."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One run."""

    model: Model
    seed: int
    registered: int
    """Served names, each with files of its own."""
    first: int
    """So many of them are registered before the others, to see what memory follows."""
    max_resident: int = 8
    max_cached: int = 64
    lengths: tuple[int, ...] = tuple(range(12, MAX_TOKENS + 1))
    """Numbers of tokens that requests ask for: clients of equal requests would march in step."""
    pairs: int = 5
    """Of phases: hot names alone with more of the same, and with cold names instead, in the order ABBA."""
    phase_seconds: float = 20.0
    hot: int = 6
    """Names that are asked all the time."""
    hot_clients: int = 8
    extra_share: float = 0.15
    """The other requests, as a share of what the engine sustains."""
    zipf_seconds: float = 60.0
    zipf_load: float = 0.6
    """Share of what the engine sustains."""
    flood_clients: int = 48
    flood_seconds: float = 15.0

    @property
    def names(self) -> list[str]:
        """By popularity."""
        return [f"name-{index:04}" for index in range(self.registered)]

    def recipe(self, name: str) -> Recipe:
        """What a name answers with."""
        return RECIPES[int(name.removeprefix("name-")) % len(RECIPES)]


def settings(model: Model, *, seed: int, registered: int, quick: bool) -> Settings:
    """The run that a user asked for."""
    full = Settings(model, seed, registered, first=min(registered, 100))
    if not quick:
        return full
    return replace(full, pairs=1, phase_seconds=8.0, zipf_seconds=15.0, flood_seconds=6.0)
