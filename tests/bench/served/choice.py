"""Which prompts may be asked of a name. Pure."""

from collections.abc import Collection, Sequence

from bench.served.recipes import Recipe
from bench.served.reference import References

LEAST_MARGIN = 0.01
"""In log-probability. Engine and PEFT differ by some 1e-5 in float32: a choice this clear is never turned by rounding."""

_FEWEST_PROMPTS = 3


class TooFewPrompts(ValueError):
    """The recipes of a name cannot be told apart, or are too undecided."""


def usable_prompts(
    pool: Sequence[Recipe], references: References, *, others: Collection[Recipe] = (), length: int | None = None
) -> list[int]:
    """Indices of the prompts to which every recipe of the pool has a clear answer, and each another one.

    Args:
        pool: what a name answers with.
        references: what PEFT answers.
        others: recipes that are served beside it, whose answers must differ, too.
        length: so many tokens must tell them apart; None for whole answers.

    Raises:
        TooFewPrompts: hardly any are left.
    """
    count = len(references[pool[0]])
    strangers = set(others) - set(pool)
    found = [index for index in range(count) if _is_usable(index, pool, strangers, references, length)]
    if len(found) < _FEWEST_PROMPTS:
        names = ", ".join(map(str, pool))
        raise TooFewPrompts(
            f"only {len(found)} of {count} prompts tell {names} apart: give more prompts or more tokens"
        )
    return found


def _is_usable(
    index: int, pool: Sequence[Recipe], strangers: Collection[Recipe], references: References, length: int | None
) -> bool:
    def answers(recipes: Collection[Recipe]) -> set[tuple[int, ...]]:
        return {references[recipe][index].tokens[:length] for recipe in recipes}

    clear = all(references[recipe][index].margin >= LEAST_MARGIN for recipe in pool)
    own = answers(pool)
    return clear and len(own) == len(set(pool)) and not own & answers(strangers)
