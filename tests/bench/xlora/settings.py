"""How large a run is."""

from dataclasses import dataclass, replace

from bench.served.world import Model


@dataclass(frozen=True, slots=True)
class Settings:
    """One run."""

    model: Model
    seed: int
    prompts: int = 4
    """All at once, in every round of everybody."""
    prompt_tokens: int = 96
    """What PEFT computes anew for every token; so the ratio to it grows with this."""
    tokens: int = 32
    rounds: int = 3
    """Of PEFT; each comes with four of the mixture and four of the plain base model."""


def settings(model: Model, *, seed: int, prompt_tokens: int, quick: bool) -> Settings:
    """The run that a user asked for."""
    wanted = Settings(model, seed, prompt_tokens=prompt_tokens)
    return replace(wanted, tokens=12, rounds=1) if quick else wanted
