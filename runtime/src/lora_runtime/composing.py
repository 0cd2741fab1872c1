"""What a request may ask to be made of served adapters, and the recipe of it. Pure."""

import hashlib
import json
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lora_api.runtime_api import BlendedPart, Part, Recipe, RevisionSpec
from lora_api.v1alpha1.adapter import Precision
from lora_api.v1alpha1.blend import BlendMethod, Weight
from lora_api.v1alpha1.common import ServedName
from lora_api.v1alpha1.conditions import Reason
from lora_api.wire import WireModel

MARK = ":"
"""Between the name that a client asks for and what was composed; no served name may contain it."""

_MEMBERS_AT_MOST = 8


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Member(_Strict):
    """One adapter of a sum."""

    name: ServedName
    weight: Weight = 1.0


class Wish(_Strict):
    """The field `lora` of a request: exactly one of both."""

    weight: Weight | None = None
    """Times what is served under the request's `model`."""
    blend: Annotated[list[Member], Field(min_length=1, max_length=_MEMBERS_AT_MOST)] | None = None
    """A sum of what is served under these names, on the base model."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.weight is None) is (self.blend is None):
            raise ValueError("exactly one of weight, blend must be set")
        return self

    def members(self, model: str) -> list[Member]:
        """What is added up when it is asked of `model`."""
        return [Member(name=model, weight=self.weight or 0.0)] if self.blend is None else list(self.blend)


class Problem(StrEnum):
    """Why a composition cannot be had."""

    OFF = "Off"
    NOT_SERVED = "NotServed"
    REFUSED = "Refused"
    """It can never be served: it is too large, or its values do not fit."""
    QUOTA = "Quota"
    NOT_NOW = "NotNow"


class NotComposed(Exception):
    """A request cannot have what it asks for."""

    def __init__(self, problem: Problem, message: str, reason: Reason | None = None) -> None:
        super().__init__(message)
        self.problem = problem
        self.reason = reason
        """Set where it was REFUSED."""


def recipe_of(wish: Wish, model: str, served: Callable[[str], RevisionSpec | None]) -> RevisionSpec:
    """The exact sum of what the members serve now, at their weights.

    Args:
        wish: what is asked for.
        model: of the request.
        served: what answers for a name.

    Raises:
        NotComposed: nothing answers for a member.
    """
    parts: list[Part | BlendedPart] = []
    precisions = set()
    for member in wish.members(model):
        spec = served(member.name)
        if spec is None:
            raise NotComposed(Problem.NOT_SERVED, f"no adapter is served under the name `{member.name}` now")
        precisions.add(spec.precision)
        parts += _at(spec, member.weight)
    precision = precisions.pop() if len(precisions) == 1 else Precision.AUTO
    # A sum has no order: whoever asks for it in another one gets the same.
    return RevisionSpec.of(tuple(sorted(parts, key=WireModel.canonical)), BlendMethod.CONCAT, precision)


def hidden_name(model: str, spec: RevisionSpec) -> str:
    """The name that a composition has inside of the pod: that of other bytes is another one."""
    facts = json.dumps([spec.facts, spec.precision.value], separators=(",", ":"))
    return f"{model}{MARK}{hashlib.sha256(facts.encode()).hexdigest()[:32]}"


def _at(spec: RevisionSpec, weight: float) -> list[Part | BlendedPart]:
    if spec.method is BlendMethod.CONCAT:
        return [part.model_copy(update={"weight": part.weight * weight}) for part in spec.parts]
    # what a method computes is no sum of its parts: it is made first, and then scaled
    recipe = Recipe(parts=spec.parts, method=spec.method, rank=spec.rank, density=spec.density, seed=spec.seed)
    return [BlendedPart(recipe=recipe, weight=weight)]
