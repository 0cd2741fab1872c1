"""How large a run is."""

from dataclasses import dataclass

from bench.served.world import Model

MAX_TOKENS = 24


@dataclass(frozen=True, slots=True)
class Settings:
    """One run."""

    model: Model
    seed: int
    prompts: int = 16
    """Of one call, and as many calls one after another."""
    pairs: int = 6
    """Each of both, in the order ABBA."""


def settings(model: Model, *, seed: int, quick: bool) -> Settings:
    """The run that a user asked for."""
    return Settings(model, seed, pairs=2 if quick else 6)
