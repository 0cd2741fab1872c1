"""Which recipe a served name should answer with, over time. Times are monotonic seconds."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bench.served.recipes import Recipe


@dataclass(slots=True)
class Reign:
    """From when to when a served name may answer with one recipe; no recipe: it is unknown or not ready."""

    recipe: Recipe | None
    wanted_at: float
    """When the document that asks for it was sent: no answer may come from it before."""
    acknowledged_at: float = math.inf
    """When the inventory first said that it serves: whatever starts later may not get the one before."""


class Timeline:
    """What was asked of the runtime for one served name, and what it said it did."""

    def __init__(self, recipe: Recipe | None, at: float) -> None:
        """Begins with what is served, or known to be absent, at a time."""
        self._reigns = [Reign(recipe, at, at)]

    def want(self, recipe: Recipe | None, at: float) -> None:
        """A document that asks for this is about to be sent."""
        self._reigns.append(Reign(recipe, at))

    def acknowledge(self, at: float) -> None:
        """The inventory says that what was asked for last is so."""
        for reign in self._reigns:
            reign.acknowledged_at = min(reign.acknowledged_at, at)

    @property
    def wanted(self) -> Recipe | None:
        """What was asked for last."""
        return self._reigns[-1].recipe

    def allowed(self, started: float, answered_by: float) -> set[Recipe | None]:
        """What a request may be answered with that was sent at `started` and was under way at `answered_by`."""
        return {
            reign.recipe for reign, ended in self._with_ends() if reign.wanted_at <= answered_by and ended > started
        }

    def ever(self) -> set[Recipe | None]:
        """All that was ever asked for."""
        return {reign.recipe for reign in self._reigns}

    def _with_ends(self) -> Iterator[tuple[Reign, float]]:
        ends = [reign.acknowledged_at for reign in self._reigns[1:]] + [math.inf]
        return zip(self._reigns, ends, strict=True)
