from datetime import timedelta

from lora_api.v1alpha1.common import Condition, ConditionStatus
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_operator.domain import conditions
from lora_operator.domain.conditions import Verdict
from support.builders import NOW

LATER = NOW + timedelta(hours=1)


def decided(
    status: ConditionStatus,
    reason: Reason = Reason.LOADING,
    message: str = "why",
    before: tuple[Condition, ...] = (),
    generation: int = 2,
) -> Condition:
    verdict = Verdict(AdapterCondition.READY, status, reason, message)
    (condition,) = conditions.with_verdicts(before, [verdict], generation, LATER if before else NOW)
    return condition


def test_a_flipped_status_moves_the_transition_time() -> None:
    before = decided(ConditionStatus.FALSE)

    assert decided(ConditionStatus.TRUE, before=(before,)).last_transition_time == "2026-01-01T13:00:00Z"


def test_another_reason_or_message_does_not_move_the_transition_time() -> None:
    before = decided(ConditionStatus.FALSE, Reason.LOADING, generation=1)

    after = decided(ConditionStatus.FALSE, Reason.LOAD_FAILED, "another", before=(before,))

    assert after.last_transition_time == "2026-01-01T12:00:00Z"
    assert (after.reason, after.message, after.observed_generation) == ("LoadFailed", "another", 2)


def test_a_message_is_cut_to_what_the_schema_takes() -> None:
    message = decided(ConditionStatus.FALSE, message="x" * 40_000).message

    assert len(message) == 32_768
    assert message.endswith("…")


def test_a_timestamp_is_read_back_to_the_second() -> None:
    assert conditions.moment(conditions.timestamp(NOW)) == NOW
