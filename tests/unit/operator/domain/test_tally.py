"""What metrics say of a model, from what one look at it saw."""

from datetime import datetime, timedelta

from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.common import Condition
from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.model import LoRAModelStatus
from lora_operator.domain import conditions, tally
from lora_operator.domain.observed import ModelKey, Snapshot, Unreachable
from lora_operator.domain.tally import Group, Standing, Tally
from support.builders import LONG_AGO, NAMESPACE, NOW, a_model, a_pod, an_adapter, unreachable

KEY = ModelKey(NAMESPACE, "smol")


def says(ready: str, reason: Reason, since: datetime, available: str = "True") -> tuple[Condition, ...]:
    """The two conditions that are counted by."""
    stamp = conditions.timestamp(since)
    return (
        Condition.model_validate(
            {"type": "Available", "status": available, "reason": "Serving", "message": "", "lastTransitionTime": stamp}
        ),
        Condition.model_validate(
            {"type": "Ready", "status": ready, "reason": reason, "message": "", "lastTransitionTime": stamp}
        ),
    )


def test_adapters_are_counted_by_what_their_conditions_say_since_the_first_of_them_said_so() -> None:
    stand = {
        "formal": says("False", Reason.LOAD_FAILED, NOW - timedelta(minutes=5)),
        "pirate": says("False", Reason.LOAD_FAILED, NOW),
        "french": says("False", Reason.LOAD_FAILED, NOW - timedelta(minutes=9), available="False"),
        "json": says("True", Reason.SERVING, NOW),
    }
    adapters = tuple(an_adapter(name, status=LoRAAdapterStatus(conditions=said)) for name, said in stand.items())

    found = tally.of(Snapshot(key=KEY, model=None, adapters=adapters)).adapters

    assert found == {
        Standing("False", "True", Reason.LOAD_FAILED): Group(2, NOW - timedelta(minutes=5)),
        Standing("False", "False", Reason.LOAD_FAILED): Group(1, NOW - timedelta(minutes=9)),
        Standing("True", "True", Reason.SERVING): Group(1, NOW),
    }


def test_what_has_no_conditions_yet_waits_since_it_was_created() -> None:
    found = tally.of(Snapshot(key=KEY, model=a_model(), adapters=()))

    assert found.models == {Standing("Unknown", "Unknown", Reason.PENDING): Group(1, LONG_AGO)}


def test_the_model_stands_for_itself() -> None:
    status = LoRAModelStatus(conditions=says("True", Reason.SERVING, NOW))

    found = tally.of(Snapshot(key=KEY, model=a_model(status=status), adapters=()))

    assert found == Tally(models={Standing("True", "True", Reason.SERVING): Group(1, NOW)})


def test_only_a_pod_that_should_answer_is_unreachable() -> None:
    gone = unreachable()
    pods = (
        a_pod("serves-and-is-silent", inventory=gone),
        a_pod("starts", ready=False, inventory=gone),
        a_pod("ends", terminating=True, inventory=gone),
        a_pod("was-not-asked", inventory=Unreachable("not yet", asked=False)),
        a_pod("answers"),
    )

    assert tally.of(Snapshot(key=KEY, model=a_model(), adapters=(), pods=pods)).unreachable_pods == 1
