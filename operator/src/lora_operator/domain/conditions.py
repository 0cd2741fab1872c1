"""Conditions as metav1 wants them: a time that moves only when the status flips, and messages cut to length."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from lora_api.v1alpha1.common import Condition, ConditionStatus
from lora_api.v1alpha1.conditions import AdapterCondition, ModelCondition, Reason

MAX_MESSAGE = 32768
"""Longest message of a condition, in characters."""

STEPS = (AdapterCondition.ACCEPTED, AdapterCondition.FETCHED, AdapterCondition.COMPATIBLE)
"""What a LoRAAdapter passes, in this order, before a pod may load it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is concluded about one condition type, before it has a time."""

    type: AdapterCondition | ModelCondition
    status: ConditionStatus
    reason: Reason
    message: str

    @property
    def is_true(self) -> bool:
        """Whether the condition holds."""
        return self.status is ConditionStatus.TRUE


def with_verdicts(
    before: tuple[Condition, ...], verdicts: Iterable[Verdict], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The conditions to store: one for each verdict, in their order.

    `lastTransitionTime` is kept from `before` unless the status flips.
    """
    stored = {condition.type: condition for condition in before}
    return tuple(_condition(stored.get(verdict.type), verdict, generation, now) for verdict in verdicts)


def find(conditions: tuple[Condition, ...], kind: AdapterCondition | ModelCondition) -> Condition | None:
    """The condition of one type, if it is there."""
    return next((condition for condition in conditions if condition.type == kind), None)


def is_true(conditions: tuple[Condition, ...], kind: AdapterCondition | ModelCondition) -> bool:
    """Whether the condition of one type is there and holds."""
    # A loop, since models count thousands of adapters at each pass.
    for condition in conditions:
        if condition.type == kind:
            return condition.status == ConditionStatus.TRUE.value
    return False


def is_true_of(conditions: tuple[Condition, ...], kind: AdapterCondition | ModelCondition, generation: int) -> bool:
    """Whether the condition of one type is there, and holds of this very generation."""
    found = find(conditions, kind)
    return found is not None and found.status == ConditionStatus.TRUE.value and found.observed_generation == generation


def cut(message: str, length: int) -> str:
    """The message, at most `length` characters long, with an ellipsis where it was cut."""
    return message if len(message) <= length else message[: length - 1] + "…"


def timestamp(moment: datetime) -> str:
    """A moment as Kubernetes writes it: RFC 3339, whole seconds, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    """Reads what `timestamp` wrote."""
    return datetime.fromisoformat(text)


def _condition(before: Condition | None, verdict: Verdict, generation: int, now: datetime) -> Condition:
    same = before is not None and before.status == verdict.status
    return Condition(
        type=verdict.type,
        status=verdict.status.value,
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before is not None and same else timestamp(now),
        reason=verdict.reason,
        message=cut(verdict.message, MAX_MESSAGE),
    )
