"""What one mixture must have in common with another to take its place in a running engine. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from lora_runtime.mixture.options import Options
from lora_runtime.mixture.package import Mixture


@dataclass(frozen=True, slots=True)
class Shape:
    """All of a mixture but its values and names."""

    options: Options
    layers: tuple[str, ...]
    experts: int
    ranks: Mapping[tuple[str, int], int]
    """By module and number of the expert."""


def shape_of(mixture: Mixture) -> Shape:
    """The shape of a mixture; that of its classifier follows from it."""
    ranks = {place: int(effect.a.shape[0]) for place, effect in mixture.effects.items()}
    return Shape(mixture.options, mixture.layers, len(mixture.experts), ranks)


def difference(running: Shape, other: Shape) -> str | None:
    """Why the other one needs an engine of its own, in words; None where it does not."""
    if running.options != other.options:
        before, after = running.options.model_dump(), other.options.model_dump()
        changed = [f"{name} from {before[name]} to {after[name]}" for name in before if before[name] != after[name]]
        return f"options change: {', '.join(changed)}"
    if running.experts != other.experts:
        return f"the number of experts changes from {running.experts} to {other.experts}"
    if running.layers != other.layers:
        return "the experts adapt other modules"
    if running.ranks != other.ranks:
        places = sorted({*running.ranks.items()} ^ {*other.ranks.items()})
        (module, expert), _ = places[0]
        before_rank, after_rank = running.ranks.get((module, expert), 0), other.ranks.get((module, expert), 0)
        return f"expert {expert} has rank {after_rank} in {module}, and the one before it {before_rank}"
    return None
