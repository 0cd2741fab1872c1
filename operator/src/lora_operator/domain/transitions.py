"""Events: what a user would want to be told, once per change. A diff of the old status and the new one."""

from collections.abc import Iterator
from typing import Literal

from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.common import Condition, ConditionStatus
from lora_api.v1alpha1.conditions import AdapterCondition, ModelCondition, Reason
from lora_api.v1alpha1.model import LoRAModelStatus
from lora_operator.domain import conditions
from lora_operator.domain.actions import Announcement
from lora_operator.domain.observed import ObservedAdapter, ObservedModel

_OBSTACLES = {
    Reason.LOAD_FAILED: "AdapterLoadFailed",
    Reason.OUT_OF_MEMORY: "AdapterOutOfMemory",
    Reason.STORE_FULL: "AdapterStoreFull",
    Reason.UPDATE_HELD: "AdapterUpdateHeld",
    Reason.VERIFY_FAILED: "AdapterVerifyFailed",
}

_EXPECTED = frozenset(
    {
        Reason.ROLLING_OUT,
        Reason.MODEL_LOADING,
        Reason.SCALED_TO_ZERO,
        Reason.MEMBER_NOT_READY,
        Reason.FETCHING,
        Reason.LOADING,
    }
)
"""A model that is not ready for one of these reasons needs nobody's help."""


def adapter_events(adapter: ObservedAdapter, new: LoRAAdapterStatus) -> tuple[Announcement, ...]:
    """The events about one LoRAAdapter when its stored status becomes `new`."""
    return tuple(
        Announcement("LoRAAdapter", adapter.meta.name, adapter.meta.uid, kind, reason, message)
        for kind, reason, message in _adapter_news(adapter.status, new)
    )


def model_events(model: ObservedModel, new: LoRAModelStatus) -> tuple[Announcement, ...]:
    """The events about a LoRAModel when its stored status becomes `new`."""
    return tuple(
        Announcement("LoRAModel", model.meta.name, model.meta.uid, kind, reason, message)
        for kind, reason, message in _model_news(model.status, new)
    )


_News = Iterator[tuple[Literal["Normal", "Warning"], str, str]]


def _adapter_news(old: LoRAAdapterStatus, new: LoRAAdapterStatus) -> _News:
    ready = conditions.find(new.conditions, AdapterCondition.READY)
    was_ready = conditions.is_true(old.conditions, AdapterCondition.READY)
    is_ready = conditions.is_true(new.conditions, AdapterCondition.READY)
    if ready is not None and is_ready and not (was_ready and old.revision == new.revision):
        yield "Normal", "AdapterServed", ready.message
    for step in conditions.STEPS:
        refused = _newly_false(old.conditions, new.conditions, step)
        if refused is not None:
            available = conditions.is_true(new.conditions, AdapterCondition.AVAILABLE)
            reason = "AdapterUpdateRejected" if available else "AdapterRejected"
            yield "Warning", reason, f"{refused.reason}: {refused.message}"
    if ready is not None and ready.reason in _OBSTACLES:
        late = _newly_false(old.conditions, new.conditions, AdapterCondition.READY)
        if late is not None:
            yield "Warning", _OBSTACLES[Reason(ready.reason)], late.message
    gone = _lost(old.conditions, new.conditions, AdapterCondition.AVAILABLE)
    if gone is not None:
        yield "Warning", "AdapterUnavailable", f"{gone.reason}: {gone.message}"


def _model_news(old: LoRAModelStatus, new: LoRAModelStatus) -> _News:
    ready = conditions.find(new.conditions, ModelCondition.READY)
    if ready is None:
        return
    was_ready = conditions.is_true(old.conditions, ModelCondition.READY)
    if conditions.is_true(new.conditions, ModelCondition.READY):
        if not was_ready:
            yield "Normal", "ModelReady", ready.message
    elif ready.reason in _EXPECTED:
        if was_ready:
            yield "Normal", "ModelNotReady", f"{ready.reason}: {ready.message}"
    elif _newly_false(old.conditions, new.conditions, ModelCondition.READY) is not None:
        yield "Warning", "ModelNotReady", f"{ready.reason}: {ready.message}"


def _newly_false(
    old: tuple[Condition, ...], new: tuple[Condition, ...], kind: AdapterCondition | ModelCondition
) -> Condition | None:
    """The condition if it is False now, and was not, or was for another reason."""
    before, after = conditions.find(old, kind), conditions.find(new, kind)
    if after is None or ConditionStatus(after.status) is not ConditionStatus.FALSE:
        return None
    if before is not None and before.status == after.status and before.reason == after.reason:
        return None
    return after


def _lost(old: tuple[Condition, ...], new: tuple[Condition, ...], kind: AdapterCondition) -> Condition | None:
    """The condition if it was True and is no longer."""
    if not conditions.is_true(old, kind) or conditions.is_true(new, kind):
        return None
    return conditions.find(new, kind)
