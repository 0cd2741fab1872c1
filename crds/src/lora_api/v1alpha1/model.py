"""LoRAModel: a base model and the pods that serve it with its adapters."""

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from lora_api.egress import HostPattern, is_named
from lora_api.v1alpha1 import common
from lora_api.v1alpha1.engine import FLAGS_AGAINST_A_MIXTURE, Accelerator, Engine, forms_of
from lora_api.v1alpha1.mixture import Mixture, MixtureStatus
from lora_api.v1alpha1.volumes import Cache, VolumeEntry

_OPEN_OBJECT: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class Composition(common.ApiModel):
    """How much clients may compose by themselves."""

    max_kept: int = Field(
        default=8,
        ge=1,
        le=1024,
        description=(
            "Compositions that each pod keeps ready; the one that was not asked for the longest goes first. Each takes its "
            "turn in maxCached and room on the disk as an adapter does."
        ),
    )
    per_minute: int = Field(
        default=30,
        ge=1,
        le=6000,
        description="New compositions that each pod makes within a minute, over all clients; more are answered with 429.",
    )


class AdapterLimits(common.ApiModel):
    """Room for adapters in each pod. A change restarts the pods, one by one."""

    model_config = ConfigDict(
        json_schema_extra=common.cel(("self.maxCached >= self.maxResident", "maxCached must be at least maxResident"))
    )

    max_rank: int = Field(
        default=64, ge=1, le=512, description="Largest rank of an adapter or blend; costs device memory per slot."
    )
    max_resident: int = Field(
        default=8,
        ge=1,
        le=1024,
        description="Adapters that can take part in one batch (device slots); one more is added for swaps.",
    )
    max_cached: int = Field(
        default=64,
        ge=1,
        le=65536,
        description=(
            "Adapters kept in the engine's host memory. More may be declared: the others wait on the pod's disk and are "
            "loaded when a request wants them."
        ),
    )
    composition: Composition | None = Field(
        default=None,
        description=(
            "Lets requests carry `lora: {weight}` or `lora: {blend}`: an adapter at another weight, or a sum of several, "
            "made for them. Off when unset."
        ),
    )


class CredentialsEntry(common.ApiModel):
    """A Secret that is mounted into the pods."""

    secret_ref: common.SecretRef = Field(
        description="A Secret with the keys that the sources need. The operator never reads it."
    )
    hosts: tuple[HostPattern, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=32,
        description=(
            "Servers that may be shown this Secret; any when unset. Names without a port, `*.example.com` for all names "
            "below one. An adapter that names the Secret for another server (s3, gcs, http, oci) is not accepted. "
            "huggingFace is always allowed: its server is the administrator's choice. A change restarts no pods."
        ),
    )

    def may_be_shown_to(self, host: str) -> bool:
        """Whether a server that the author of an adapter chose may get to know the Secret."""
        return self.hosts is None or is_named(host, self.hosts)


class ApiKey(common.ApiModel):
    """Keys that clients must show, from a Secret."""

    secret_ref: common.SecretRef = Field(description="The Secret. The operator never reads it.")
    key: str = Field(
        default="api-key",
        min_length=1,
        max_length=253,
        pattern=r"^[-._a-zA-Z0-9]+$",
        description=(
            "Key of the Secret that holds the accepted API keys, one a line; `#` begins a comment. A change is noticed "
            "without a restart, as soon as the kubelet has brought it to the pods: to replace a key, list both for a while."
        ),
    )


class ReachableFrom(StrEnum):
    """Who may open connections to the serving port, where the cluster's network enforces NetworkPolicies."""

    EVERYWHERE = "Everywhere"
    NAMESPACE = "Namespace"
    """Pods of the same namespace."""
    NOWHERE = "Nowhere"
    """Those alone whom NetworkPolicies of the user's own let in."""


class LoRAModelSpec(common.ApiModel):
    """What the user wishes."""

    model_config = ConfigDict(
        json_schema_extra=common.cel(
            (
                "!has(self.mixture) || !self.engine.extraArgs.exists(arg, "
                f"arg.replace('_', '-').matches('^({forms_of(FLAGS_AGAINST_A_MIXTURE)})([=.].*)?$'))",
                "engine.extraArgs must not ask for pipeline parallelism, speculative decoding, quantization or KV transfer "
                "together with mixture, abbreviated or not",
            ),
            (
                "!has(self.mixture) || !has(self.adapters.composition)",
                "adapters.composition may not be set together with mixture: there are no adapters beside it",
            ),
            (
                # vLLM's Triton kernels for LoRA assert it when the engine starts.
                "has(self.mixture) || self.engine.dtype != 'Float32' || !(self.accelerator.type in ['NVIDIA', 'AMD'])",
                "engine.dtype may not be Float32 on accelerators of type NVIDIA and AMD: vLLM's kernels for adapters there take "
                "Float16 and BFloat16 (a model with mixture needs none of them)",
            ),
        )
    )

    source: common.ModelSource = Field(description="Where the base model's files come from.")
    served_name: common.ServedName | None = Field(
        default=None, description="What clients put in `model=` for the plain base model; metadata.name when unset."
    )
    replicas: int = Field(
        default=1,
        ge=0,
        le=1000,
        json_schema_extra={"format": "int32"},
        description="How many pods serve the model; 0 stops them. An autoscaler may own it.",
    )
    accelerator: Accelerator = Field(default=Accelerator(), description="The hardware each pod asks for.")
    engine: Engine = Field(default=Engine(), description="How vLLM is started. A change restarts the pods, one by one.")
    adapters: AdapterLimits = Field(
        default=AdapterLimits(), description="Room for adapters in each pod. A change restarts the pods, one by one."
    )
    mixture: Mixture | None = Field(
        default=None,
        description=(
            "Serves an X-LoRA of the base model instead of the base model and adapters beside it: adapters as experts, mixed "
            "anew for each token. LoRAAdapters that name this model are not accepted."
        ),
    )
    credentials: tuple[CredentialsEntry, ...] = Field(
        default=(),
        max_length=16,
        description=(
            "Secrets mounted into the pods, for sources that need a token; adapters may name these and no others. Adding or "
            "removing one restarts the pods, one by one."
        ),
    )
    volumes: tuple[VolumeEntry, ...] = Field(
        default=(),
        max_length=16,
        description="Volumes mounted read-only into the pods, for source.volume. A change restarts the pods, one by one.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    api_key: ApiKey | None = Field(
        default=None,
        description=(
            "What clients must show as `Authorization: Bearer <key>` or `X-Api-Key: <key>`; whoever shows none of the keys gets "
            "401, and nobody gets in while the Secret is missing. Anybody may ask when unset. /health, /ping, /ready and "
            "/metrics stay open."
        ),
    )
    reachable_from: ReachableFrom = Field(
        default=ReachableFrom.EVERYWHERE,
        description=(
            "Who may reach the serving port, where the cluster's network enforces NetworkPolicies. Everywhere: every client. "
            "Namespace: pods of this namespace. Nowhere: those alone whom a NetworkPolicy of your own lets in. A change "
            "restarts no pods."
        ),
    )
    cache: Cache = Field(default=Cache(), description="Disk that each pod may use for downloaded files.")
    resources: dict[str, Any] = Field(
        default_factory=dict,
        description="Requests and limits of the container that serves, as in a Pod; devices are added as accelerator says.",
        json_schema_extra=_OPEN_OBJECT,
    )
    pod_template: dict[str, Any] = Field(
        default_factory=dict,
        description=(
            "A strategic-merge patch over the generated pod template: node selectors, tolerations, extra volumes. The "
            "container is named `runtime`."
        ),
        json_schema_extra=_OPEN_OBJECT,
    )


class ModelCapacity(common.ApiModel):
    """Room for adapters in one pod, as its engine measures it."""

    slots: int = Field(ge=0, description="Adapters that can take part in one batch; one more than maxResident.")
    slot_bytes: int = Field(
        ge=0,
        json_schema_extra={"format": "int64"},
        description="Device memory of one slot, over all devices of the pod.",
    )
    max_cached: int = Field(ge=0, description="Adapters that the engine holds in host memory.")


class ModelSummary(common.ApiModel):
    """Words for the columns of `kubectl get`."""

    source: str = Field(default="", max_length=1024, description="The source in one line.")
    replicas: str = Field(default="", max_length=32, description="Ready pods out of wanted ones.")
    adapters: str = Field(default="", max_length=32, description="Ready adapters out of declared ones.")
    mixture: str = Field(
        default="", max_length=64, description="Experts of an X-LoRA, and whether its classifier is trained."
    )


class LoRAModelStatus(common.ApiModel):
    """What the operator observes."""

    conditions: common.Conditions = ()
    observed_generation: int = Field(
        default=0,
        ge=0,
        description="The metadata.generation that this status is about; a smaller number means that the last edit was not seen yet.",
    )
    replicas: int = Field(default=0, ge=0, description="How many pods exist; read by autoscalers.")
    ready_replicas: int = Field(default=0, ge=0, description="How many pods are ready to serve.")
    selector: str = Field(default="", max_length=1024, description="Label selector of the pods; read by autoscalers.")
    adapters: int = Field(default=0, ge=0, description="How many LoRAAdapters name this model.")
    ready_adapters: int = Field(default=0, ge=0, description="How many LoRAAdapters of this model are Ready.")
    capacity: ModelCapacity | None = Field(
        default=None, description="Room for adapters in each pod; unset while no pod serves."
    )
    mixture: MixtureStatus | None = Field(default=None, description="Of an X-LoRA; unset without spec.mixture.")
    url: str = Field(
        default="", max_length=1024, description="Where the OpenAI-compatible API answers inside the cluster."
    )
    summary: ModelSummary = Field(default=ModelSummary(), description="Words for the columns of kubectl get.")


class LoRAModel(common.ApiModel):
    """A base model and the pods that serve it together with its adapters."""

    kind: ClassVar[str] = "LoRAModel"
    plural: ClassVar[str] = "loramodels"

    spec: LoRAModelSpec = Field(description="The base model, the pods that serve it, and what adapters may use.")
    status: LoRAModelStatus = Field(
        default=LoRAModelStatus(), description="What the operator last saw; written by it alone."
    )
