"""How large a run is."""

from dataclasses import dataclass

from bench.served.world import Model


@dataclass(frozen=True, slots=True)
class Settings:
    """One run."""

    model: Model
    seed: int
    prompts: int = 4
    """All at once, in every round of everybody."""
    prompt_tokens: int = 32
    tokens: int = 24
    rounds: int = 4
    """Of PEFT; each comes with two of the mixture and two of the plain base model."""


def settings(model: Model, *, seed: int, quick: bool) -> Settings:
    """The run that a user asked for."""
    return Settings(model, seed, tokens=12, rounds=1) if quick else Settings(model, seed)
