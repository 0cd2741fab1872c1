"""Several adapters of one model, combined into one."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from lora_api.v1alpha1 import common

Weight = Annotated[float, Field(ge=-10, le=10)]


class BlendMethod(StrEnum):
    """How the members of a blend are combined."""

    CONCAT = "Concat"
    """Exact: A matrices stacked, B matrices scaled and stacked; the rank is the sum of the members' ranks."""
    SVD = "SVD"
    """The same sum, cut to the largest singular values: the best approximation of a given rank."""
    TIES = "TIES"
    """Each member keeps its largest values, signs are elected per value, those that agree are averaged; cut as SVD."""
    DARE = "DARE"
    """Each member drops values at random and scales up the rest, then the weighted sum; cut as SVD."""


class BlendMember(common.ApiModel):
    """One adapter in a blend, and how strongly it acts."""

    adapter_ref: common.ObjectRef = Field(description="A LoRAAdapter of the same model.")
    weight: Weight = Field(default=1.0, description="Scales the member's effect; multiplied with its own spec.weight.")


class Blend(common.ApiModel):
    """Other adapters combined, served under a name of its own."""

    model_config = ConfigDict(
        json_schema_extra=common.cel(
            ("!has(self.rank) || self.method != 'Concat'", "rank may only be set with method SVD, TIES or DARE"),
            (
                "!has(self.density) || self.method in ['TIES', 'DARE']",
                "density may only be set with method TIES or DARE",
            ),
            ("!has(self.seed) || self.method == 'DARE'", "seed may only be set with method DARE"),
        )
    )

    method: BlendMethod = Field(
        default=BlendMethod.CONCAT,
        description=(
            "Concat: the exact weighted sum, whose rank is the sum of the members' ranks. SVD: the same sum cut to "
            "`rank`. TIES and DARE: PEFT's merges of members that contradict each other, cut to `rank`."
        ),
    )
    rank: int | None = Field(
        default=None,
        ge=1,
        le=512,
        description=(
            "Rank of the result with SVD, TIES and DARE; the sum of the members' ranks when unset, and never above "
            "the model's spec.adapters.maxRank. status.keptEnergy says what was kept."
        ),
    )
    density: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of each member's values that TIES and DARE keep; 0.5 when unset.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=2**31 - 1,
        description="Which values DARE drops; 0 when unset. The same seed drops the same.",
    )
    members: tuple[BlendMember, ...] = Field(
        min_length=1,
        max_length=16,
        description="The adapters to combine. A change of a member re-makes the blend.",
        json_schema_extra=common.cel(
            (
                "self.all(m, self.exists_one(other, other.adapterRef.name == m.adapterRef.name))",
                "must name each adapter once",
            )
        ),
    )
