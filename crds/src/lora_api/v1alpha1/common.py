"""What both kinds share: sources, references, conditions."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """Base of every type in a custom resource: camelCase outside, frozen, and tolerant of newer fields."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


def cel(*rules: tuple[str, str]) -> dict[str, Any]:
    """CEL rules for `json_schema_extra`, each `(rule, message)`; see KEP-2876."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


REPOSITORY_FORM = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$"

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
ServedName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$")]
Digest = Annotated[str, Field(max_length=71, pattern=r"^sha256:[a-f0-9]{64}$")]
VolumeName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


class ObjectRef(ApiModel):
    """Names an object of a known kind in the same namespace."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")


class HuggingFaceSource(ApiModel):
    """Files of a repository on the Hugging Face Hub, or on the mirror that HF_ENDPOINT names."""

    repo: str = Field(
        min_length=1,
        max_length=200,
        pattern=REPOSITORY_FORM,
        description="Name of the repository, as in `owner/name`.",
    )
    revision: str = Field(
        default="main",
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$",
        description=(
            "Branch, tag or commit. Of a LoRAAdapter it is resolved to a commit once, and that commit is served until "
            "the source is edited, the annotation lora-operator.io/refresh changes, or source.pollSeconds is set. Of a "
            "LoRAModel each pod looks it up when it starts: name a commit to have all pods the same."
        ),
    )
    subfolder: str | None = Field(
        default=None,
        max_length=512,
        description=(
            "Folder inside the repository that holds the files, or of a LoRAAdapter a file that ends with .gguf; the "
            "repository's root when unset."
        ),
        json_schema_extra=cel(
            (
                "!self.startsWith('/') && !self.split('/').exists(part, part == '..')",
                "must be a relative path without '..'",
            )
        ),
    )


class VolumeSource(ApiModel):
    """Files in a folder of a volume that the LoRAModel mounts."""

    name: VolumeName = Field(description="Name of an entry of the LoRAModel's spec.volumes.")
    path: str = Field(
        default=".",
        min_length=1,
        max_length=1024,
        description="Folder inside the volume that holds the files, or of a LoRAAdapter a file that ends with .gguf.",
        json_schema_extra=cel(
            (
                "!self.startsWith('/') && !self.split('/').exists(part, part == '..')",
                "must be a relative path without '..'",
            )
        ),
    )


class ModelSource(ApiModel):
    """Where the files of a base model come from: exactly one of the fields."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "[has(self.huggingFace), has(self.volume)].exists_one(set, set)",
                "exactly one of huggingFace, volume must be set",
            )
        )
    )

    hugging_face: HuggingFaceSource | None = Field(default=None, description="A repository on the Hugging Face Hub.")
    volume: VolumeSource | None = Field(default=None, description="A folder of a volume that the LoRAModel mounts.")

    def describe(self) -> str:
        """The source in one short line, as `kubectl get` prints it."""
        if self.hugging_face is not None:
            inside = f"/{self.hugging_face.subfolder}" if self.hugging_face.subfolder else ""
            return f"{self.hugging_face.repo}{inside}@{self.hugging_face.revision}"
        if self.volume is not None:
            inside = "" if self.volume.path == "." else f"/{self.volume.path}"
            return f"volume {self.volume.name}{inside}"
        return ""


class SecretRef(ApiModel):
    """Names a Secret in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret, in the same namespace.")


class ConditionStatus(StrEnum):
    """Status of a condition, as in metav1.Condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """One metav1.Condition."""

    type: str = Field(max_length=316, description="What the condition says of the object, as in Ready.")
    status: Literal["True", "False", "Unknown"] = Field(
        description="Whether it holds; Unknown while that cannot be told."
    )
    observed_generation: int = Field(default=0, ge=0, description="The metadata.generation that this was decided for.")
    last_transition_time: str = Field(
        json_schema_extra={"format": "date-time"}, description="When the status last changed."
    )
    reason: str = Field(
        max_length=1024,
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        description="Why it is so, in one CamelCase word.",
    )
    message: str = Field(max_length=32768, description="Why it is so, in words, and what to do about it.")


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=16,
        description="What holds for the object now. Ready is the summary: it repeats the first reason that stands in the way.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]
