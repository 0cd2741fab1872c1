"""LoRAAdapter: one name that clients can put in `model=`."""

from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import ConfigDict, Field

from lora_api.v1alpha1 import common

Weight = Annotated[float, Field(ge=-10, le=10)]


class AdapterSource(common.ModelSource):
    """Where the files of an adapter come from: exactly one place, and the credentials to read it."""

    credentials_ref: common.SecretRef | None = Field(
        default=None,
        description=(
            "A Secret with the key `token`. The LoRAModel must list it in spec.credentials, "
            "because a running pod cannot gain a mount."
        ),
    )
    poll_seconds: int | None = Field(
        default=None,
        ge=10,
        le=31_536_000,
        description=(
            "Look this often whether the source holds other files: a branch or tag that moved, a folder that was "
            "written to. What is served stays while that fails. Unset: never look; a change of the annotation "
            "lora-operator.io/refresh asks once."
        ),
    )

    @property
    def place(self) -> Self:
        """The same place, apart from how often to look there."""
        return self.model_copy(update={"poll_seconds": None})


class BlendMethod(StrEnum):
    """How the members of a blend are combined."""

    CONCAT = "Concat"
    """Exact: A matrices stacked, B matrices scaled and stacked; the rank is the sum of the members' ranks."""


class BlendMember(common.ApiModel):
    """One adapter in a blend, and how strongly it acts."""

    adapter_ref: common.ObjectRef = Field(description="A LoRAAdapter of the same model.")
    weight: Weight = Field(default=1.0, description="Scales the member's effect; multiplied with its own spec.weight.")


class Blend(common.ApiModel):
    """A weighted sum of other adapters, served under a name of its own."""

    method: BlendMethod = Field(default=BlendMethod.CONCAT, description="How the members are combined.")
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


class Precision(StrEnum):
    """Rounding of the published tensors."""

    AUTO = "Auto"
    FLOAT32 = "Float32"
    BFLOAT16 = "BFloat16"
    FLOAT16 = "Float16"


class UpdateStrategy(StrEnum):
    """How the pods of a model go from one revision to the next."""

    TOGETHER = "Together"
    """Every pod prepares the new revision; when all have, they switch within milliseconds of each other."""
    ROLLING = "Rolling"
    """Each pod switches as soon as it has the new revision."""


class Update(common.ApiModel):
    """How a new revision replaces the old one."""

    strategy: UpdateStrategy = Field(
        default=UpdateStrategy.TOGETHER, description="Together: all pods switch at once. Rolling: each when it can."
    )
    timeout_seconds: int = Field(
        default=120,
        ge=1,
        le=3600,
        description="After this long, an update that some pod cannot prepare is reported as UpdateHeld; the old revision serves on.",
    )


class Verify(common.ApiModel):
    """What the adapter must answer before any client is served with it."""

    model_config = ConfigDict(
        json_schema_extra=common.cel(
            (
                "[has(self.contains), has(self.sha256)].exists_one(set, set)",
                "exactly one of contains, sha256 must be set",
            )
        )
    )

    prompt: str = Field(
        min_length=1, max_length=8192, description="The text to go on from, as it is: no chat template is applied."
    )
    max_tokens: int = Field(default=16, ge=1, le=256, description="Longest answer, in tokens.")
    contains: str | None = Field(
        default=None, min_length=1, max_length=1024, description="The answer must contain this text."
    )
    sha256: str | None = Field(
        default=None,
        max_length=64,
        pattern=r"^[a-f0-9]{64}$",
        description="The answer must be exactly the text with this SHA-256 (of its UTF-8 bytes, in hexadecimal).",
    )


class LoRAAdapterSpec(common.ApiModel):
    """What the user wishes."""

    model_config = ConfigDict(
        json_schema_extra=common.cel(
            ("[has(self.source), has(self.blend)].exists_one(set, set)", "exactly one of source, blend must be set"),
            ("!has(self.digest) || has(self.source)", "digest may only be set together with source"),
        )
    )

    model_ref: common.ObjectRef = Field(
        description="The LoRAModel that serves this adapter.",
        json_schema_extra=common.cel(("self.name == oldSelf.name", "may not be changed; create a new LoRAAdapter")),
    )
    served_name: common.ServedName | None = Field(
        default=None,
        description=(
            "What clients put in `model=`; metadata.name when unset. Unique per model: "
            "if two adapters claim a name, the older one has it."
        ),
    )
    source: AdapterSource | None = Field(default=None, description="Where the adapter's files come from.")
    blend: Blend | None = Field(default=None, description="A weighted sum of other adapters.")
    weight: Weight = Field(
        default=1.0, description="Scales the adapter's effect: 0 is the base model, 1 as trained. Editable live."
    )
    precision: Precision = Field(
        default=Precision.AUTO,
        description="Rounding of the published tensors; Auto keeps float32 for the engine to round.",
    )
    digest: common.Digest | None = Field(default=None, description="Refuse any other bytes than these.")
    verify: Verify | None = Field(
        default=None,
        description=(
            "Each pod lets a revision generate greedily before clients see it, and refuses it when the answer is another. "
            "A change of this alone checks what is served; it is served on even if it fails."
        ),
    )
    update: Update = Field(default=Update(), description="How a new revision replaces the old one.")


class PodCounts(common.ApiModel):
    """How many pods serve the adapter."""

    desired: int = Field(default=0, ge=0, description="Pods that should serve it.")
    updated: int = Field(default=0, ge=0, description="Ready pods that serve this generation's revision.")
    available: int = Field(default=0, ge=0, description="Ready pods that serve some revision of it.")


class PodFailure(common.ApiModel):
    """Why one pod does not serve the wanted revision."""

    pod: str = Field(max_length=253, description="Name of the pod.")
    reason: str = Field(max_length=128, description="Why, in one CamelCase word.")
    message: str = Field(max_length=1024, description="Why, in words.")


class HistoryEntry(common.ApiModel):
    """A revision that was served."""

    revision: str = Field(max_length=64, description="The revision.")
    digest: str | None = Field(default=None, max_length=71, description="Digest of its files; unset for a blend.")
    time: str = Field(json_schema_extra={"format": "date-time"}, description="When it became wanted.")


class AdapterSummary(common.ApiModel):
    """Words for the columns of `kubectl get`."""

    loaded: str = Field(default="", max_length=32, description="Updated pods out of desired ones.")
    resolved: str = Field(default="", max_length=1024, description="The resolved source in one line.")


class LoRAAdapterStatus(common.ApiModel):
    """What the operator observes; a pure function of what the pods report."""

    conditions: common.Conditions = ()
    observed_generation: int = Field(
        default=0, ge=0, description="The metadata.generation this status was decided for."
    )
    revision: str | None = Field(
        default=None,
        max_length=64,
        description="Hash of digests, weights, method and precision: same revision, same bytes.",
    )
    digest: str | None = Field(default=None, max_length=71, description="Digest of the adapter's files.")
    resolved_source: AdapterSource | None = Field(
        default=None, description="The source with its revision pinned to a commit."
    )
    source_hash: str | None = Field(
        default=None, max_length=64, description="Hash of the spec.source that resolvedSource and digest belong to."
    )
    rank: int | None = Field(default=None, ge=0, description="Rank of the adapter or of the whole blend.")
    size_bytes: int | None = Field(
        default=None, ge=0, json_schema_extra={"format": "int64"}, description="Size of the adapter's files in bytes."
    )
    pods: PodCounts = Field(default=PodCounts(), description="How many pods serve it.")
    failures: tuple[PodFailure, ...] = Field(
        default=(), max_length=5, description="Up to five pods that do not, and why."
    )
    history: tuple[HistoryEntry, ...] = Field(
        default=(), max_length=10, description="The last revisions, newest first."
    )
    summary: AdapterSummary = Field(default=AdapterSummary(), description="Words for the columns of kubectl get.")


class LoRAAdapter(common.ApiModel):
    """One name that clients can put in `model=`: trained weights, or a blend of other adapters."""

    kind: ClassVar[str] = "LoRAAdapter"
    plural: ClassVar[str] = "loraadapters"

    spec: LoRAAdapterSpec = Field(description="What the user wishes.")
    status: LoRAAdapterStatus = Field(default=LoRAAdapterStatus(), description="What the operator observes.")
