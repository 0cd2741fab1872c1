"""What is changed, one after the other. Pure: the randomness comes in as an argument."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from random import Random

from bench.control.settings import Settings
from bench.served.choice import LEAST_MARGIN
from bench.served.recipes import Recipe, recipe
from bench.served.reference import References

WEIGHTS = tuple(step / 10 for step in range(-20, 21, 2) if step)
EDITED = "edited"
"""The name that exists all the time."""


def source(number: int) -> str:
    """The name of a folder with an adapter of its own."""
    return f"source-{number:03}"


FIRST = recipe(**{source(0): 1.0})
"""What EDITED serves before the first change."""


class Kind(StrEnum):
    """What a user does."""

    WEIGHT = "weight"
    SOURCE = "source"
    CREATE = "create"
    SLOW = "slow pod"
    """An edit of the weight while the engine of one pod stands still."""
    DELETE = "delete"
    """Of what was just created."""
    BARE = "create, bare"
    """A creation without the operator: plain vLLM, and a controller that does the least a controller can do."""
    BARE_DELETE = "delete, bare"


@dataclass(frozen=True, slots=True)
class Change:
    """From one revision of a name to the next."""

    kind: Kind
    name: str
    """Of the LoRAAdapter."""
    before: Recipe | None
    """None: the name does not exist yet."""
    after: Recipe | None
    """None: the name does not exist any longer."""
    prompt: int
    """Index of a prompt to which both have a clear answer, each another one."""


def plan(wanted: Settings, references: References, random: Random) -> Iterator[Change]:
    """All changes of a run. Those of the kinds are mixed, so that a slow minute of the machine hits all of them.

    None leads to a recipe that was there before, so that every pod has to make each of them; a new source, and what is created, is
    of files that no pod has seen. What is created is deleted next.
    """
    kinds = [Kind.WEIGHT] * wanted.weights + [Kind.SOURCE] * wanted.sources + [Kind.CREATE] * wanted.creations
    random.shuffle(kinds)
    kinds += [Kind.SLOW] * wanted.slow
    now, sources, weights = FIRST, map(source, count(1)), _shuffled(random)
    for number, kind in enumerate(kinds):
        if kind is Kind.CREATE:
            after = recipe(**{next(sources): random.choice(WEIGHTS)})
            prompt = random.randrange(len(references[after]))
            yield Change(Kind.CREATE, f"new-{number}", None, after, prompt)
            yield Change(Kind.DELETE, f"new-{number}", after, None, prompt)
            continue
        if kind is Kind.SOURCE:
            name, weights = next(sources), _shuffled(random)
        else:
            [(name, _)] = now.parts
        after, prompt = _next(name, weights, now, references, random)
        yield Change(kind, EDITED, now, after, prompt)
        now = after


def _shuffled(random: Random) -> Iterator[float]:
    return iter(random.sample(WEIGHTS, len(WEIGHTS)))


def _next(
    name: str, weights: Iterator[float], now: Recipe, references: References, random: Random
) -> tuple[Recipe, int]:
    """The first recipe that some prompt tells from what is served now, and such a prompt.

    Raises:
        ValueError: no weight is left, which takes as many edits of it in a row.
    """
    for weight in weights:
        after = recipe(**{name: weight})
        prompts = _telling(now, after, references) if after != now else ()
        if prompts:
            return after, random.choice(prompts)
    raise ValueError(f"no weight of {name} is left: take another seed")


def _telling(before: Recipe, after: Recipe, references: References) -> Sequence[int]:
    pairs = enumerate(zip(references[before], references[after], strict=True))
    return [
        index for index, (old, new) in pairs if old.tokens != new.tokens and min(old.margin, new.margin) >= LEAST_MARGIN
    ]
