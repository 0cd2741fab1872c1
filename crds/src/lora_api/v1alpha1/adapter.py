"""LoRAAdapter: one name that clients can put in `model=`."""

import re
from enum import StrEnum
from typing import ClassVar, Self

from pydantic import ConfigDict, Field

from lora_api.v1alpha1 import common, sources
from lora_api.v1alpha1.blend import Blend, Weight

_PORT = re.compile(r":[0-9]+$")


class AdapterSource(common.ModelSource):
    """Where the files of an adapter come from: exactly one place, and the credentials to read it."""

    model_config = ConfigDict(
        json_schema_extra=common.cel(
            (
                "[has(self.huggingFace), has(self.volume), has(self.s3), has(self.gcs), has(self.http), has(self.oci)]"
                ".exists_one(set, set)",
                "exactly one of huggingFace, volume, s3, gcs, http, oci must be set",
            )
        )
    )

    s3: sources.S3Source | None = Field(default=None, description="A folder in an S3-compatible bucket.")
    gcs: sources.GCSSource | None = Field(default=None, description="A folder in a Google Cloud Storage bucket.")
    http: sources.HTTPSource | None = Field(default=None, description="A folder on a web server.")
    oci: sources.OCISource | None = Field(default=None, description="An artifact in a container registry.")
    credentials_ref: common.SecretRef | None = Field(
        default=None,
        description=(
            "A Secret, which the LoRAModel must list in spec.credentials, because a running pod cannot gain a mount. "
            "Its keys: `token` (huggingFace, http), `accessKeyId`, `secretAccessKey` and perhaps `sessionToken` (s3), "
            "`serviceAccountKey` (gcs), `username` and `password` (http, oci), `.dockerconfigjson` (oci). "
            "Without it, the source is read anonymously."
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

    def describe(self) -> str:
        """The source in one short line, as `kubectl get` prints it."""
        places = (self.s3, self.gcs, self.http, self.oci)
        return next((place.describe() for place in places if place is not None), super().describe())

    @property
    def host(self) -> str | None:
        """The server that the spec names; None also for the clouds' own. Brackets and port are left out."""
        store = self.s3 or self.gcs
        chosen = self.http or self.oci
        url = chosen.server if chosen is not None else None if store is None else store.endpoint
        return None if url is None else _host(url)

    @property
    def credentials_host(self) -> str | None:
        """The server that is shown the credentials: the clouds' own too, and with the bucket's name where that is part of it.

        None for a volume, and for the hub, whose server the author of the source does not choose.
        """
        place = self.s3 or self.gcs or self.http or self.oci
        return None if place is None else _host(place.server)


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
    """The first pod that has the new revision switches, and each other one as soon as it has it, too."""


class Update(common.ApiModel):
    """How a new revision replaces the old one."""

    strategy: UpdateStrategy = Field(
        default=UpdateStrategy.TOGETHER,
        description="Together: all pods switch at once, when all have it. Rolling: each as soon as it has it.",
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
    max_tokens: int = Field(default=16, ge=1, le=256, description="Length of the longest answer, in tokens.")
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
        description="The LoRAModel that serves this adapter. It cannot be changed.",
        json_schema_extra=common.cel(("self.name == oldSelf.name", "may not be changed; create a new LoRAAdapter")),
    )
    served_name: common.ServedName | None = Field(
        default=None,
        description=(
            "What clients put in `model=`; metadata.name when unset. Unique per model: "
            "if two adapters claim a name, the older one has it."
        ),
    )
    source: AdapterSource | None = Field(
        default=None, description="Where the adapter's files come from: exactly one place."
    )
    blend: Blend | None = Field(
        default=None, description="Other adapters of the same model, combined into one; instead of a source."
    )
    weight: Weight = Field(
        default=1.0, description="Scales the adapter's effect: 0 is the base model, 1 as trained. Editable live."
    )
    precision: Precision = Field(
        default=Precision.AUTO,
        description=(
            "Element type that the adapter's tensors are rounded to before they are loaded. Auto loads float32 and leaves the "
            "rounding to the engine."
        ),
    )
    digest: common.Digest | None = Field(
        default=None,
        description=(
            "Digest that the adapter's files must have, as status.digest shows it; other bytes are refused. Unset: those that "
            "the source holds when it is first looked at are pinned."
        ),
    )
    verify: Verify | None = Field(
        default=None,
        description=(
            "A prompt that each pod gives to a new revision before clients see it, and what it must answer to be served. The "
            "answer is generated greedily. A change of this field alone checks what is served already, which is served on "
            "even if it fails."
        ),
    )
    update: Update = Field(default=Update(), description="How a new revision replaces the old one.")


class PodCounts(common.ApiModel):
    """How many pods serve the adapter."""

    desired: int = Field(default=0, ge=0, description="Pods that should serve it.")
    updated: int = Field(default=0, ge=0, description="Ready pods that serve this generation's revision.")
    available: int = Field(default=0, ge=0, description="Ready pods that serve some revision of it.")


class AdapterMemory(common.ApiModel):
    """What the served revision takes in each pod that serves it; of several pods, the largest."""

    disk_bytes: int | None = Field(
        default=None,
        ge=0,
        json_schema_extra={"format": "int64"},
        description="Its tensors on the pod's disk, in the form that is served.",
    )
    host_bytes: int | None = Field(
        default=None,
        ge=0,
        json_schema_extra={"format": "int64"},
        description="Its copy in the engine's host memory, while it is among the model's spec.adapters.maxCached.",
    )
    slot_bytes: int | None = Field(
        default=None,
        ge=0,
        json_schema_extra={"format": "int64"},
        description="Device memory of the slot from which it takes part in batches; the same for every adapter, whatever its rank.",
    )


class PodFailure(common.ApiModel):
    """Why one pod does not serve the wanted revision."""

    pod: str = Field(max_length=253, description="Name of the pod.")
    reason: str = Field(max_length=128, description="Why the pod does not serve it, in one CamelCase word.")
    message: str = Field(max_length=1024, description="Why the pod does not serve it, in words.")


class HistoryEntry(common.ApiModel):
    """A revision that was wanted, and what the spec said of it: enough to go back to it."""

    revision: str = Field(max_length=64, description="Name of the revision, as in status.revision.")
    digest: str | None = Field(default=None, max_length=71, description="Digest of its files; unset for a blend.")
    time: str = Field(json_schema_extra={"format": "date-time"}, description="When it became wanted.")
    source: AdapterSource | None = Field(
        default=None, description="Where its files were, pinned as in status.resolvedSource; unset for a blend."
    )
    blend: Blend | None = Field(
        default=None, description="What it was blended of; what its members were at that time is in their own history."
    )
    weight: Weight | None = Field(default=None, description="What spec.weight was then.")
    precision: Precision | None = Field(default=None, description="What spec.precision was then.")


class AdapterSummary(common.ApiModel):
    """Words for the columns of `kubectl get`."""

    loaded: str = Field(
        default="",
        max_length=32,
        description="Pods that serve this generation's revision, out of those that should; where it cannot be had, those that serve "
        "the revision that stays.",
    )
    resolved: str = Field(default="", max_length=1024, description="The resolved source in one line.")


class LoRAAdapterStatus(common.ApiModel):
    """What the operator observes; a pure function of what the pods report."""

    conditions: common.Conditions = ()
    observed_generation: int = Field(
        default=0,
        ge=0,
        description="The metadata.generation that this status is about; a smaller number means that the last edit was not seen yet.",
    )
    revision: str | None = Field(
        default=None,
        max_length=64,
        description="What is served, in one word: a hash of digests, weights, method and precision. Same revision, same bytes.",
    )
    digest: str | None = Field(default=None, max_length=71, description="Digest of the adapter's files.")
    resolved_source: AdapterSource | None = Field(
        default=None, description="The source, pinned: with a commit, ETags or a digest."
    )
    source_hash: str | None = Field(
        default=None,
        max_length=64,
        description="Hash of the spec.source that resolvedSource and digest were found for.",
    )
    rank: int | None = Field(default=None, ge=0, description="Rank of the adapter or of the whole blend.")
    kept_energy: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description=(
            "Of a blend by SVD, TIES or DARE that a pod has made: the share of the sum of squared singular values that "
            "its rank keeps; 1 means that nothing was cut away."
        ),
    )
    size_bytes: int | None = Field(
        default=None, ge=0, json_schema_extra={"format": "int64"}, description="Size of the adapter's files in bytes."
    )
    memory: AdapterMemory | None = Field(
        default=None,
        description="What the served revision takes in a pod, of several the most; unset while no pod serves it.",
    )
    pods: PodCounts = Field(default=PodCounts(), description="How many pods serve it.")
    failures: tuple[PodFailure, ...] = Field(
        default=(), max_length=5, description="Up to five pods that do not serve the wanted revision, and why."
    )
    history: tuple[HistoryEntry, ...] = Field(
        default=(), max_length=10, description="The last ten revisions that were wanted, newest first."
    )
    summary: AdapterSummary = Field(default=AdapterSummary(), description="Words for the columns of kubectl get.")


class LoRAAdapter(common.ApiModel):
    """One name that clients can put in `model=`: trained weights, or a blend of other adapters."""

    kind: ClassVar[str] = "LoRAAdapter"
    plural: ClassVar[str] = "loraadapters"

    spec: LoRAAdapterSpec = Field(description="What should be served under the name, and how.")
    status: LoRAAdapterStatus = Field(
        default=LoRAAdapterStatus(), description="What the operator last saw; written by it alone."
    )


def _host(url: str) -> str:
    """The host in a URL that has the form of a source's."""
    authority = url.partition("://")[2].partition("/")[0]
    # urlsplit raises an error where brackets hold no address, which the schema cannot refuse.
    return _PORT.sub("", authority).strip("[]").lower()
