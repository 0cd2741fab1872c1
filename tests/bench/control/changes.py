"""What is changed, one after the other. Pure: the randomness comes in as an argument."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from bench.control.settings import Settings
from bench.served.choice import LEAST_MARGIN
from bench.served.recipes import ADAPTERS, Recipe, recipe
from bench.served.reference import References

WEIGHTS = tuple(step / 10 for step in range(-20, 21, 2) if step)
POOL = tuple(recipe(**{name: weight}) for name in ADAPTERS for weight in WEIGHTS)
"""Every recipe that a change may lead to: each is another revision, whose tensors a pod has to compute anew."""
EDITED = "edited"
"""The name that exists all the time."""
FIRST = recipe(**{ADAPTERS[0]: 1.0})
"""What it serves before the first change."""


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

    What is created is deleted next.
    """
    kinds = [Kind.WEIGHT] * wanted.weights + [Kind.SOURCE] * wanted.sources + [Kind.CREATE] * wanted.creations
    random.shuffle(kinds)
    kinds += [Kind.SLOW] * wanted.slow
    now = FIRST
    for number, kind in enumerate(kinds):
        after, prompt = _next(kind, now, references, random)
        if kind is Kind.CREATE:
            yield Change(Kind.CREATE, f"new-{number}", None, after, prompt)
            yield Change(Kind.DELETE, f"new-{number}", after, None, prompt)
        else:
            yield Change(kind, EDITED, now, after, prompt)
            now = after


def _next(kind: Kind, now: Recipe, references: References, random: Random) -> tuple[Recipe, int]:
    """A recipe, and a prompt that tells it from what is served now."""
    pool = [r for r in POOL if r != now and (_source(r) != _source(now)) is (kind is Kind.SOURCE)]
    while True:
        after = random.choice(pool)
        if kind is Kind.CREATE:
            return after, random.randrange(len(references[after]))
        prompts = _telling(now, after, references)
        if prompts:
            return after, random.choice(prompts)


def _source(of: Recipe) -> str:
    [(name, _)] = of.parts
    return name


def _telling(before: Recipe, after: Recipe, references: References) -> Sequence[int]:
    pairs = enumerate(zip(references[before], references[after], strict=True))
    return [
        index for index, (old, new) in pairs if old.tokens != new.tokens and min(old.margin, new.margin) >= LEAST_MARGIN
    ]
