"""Which changes of a status may wait a moment for the next one: steps on the way of what is about to arrive.

A status that is stored at each step costs the API server more than the change itself. One that would be untrue is
never kept waiting, nor is bad news.
"""

from datetime import timedelta

from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.common import ConditionStatus
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_api.v1alpha1.model import LoRAModelStatus
from lora_operator.domain import conditions
from lora_operator.domain.observed import ObservedAdapter, ObservedModel

_PATIENCE = timedelta(seconds=1)
"""A step that takes longer than this is told."""
_TURN = timedelta(seconds=0.02)
_LONGEST = timedelta(seconds=10)

_ON_THE_WAY = frozenset({Reason.FETCHING, Reason.LOADING, Reason.MEMBER_NOT_READY})


def patience(ahead: int) -> timedelta:
    """For how long a step waits at most, if so many others are to be told before it."""
    return min(_PATIENCE + ahead * _TURN, _LONGEST)


def may_wait(adapter: ObservedAdapter, new: LoRAAdapterStatus) -> bool:
    """Whether the stored status of an adapter, which is not `new`, may stand for a moment."""
    old = adapter.status
    if conditions.is_true_of(old.conditions, AdapterCondition.READY, adapter.meta.generation):
        return False
    was_available = conditions.is_true(old.conditions, AdapterCondition.AVAILABLE)
    if was_available and not conditions.is_true(new.conditions, AdapterCondition.AVAILABLE):
        return False
    ready = conditions.find(new.conditions, AdapterCondition.READY)
    if ready is None or ready.reason not in _ON_THE_WAY or new.failures:
        return False
    found = (conditions.find(new.conditions, step) for step in conditions.STEPS)
    return not any(step is not None and step.status == ConditionStatus.FALSE.value for step in found)


def takes_turns(adapter: ObservedAdapter) -> bool:
    """Whether nothing was ever told of it.

    Creations come in hundreds. To tell the first step of each after a second costs the API server as much as to tell the arrivals,
    which then come later. What somebody can have read already is not kept as it is for any longer.
    """
    return not adapter.status.conditions


def only_counts(model: ObservedModel, new: LoRAModelStatus) -> bool:
    """Whether all that is new in a model's status is how many adapters there are, and how many are Ready."""
    old = model.status
    counted = old.summary.model_copy(update={"adapters": new.summary.adapters})
    update = {"adapters": new.adapters, "ready_adapters": new.ready_adapters, "summary": counted}
    return old.model_copy(update=update) == new
