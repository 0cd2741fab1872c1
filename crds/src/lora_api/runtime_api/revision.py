"""How the tensors of one revision are made."""

import hashlib
import json
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from lora_api.runtime_api.limits import QUICK
from lora_api.v1alpha1.adapter import AdapterSource, Precision, Verify
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.wire import Digest, Revision, WireModel


class Part(WireModel):
    """One trained adapter inside a revision, and how strongly it acts."""

    source: AdapterSource
    """Pinned: a Hugging Face revision is a commit here, an OCI tag has its digest, other servers' files their ETags."""
    digest: Digest
    """Digest of the files; a pod that finds other bytes refuses them."""
    weight: float = Field(allow_inf_nan=False)
    """Product of the weights on the way from the recipe it stands in down to this adapter."""


class Recipe(WireModel):
    """How the tensors of an adapter are made from files; a tree, since some blends can only be made one by one."""

    parts: Annotated[tuple["Part | BlendedPart", ...], QUICK] = Field(min_length=1)
    method: BlendMethod = BlendMethod.CONCAT
    rank: int | None = Field(default=None, ge=1)
    """Largest rank of the result in each module; set for every method but Concat."""
    density: float | None = Field(default=None, gt=0, le=1)
    """Share of each part's values that TIES and DARE keep."""
    seed: int | None = None
    """Decides which values DARE drops."""

    @model_validator(mode="after")
    def _rank_belongs_to_method(self) -> Self:
        if (self.rank is None) is not (self.method is BlendMethod.CONCAT):
            raise ValueError("rank is set for every method but Concat")
        return self

    @property
    def leaves(self) -> tuple[Part, ...]:
        """Every trained adapter in the tree, whose files are needed; its weight is that within its own recipe."""
        found: list[Part] = []
        for part in self.parts:
            found.extend((part,) if isinstance(part, Part) else part.recipe.leaves)
        return tuple(found)

    @property
    def depth(self) -> int:
        """How many recipes lie within each other: 1 when all parts are files."""
        return 1 + max(0 if isinstance(part, Part) else part.recipe.depth for part in self.parts)

    @property
    def concatenates_only(self) -> bool:
        """Whether all is exact concatenation, which costs no more than reading and writing the tensors."""
        return self.method is BlendMethod.CONCAT and all(isinstance(part, Part) for part in self.parts)

    @property
    def facts(self) -> list[Any]:
        """All that decides the bytes, as JSON.

        Where files come from is not in it: the same files at another place give the same bytes.
        """
        parts = [[p.digest if isinstance(p, Part) else p.recipe.facts, p.weight] for p in self.parts]
        options = [] if self.method is BlendMethod.CONCAT else [self.rank, self.density, self.seed]
        return [parts, self.method.value, *options]


class BlendedPart(WireModel):
    """A blend inside a revision that has to be made on its own, and how strongly it acts."""

    recipe: Recipe
    weight: float = Field(allow_inf_nan=False)


class RevisionSpec(Recipe):
    """All that is needed to make one revision of one served name: same revision, same bytes, on every pod."""

    revision: Revision
    precision: Precision = Precision.AUTO
    verify: Verify | None = None
    """What it must answer before it may be served; not hashed, since it does not change the bytes."""

    @classmethod
    def of(
        cls,
        parts: tuple[Part | BlendedPart, ...],
        method: BlendMethod,
        precision: Precision,
        *,
        rank: int | None = None,
        density: float | None = None,
        seed: int | None = None,
    ) -> Self:
        """Builds the recipe and names it by the hash of what decides its bytes."""
        recipe = Recipe(parts=parts, method=method, rank=rank, density=density, seed=seed)
        listed, name, *options = recipe.facts
        text = json.dumps([listed, name, precision.value, *options], separators=(",", ":"))
        revision = hashlib.sha256(text.encode()).hexdigest()[:8]
        return cls(
            revision=revision, parts=parts, method=method, precision=precision, rank=rank, density=density, seed=seed
        )
