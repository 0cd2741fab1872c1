"""The recipe of a blend, from the recipes of its members."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lora_api.recipes.outcome import Blocked
from lora_api.runtime_api import AdapterFacts, BlendedPart, Part, Recipe
from lora_api.v1alpha1.blend import Blend, BlendMethod
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_api.wire import Digest

Files = Mapping[Digest, AdapterFacts]
AnyPart = Part | BlendedPart

_DENSITY = 0.5
_LARGEST_WEIGHT = 1e6
"""Of one part of a blend of blends; each single weight is bounded by the schema."""
_MOST_LEAVES = 512
"""Every pod reads them all, and the document carries them: blends of blends may multiply."""
_DEEPEST = 8

_MERGES = (BlendMethod.TIES, BlendMethod.DARE)
"""PEFT's merges: what they do to a sum is not the sum of what they do to its parts."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a blend."""

    weight: float
    """The member's in the blend, times that of the blend itself."""
    recipe: Recipe
    """How the member itself is made; its own weight is in it."""


@dataclass(slots=True)
class _Term:
    part: AnyPart
    weights: list[float]


def blended(blend: Blend, members: tuple[Member, ...], files: Files, max_rank: int) -> Recipe | Blocked:
    """How to make a blend; moving a member in the spec makes no other recipe.

    A part of weight 0 is left out: it adds nothing, and must not cost rank or have a vote.
    """
    parts: list[AnyPart] = []
    for term in _terms(blend.method, members):
        weight = math.fsum(term.weights)
        if not abs(weight) <= _LARGEST_WEIGHT:  # not `>`: it would let NaN through
            return _too_heavy(term.part, weight)
        if weight != 0:
            parts.append(term.part.model_copy(update={"weight": weight}))
    if not parts:
        return _nothing(members, files)
    parts.sort(key=lambda part: (_key(part), part.weight))
    return _too_much(parts) or _ranked(tuple(parts), blend, files, max_rank)


def rank_of(recipe: Recipe, files: Files) -> int:
    """The largest rank that a module of it can have."""
    return _summed_rank(recipe.parts, files) if recipe.rank is None else recipe.rank


def _terms(method: BlendMethod, members: tuple[Member, ...]) -> list[_Term]:
    if method in _MERGES:
        # one vote for each member, also for two of equal files
        return [_Term(_vector(m.recipe), [m.weight]) for m in members if not _is_nothing(m.recipe)]
    terms: dict[str, _Term] = {}
    for member in members:
        for part in _linear_parts(member.recipe):
            # adding the weights of equal parts is exact, since a sum is linear, and saves rank
            term = terms.setdefault(_key(part), _Term(part, []))
            term.weights.append(member.weight * part.weight)
    return list(terms.values())


def _linear_parts(recipe: Recipe) -> tuple[AnyPart, ...]:
    return recipe.parts if recipe.method is BlendMethod.CONCAT else (_as_part(recipe),)


def _vector(recipe: Recipe) -> AnyPart:
    """The member as it is served, at weight 1: what PEFT calls a task vector."""
    only = recipe.parts[0]
    plain = recipe.method is BlendMethod.CONCAT and len(recipe.parts) == 1 and only.weight == 1
    return only if plain else _as_part(recipe)


def _as_part(recipe: Recipe) -> BlendedPart:
    fields = {name: getattr(recipe, name) for name in Recipe.model_fields}
    return BlendedPart(recipe=Recipe(**fields), weight=1.0)


def _is_nothing(recipe: Recipe) -> bool:
    return all(part.weight == 0 for part in recipe.parts)


def _key(part: AnyPart) -> str:
    return part.digest if isinstance(part, Part) else json.dumps(part.recipe.facts)


def _nothing(members: tuple[Member, ...], files: Files) -> Recipe:
    """An adapter without effect must still be one: that of the least rank, at weight 0."""
    leaves = (leaf for member in members for leaf in member.recipe.leaves)
    least = min(leaves, key=lambda leaf: (files[leaf.digest].rank, leaf.digest))
    return Recipe(parts=(least.model_copy(update={"weight": 0.0}),))


def _ranked(parts: tuple[AnyPart, ...], blend: Blend, files: Files, max_rank: int) -> Recipe | Blocked:
    total = _summed_rank(parts, files)
    raise_it = "raise it (this restarts the pods, one by one)"
    if blend.method is BlendMethod.CONCAT:
        if total > max_rank:
            return _rank_too_large(
                f"members' ranks add up to {total}, above the model's spec.adapters.maxRank {max_rank}; {raise_it}, "
                "blend fewer, or set spec.blend.method to SVD, which cuts the sum to that rank"
            )
        return Recipe(parts=parts)
    if blend.rank is not None and blend.rank > max_rank:
        return _rank_too_large(
            f"spec.blend.rank is {blend.rank}, above the model's spec.adapters.maxRank {max_rank}; lower it, or {raise_it}"
        )
    rank = blend.rank or min(total, max_rank)
    return Recipe(
        parts=parts,
        method=blend.method,
        rank=min(rank, total) if blend.method is BlendMethod.SVD else rank,
        density=(blend.density or _DENSITY) if blend.method in _MERGES else None,
        seed=(blend.seed or 0) if blend.method is BlendMethod.DARE else None,
    )


def _summed_rank(parts: Sequence[AnyPart], files: Files) -> int:
    return sum(files[p.digest].rank if isinstance(p, Part) else rank_of(p.recipe, files) for p in parts)


def _too_heavy(part: AnyPart, weight: float) -> Blocked:
    what = part.source.describe() if isinstance(part, Part) else f"a member's own {part.recipe.method} blend"
    return Blocked(
        AdapterCondition.COMPATIBLE,
        Reason.UNSUPPORTED_FEATURE,
        f"the weights on the way to {what} multiply to {weight:g}, beyond {_LARGEST_WEIGHT:g}; lower them",
    )


def _too_much(parts: Sequence[AnyPart]) -> Blocked | None:
    leaves = sum(1 if isinstance(part, Part) else len(part.recipe.leaves) for part in parts)
    depth = 1 + max(0 if isinstance(part, Part) else part.recipe.depth for part in parts)
    if leaves <= _MOST_LEAVES and depth <= _DEEPEST:
        return None
    return Blocked(
        AdapterCondition.COMPATIBLE,
        Reason.UNSUPPORTED_FEATURE,
        f"the blend comes down to {leaves} trained adapters in {depth} steps, and at most {_MOST_LEAVES} in {_DEEPEST} are "
        "made; use fewer blends of blends, or method Concat, whose members are blended in one step",
    )


def _rank_too_large(message: str) -> Blocked:
    return Blocked(AdapterCondition.COMPATIBLE, Reason.RANK_TOO_LARGE, message)
