"""How a model and its adapters stand, counted: what metrics can say of them without a series for each adapter."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.common import ConditionStatus
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_api.v1alpha1.model import LoRAModelStatus
from lora_operator.domain import conditions
from lora_operator.domain.observed import ObjectMeta, Snapshot, Unreachable


@dataclass(frozen=True, slots=True)
class Standing:
    """What the conditions of an object say; each of them has few values."""

    ready: str
    available: str
    reason: str
    """That of Ready."""

    @property
    def is_ready(self) -> bool:
        """Whether it is as wished."""
        return self.ready == ConditionStatus.TRUE


@dataclass(frozen=True, slots=True)
class Group:
    """Objects that stand alike."""

    count: int
    since: datetime
    """When Ready of the first of them last became what it is."""


@dataclass(frozen=True, slots=True)
class Tally:
    """One model with its adapters and pods."""

    models: Mapping[Standing, Group] = field(default_factory=dict)
    """The model itself, if it exists."""
    adapters: Mapping[Standing, Group] = field(default_factory=dict)
    unreachable_pods: int = 0
    """Pods that serve, for all that Kubernetes knows, and do not answer the operator."""


def of(snapshot: Snapshot) -> Tally:
    """Counts what is stored: that is what people read."""
    model = snapshot.model
    return Tally(
        models=_groups([] if model is None else [(model.meta, model.status)]),
        adapters=_groups((adapter.meta, adapter.status) for adapter in snapshot.adapters),
        unreachable_pods=sum(
            pod.serves and isinstance(pod.inventory, Unreachable) and pod.inventory.asked for pod in snapshot.pods
        ),
    )


def _groups(objects: Iterable[tuple[ObjectMeta, LoRAModelStatus | LoRAAdapterStatus]]) -> Mapping[Standing, Group]:
    groups: dict[Standing, Group] = {}
    for meta, status in objects:
        # Conditions of both kinds have these two types.
        ready = conditions.find(status.conditions, AdapterCondition.READY)
        available = conditions.find(status.conditions, AdapterCondition.AVAILABLE)
        standing = Standing(
            ready=ConditionStatus.UNKNOWN if ready is None else ready.status,
            available=ConditionStatus.UNKNOWN if available is None else available.status,
            reason=Reason.PENDING if ready is None else ready.reason,
        )
        since = meta.created if ready is None else conditions.moment(ready.last_transition_time)
        before = groups.get(standing, Group(0, since))
        groups[standing] = Group(before.count + 1, min(before.since, since))
    return groups
