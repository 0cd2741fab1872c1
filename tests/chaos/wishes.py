"""What users want, and what should be served because of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_DIGITS = 6
"""Products of weights are compared to so many."""

Content = tuple[tuple[str, float], ...]
"""What a name answers with: sources and their weights, sorted. Two revisions are the same when these are."""


class Flaw(StrEnum):
    """What is wrong with a wish."""

    MISSING = "missing"
    """There is no such source."""
    DIGEST = "digest"
    """The pinned digest is not that of the files."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One LoRAAdapter as its user wants it: a source, or members."""

    source: str = ""
    weight: float = 1.0
    members: tuple[tuple[str, float], ...] = ()
    strategy: str = "Together"
    flaw: Flaw | None = None

    def __str__(self) -> str:
        parts = " + ".join(f"{name}·{weight:g}" for name, weight in self.members) if self.members else self.source
        flaw = "" if self.flaw is None else f" ({self.flaw})"
        return f"{self.weight:g}·({parts}){flaw} {self.strategy}"


def content(name: str, wishes: Mapping[str, Wish]) -> Content | None:
    """What should be served under a name; None when its wish, or that of a member, cannot be had."""
    wish = wishes.get(name)
    if wish is None or wish.flaw is not None:
        return None
    if not wish.members:
        return scaled(((wish.source, 1.0),), wish.weight)
    parts: list[tuple[str, float]] = []
    for member, weight in wish.members:
        part = content(member, wishes)
        if part is None:
            return None
        parts += scaled(part, weight * wish.weight)
    return tuple(sorted(parts))


def scaled(parts: Content, weight: float) -> Content:
    """The same at another strength."""
    return tuple(sorted((source, round(own * weight, _DIGITS)) for source, own in parts))
