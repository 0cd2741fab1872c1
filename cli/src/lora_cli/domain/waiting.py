"""Whether a wish is fulfilled, refused, or still on its way."""

from dataclasses import dataclass
from enum import StrEnum

from lora_api.error_codes import ErrorCode, code_of
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_cli.domain.objects import Adapter, Model, condition, is_seen
from lora_cli.domain.places import CLUSTER, Place
from lora_cli.domain.subject import Subject
from lora_cli.errors import Failed

PASSING = frozenset(
    {
        Reason.PENDING, Reason.FETCHING, Reason.LOADING, Reason.MODEL_NOT_AVAILABLE, Reason.MEMBER_NOT_READY,
        Reason.MODEL_LOADING, Reason.ROLLING_OUT, Reason.SOURCE_UNREACHABLE, Reason.POD_UNREACHABLE, Reason.NO_READY_PODS,
    }
)  # fmt: skip
"""Reasons that may pass by themselves; all others want somebody to do something."""


class Progress(StrEnum):
    """How far the last edit of an object has come."""

    UNSEEN = "unseen"
    UNDER_WAY = "under way"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far, and in which words."""

    progress: Progress
    reason: str
    message: str


def standing(observed: Adapter | Model) -> Standing:
    """How far the last edit has come, by the condition Ready."""
    ready = condition(observed, AdapterCondition.READY)
    if ready is None or not is_seen(observed):
        return Standing(Progress.UNSEEN, Reason.PENDING, "the operator has not seen it yet")
    if ready.status == "True":
        return Standing(Progress.DONE, ready.reason, ready.message)
    passes = ready.status == "Unknown" or ready.reason in PASSING
    return Standing(Progress.UNDER_WAY if passes else Progress.REFUSED, ready.reason, ready.message)


def failure(adapter: Adapter, seen: Standing, waited_seconds: float | None = None, place: Place = CLUSTER) -> Failed:
    """What a command that waited in vain ends with; `waited_seconds` if it gave up, None if it was refused."""
    reason = None if seen.progress is Progress.UNSEEN else seen.reason
    _, then = place.advice(reason, Subject.of(adapter, seen.message))
    said = f"{adapter.meta.name} is not ready: {seen.reason}: {seen.message}"
    if waited_seconds is not None:
        return Failed(ErrorCode.NOT_READY, f"{said} (waited {waited_seconds:g} s)", then=then)
    return Failed(code_of(seen.reason), said, then=then)
