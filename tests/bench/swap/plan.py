"""Which name changes to what, and how. Pure: the randomness comes in as an argument."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from bench.served.recipes import BLENDS, EVERY, PURE, WEIGHTS, Recipe


class Kind(StrEnum):
    """How a name changes."""

    WEIGHT = "weight"
    SOURCE = "source"
    BLEND = "blend"
    RECREATE = "recreate"
    """Deleted, and made again with other bytes under another uid."""
    REPLACE = "replace"
    """The same in one step: one document has the name with another uid and other bytes."""


@dataclass(frozen=True, slots=True)
class Name:
    """A served name, and the recipes that it goes through."""

    name: str
    kinds: tuple[Kind, ...]
    """None: it never changes."""
    pool: tuple[Recipe, ...]


@dataclass(frozen=True, slots=True)
class Swap:
    """One change."""

    name: str
    kind: Kind
    recipe: Recipe


NAMES = (
    Name("weighted", (Kind.WEIGHT,), WEIGHTS),
    Name("styled", (Kind.SOURCE,), PURE),
    Name("blended", (Kind.BLEND,), BLENDS),
    Name("steady", (), PURE[:1]),
)
"""Loaded all the time: nobody may ever be refused."""

REBORN = Name("reborn", (Kind.RECREATE, Kind.REPLACE), PURE)
"""Loaded apart and counted apart: while it is deleted, clients are refused."""


def many_names(count: int) -> tuple[Name, ...]:
    """More names than an engine holds; each goes through three recipes."""
    kinds = (Kind.WEIGHT, Kind.SOURCE, Kind.BLEND)
    return tuple(
        Name(f"name-{index:02}", (kinds[index % 3],), tuple(EVERY[(index + step) % len(EVERY)] for step in range(3)))
        for index in range(count)
    )


class Swaps:
    """The changes in their order: the names take turns, and no name changes to what it is."""

    def __init__(self, names: Sequence[Name], served: Mapping[str, Recipe], random: Random) -> None:
        """Takes the names that change, and what each serves now."""
        self._names = [name for name in names if name.kinds]
        self._served = dict(served)
        self._random = random
        self._turn: list[Name] = []

    def next(self) -> Swap:
        """The next change."""
        if not self._turn:
            self._turn = self._random.sample(self._names, len(self._names))
        name = self._turn.pop()
        recipe = self._random.choice([recipe for recipe in name.pool if recipe != self._served[name.name]])
        self._served[name.name] = recipe
        return Swap(name.name, self._random.choice(name.kinds), recipe)
