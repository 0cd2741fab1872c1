"""What a benchmark serves: sums of the model's four adapters, each with outputs of its own."""

from dataclasses import dataclass

ADAPTERS = ("pirate", "formal", "french", "json")
"""Trained ones with the demo's model, seeded ones with the tiny model."""
TARGET_MODULES = ("--lora-target-modules", "q_proj", "k_proj", "v_proj")
"""What they adapt, of one fused module: else vLLM computes a LoRA of zeros for every other linear layer, which takes most
of its time on a CPU."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Adapters at weights; none is the base model."""

    parts: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        return " + ".join(f"{name} {weight:g}" for name, weight in self.parts) or "base"


def recipe(**weights: float) -> Recipe:
    """The recipe with these adapters."""
    return Recipe(tuple(sorted(weights.items())))


BASE = Recipe()
PURE = tuple(recipe(**{name: 1.0}) for name in ADAPTERS)
WEIGHTS = tuple(recipe(pirate=weight) for weight in (1.0, 0.5, 0.25, 1.5))
"""One adapter, turned up and down."""
BLENDS = (
    recipe(pirate=0.7, formal=0.5),
    recipe(pirate=0.7, french=0.5),
    recipe(french=0.7, formal=0.7),
    recipe(pirate=0.5, json=0.8),
    recipe(formal=0.5, json=0.8),
)
"""Blends of which one member goes and another comes."""
EVERY = tuple(dict.fromkeys((*PURE, *WEIGHTS, *BLENDS)))
