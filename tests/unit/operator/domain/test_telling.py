"""What is told at once, and what may wait a moment."""

from dataclasses import replace
from typing import Any

import pytest

from lora_api.v1alpha1.adapter import AdapterSummary, LoRAAdapterStatus, PodFailure
from lora_api.v1alpha1.common import Condition
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_api.v1alpha1.model import LoRAModelStatus, ModelSummary
from lora_operator.domain import telling
from lora_operator.domain.conditions import timestamp
from support.builders import NOW, a_model, an_adapter


def a_status(generation: int = 1, **conditions: str) -> LoRAAdapterStatus:
    """Conditions in lower case, each `Status/Reason`."""
    made = tuple(
        Condition(
            type=AdapterCondition(kind.capitalize()),
            status=said.split("/")[0],
            reason=said.split("/")[1],
            message="",
            observed_generation=generation,
            last_transition_time=timestamp(NOW),
        )
        for kind, said in conditions.items()
    )
    return LoRAAdapterStatus(conditions=made, observed_generation=generation)


LOADING = a_status(2, available="True/Serving", ready="False/Loading")


def may_wait(before: LoRAAdapterStatus, new: LoRAAdapterStatus, generation: int = 2) -> bool:
    return telling.may_wait(an_adapter(generation=generation, status=before), new)


def test_a_step_on_the_way_of_a_change_may_wait() -> None:
    assert may_wait(a_status(1, available="True/Serving", ready="True/Serving"), LOADING)
    assert may_wait(LOADING, LOADING.model_copy(update={"summary": AdapterSummary(loaded="1/2")}))
    assert may_wait(LoRAAdapterStatus(), a_status(1, ready="Unknown/Fetching"), generation=1)


def test_a_status_that_claims_what_is_no_longer_so_may_not_wait() -> None:
    assert not may_wait(a_status(2, available="True/Serving", ready="True/Serving"), LOADING)
    gone = a_status(2, available="False/Loading", ready="False/Loading")
    assert not may_wait(a_status(1, available="True/Serving", ready="True/Serving"), gone)


@pytest.mark.parametrize(
    "new",
    [
        a_status(2, ready="True/Serving"),
        a_status(2, ready="False/LoadFailed"),
        a_status(2, fetched="False/SourceNotFound", ready="False/SourceNotFound"),
        a_status(2, accepted="False/NameConflict", ready="False/Loading"),
        LOADING.model_copy(update={"failures": (PodFailure(pod="p", reason=Reason.LOAD_FAILED, message=""),)}),
    ],
    ids=["arrived", "failed in the pods", "failed before", "rejected", "failed in one pod"],
)
def test_what_has_arrived_or_failed_may_not_wait(new: LoRAAdapterStatus) -> None:
    assert not may_wait(a_status(1), new)


@pytest.mark.parametrize(
    ("change", "waits"),
    [({"adapters": 5, "ready_adapters": 4, "summary": ModelSummary(adapters="4/5")}, True), ({"replicas": 2}, False)],
)
def test_of_a_model_the_counts_of_adapters_alone_may_wait(change: dict[str, Any], waits: bool) -> None:
    model = replace(a_model(), status=LoRAModelStatus(adapters=4, ready_adapters=4))
    assert telling.only_counts(model, model.status.model_copy(update=change)) is waits


def test_one_step_waits_for_a_second_and_those_of_a_burst_for_their_turn_ten_seconds_at_most() -> None:
    patience = [telling.patience(ahead).total_seconds() for ahead in (0, 1, 100, 1000, 10_000)]
    assert patience == [1, 1.02, 3, 10, 10]


def test_only_what_was_never_told_of_takes_turns() -> None:
    assert telling.takes_turns(an_adapter())
    assert not telling.takes_turns(an_adapter(status=LOADING))
