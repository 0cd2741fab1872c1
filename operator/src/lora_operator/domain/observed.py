"""What one look at the cluster saw, for one LoRAModel. Plain frozen facts; a pod that does not answer is a fact."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lora_api.runtime_api import Desired, Inventory, ResolveResponse
from lora_api.v1alpha1.adapter import LoRAAdapterSpec, LoRAAdapterStatus
from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.model import LoRAModelSpec, LoRAModelStatus


@dataclass(frozen=True, slots=True)
class ModelKey:
    """The unit of work: one LoRAModel, which may not exist."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """The metadata that decisions need."""

    name: str
    namespace: str
    uid: str
    generation: int
    created: datetime
    annotations: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    """The resourceVersion of the object as it was seen."""


@dataclass(frozen=True, slots=True)
class ObservedModel:
    """A LoRAModel as stored."""

    meta: ObjectMeta
    spec: LoRAModelSpec
    status: LoRAModelStatus


@dataclass(frozen=True, slots=True)
class ObservedAdapter:
    """A LoRAAdapter as stored."""

    meta: ObjectMeta
    spec: LoRAAdapterSpec
    status: LoRAAdapterStatus

    @property
    def uid(self) -> str:
        """See Declared."""
        return self.meta.uid

    @property
    def name(self) -> str:
        """See Declared."""
        return self.meta.name

    @property
    def served_name(self) -> str:
        """What clients put in `model=`."""
        return self.spec.served_name or self.meta.name


@dataclass(frozen=True, slots=True)
class ObservedExpert:
    """A LoRAAdapter that a mixture names."""

    adapter: ObservedAdapter
    model: ObservedModel | None
    """The one that serves it by itself; None when there is none of that name."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A pod whose admin port does not answer."""

    message: str
    asked: bool = True
    """False before the first question to it was answered or failed: nothing is known of it then."""
    refused: bool = False
    """It answers, and does not understand what it was sent."""


@dataclass(frozen=True, slots=True)
class PodProblem:
    """Why Kubernetes cannot run a pod, in the kubelet's and scheduler's words."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """A pod of the model, and what its runtime says."""

    name: str
    ip: str
    """Empty until Kubernetes has given one."""
    ready: bool
    terminating: bool
    created: datetime
    inventory: Inventory | Unreachable
    problem: PodProblem | None = None
    crash: PodProblem | None = None
    """How a container that runs again ended last."""
    mixture_mark: str | None = None
    """See ObservedDeployment; of the template that it was made from."""
    refusal: str | None = None
    """What it answered to the document that it was told last, which it does not understand; None when it does."""

    @property
    def serves(self) -> bool:
        """Whether requests can reach it."""
        return self.ready and not self.terminating


@dataclass(frozen=True, slots=True)
class ObservedDeployment:
    """The model's Deployment."""

    generation: int
    observed_generation: int
    replicas: int
    """Pods that exist."""
    updated: int
    ready: int
    mixture_mark: str | None = None
    """What its template says in the annotation `labels.MIXTURE`."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a pod answered about one adapter's source."""

    source_hash: str
    """Which source was asked about; see `domain.facts.source_hash`."""
    answer: ResolveResponse | Unreachable
    attempts: int
    retry_at: datetime | None = None
    """When to ask again; None while an answer is awaited or when it is final."""
    asked_at: datetime | None = None
    """The source was not looked at before this."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the API server says is wrong with a child as it is wanted."""

    hash: str
    """Which shape of it was refused: its hash annotation."""
    message: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one pass decides from."""

    key: ModelKey
    model: ObservedModel | None
    adapters: tuple[ObservedAdapter, ...]
    """All LoRAAdapters whose modelRef names this model."""
    experts: Mapping[str, ObservedExpert] = field(default_factory=dict)
    """Those of the LoRAAdapters that spec.mixture names which exist, by name."""
    pods: tuple[ObservedPod, ...] = ()
    deployment: ObservedDeployment | None = None
    desired: Desired | None = None
    """The document in force: the last that pods were told, or the ConfigMap's when nobody remembers that."""
    stored: Desired | None = None
    """The document in the ConfigMap; None when that is gone, or cannot be read."""
    changing: Mapping[str, datetime] = field(default_factory=dict)
    """Since when a generation of an adapter is known that is not served everywhere yet, by its UID."""
    resolutions: Mapping[str, Resolution] = field(default_factory=dict)
    """By UID of the adapter."""
    asking_since: datetime | None = None
    """Since when answers are remembered: the start of the operator."""
    resolving: Mapping[str, str] = field(default_factory=dict)
    """Questions to pods that are under way: UID of the adapter to the hash of the source that is asked about."""
    applied: Mapping[str, str] = field(default_factory=dict)
    """Children found in the cluster: `Kind/name` to the hash annotation they carry."""
    inherited: frozenset[str] = frozenset()
    """Those of them that this operator has not applied itself: nobody knows what others did to them before it began."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """The resourceVersions of the children and of the ConfigMap, by `Kind/name`: what is written goes over these alone."""
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    """Children that the API server would not take when they were applied last, by `Kind/name`."""
    conflicting: Mapping[str, str] = field(default_factory=dict)
    """Children whose name is taken by an object that is not ours: `Kind/name` to who controls it."""
