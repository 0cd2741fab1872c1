"""What is mounted into pods."""

from pydantic import ConfigDict, Field

from lora_api.v1alpha1 import common


class ClaimSource(common.ApiModel):
    """A PersistentVolumeClaim in the same namespace."""

    claim_name: common.ObjectName = Field(description="Name of the PersistentVolumeClaim.")


class HostPathSource(common.ApiModel):
    """A folder of the node; for local clusters, refused unless the operator allows it."""

    path: str = Field(
        min_length=1,
        max_length=1024,
        description="Absolute path of the folder on the node.",
        json_schema_extra=common.cel(("self.startsWith('/')", "must be an absolute path")),
    )


class VolumeEntry(common.ApiModel):
    """A volume that is mounted read-only into the pods."""

    model_config = ConfigDict(
        json_schema_extra=common.cel(
            ("[has(self.pvc), has(self.hostPath)].exists_one(set, set)", "exactly one of pvc, hostPath must be set")
        )
    )

    name: common.VolumeName = Field(
        description="Name of the volume, as source.volume.name of an adapter or of this model says it."
    )
    pvc: ClaimSource | None = Field(default=None, description="A PersistentVolumeClaim in the same namespace.")
    host_path: HostPathSource | None = Field(default=None, description="A folder of the node; for local clusters only.")


class Cache(common.ApiModel):
    """The pod's own cache of downloaded files."""

    size_limit: str | None = Field(
        default=None,
        max_length=32,
        pattern=r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$",
        description=(
            "Size limit of the cache, as a quantity; the node's disk when unset. It must hold the base model (if it is "
            "downloaded) and what is wanted of the adapters, each also in the form that is served, and a tenth more."
        ),
    )
