"""Which prompts may be asked of a name. Pure."""

from collections.abc import Sequence

from bench.served.recipes import Recipe
from bench.served.reference import References

LEAST_MARGIN = 0.01
"""In log-probability. Engine and PEFT differ by some 1e-5 in float32: a choice this clear is never turned by rounding."""

_FEWEST_PROMPTS = 3


class TooFewPrompts(ValueError):
    """The recipes of a name cannot be told apart, or are too undecided."""


def usable_prompts(pool: Sequence[Recipe], references: References, least_margin: float = LEAST_MARGIN) -> list[int]:
    """Indices of the prompts to which every recipe of the pool has a clear answer, and each another one.

    Raises:
        TooFewPrompts: hardly any are left.
    """
    count = len(references[pool[0]])
    found = [index for index in range(count) if _is_usable(index, pool, references, least_margin)]
    if len(found) < _FEWEST_PROMPTS:
        names = ", ".join(map(str, pool))
        raise TooFewPrompts(
            f"only {len(found)} of {count} prompts tell {names} apart: give more prompts or more tokens"
        )
    return found


def _is_usable(index: int, pool: Sequence[Recipe], references: References, least_margin: float) -> bool:
    answers = [references[recipe][index] for recipe in pool]
    clear = all(answer.margin >= least_margin for answer in answers)
    return clear and len({answer.tokens for answer in answers}) == len(set(pool))
