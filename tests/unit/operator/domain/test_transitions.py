from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.common import Condition
from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.model import LoRAModelStatus
from lora_operator.domain import transitions
from support.builders import a_model, an_adapter


def conditions_of(words: dict[str, str]) -> tuple[Condition, ...]:
    """Conditions from `status Reason` by type."""
    split = {kind: text.split() for kind, text in words.items()}
    return tuple(
        Condition.model_validate(
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": f"about {kind}",
                "last_transition_time": "2026-01-01T00:00:00Z",
            }
        )
        for kind, (status, reason) in split.items()
    )


def an_adapter_status(revision: str | None = None, **words: str) -> LoRAAdapterStatus:
    return LoRAAdapterStatus(conditions=conditions_of(words), revision=revision)


def adapter_events(old: LoRAAdapterStatus, new: LoRAAdapterStatus) -> list[tuple[str, str, str]]:
    found = transitions.adapter_events(an_adapter(status=old), new)
    assert {event.uid for event in found} <= {"uid-pirate"}
    return [(event.type, event.reason, event.message) for event in found]


def model_events(old: str | None, new: str) -> list[tuple[str, str]]:
    """Events when the model's Ready goes from one `status Reason` to another."""
    before = LoRAModelStatus(conditions=conditions_of({} if old is None else {"Ready": old}))
    after = LoRAModelStatus(conditions=conditions_of({"Ready": new}))
    return [(event.type, event.reason) for event in transitions.model_events(a_model(status=before), after)]


SERVED = an_adapter_status("aaaaaaaa", Fetched="True Resolved", Available="True Serving", Ready="True Serving")


def test_a_new_adapter_that_is_ready_is_served() -> None:
    assert adapter_events(LoRAAdapterStatus(), SERVED) == [("Normal", "AdapterServed", "about Ready")]


def test_nothing_new_is_no_event() -> None:
    assert adapter_events(SERVED, SERVED) == []


def test_another_revision_is_served_even_if_ready_never_went_away() -> None:
    new = SERVED.model_copy(update={"revision": "bbbbbbbb"})

    assert [reason for _, reason, _ in adapter_events(SERVED, new)] == ["AdapterServed"]


def test_a_refused_adapter_is_told_once_with_its_reason() -> None:
    refused = an_adapter_status(Fetched="False SourceNotFound", Ready="False SourceNotFound")

    assert adapter_events(LoRAAdapterStatus(), refused) == [
        ("Warning", "AdapterRejected", "SourceNotFound: about Fetched")
    ]
    assert adapter_events(refused, refused) == []


def test_another_reason_for_refusing_is_told() -> None:
    old = an_adapter_status(Fetched="False SourceUnreachable")
    new = an_adapter_status(Fetched="False Unauthorized")

    assert [reason for _, reason, _ in adapter_events(old, new)] == ["AdapterRejected"]


def test_a_refused_update_of_an_adapter_that_is_served_on_is_told_as_such() -> None:
    refused = an_adapter_status(
        "aaaaaaaa", Compatible="False ShapeMismatch", Available="True Serving", Ready="False ShapeMismatch"
    )

    assert [reason for _, reason, _ in adapter_events(SERVED, refused)] == ["AdapterUpdateRejected"]


def test_fetching_is_no_event() -> None:
    waiting = an_adapter_status(Fetched="Unknown Fetching", Compatible="Unknown Pending", Ready="False Fetching")

    assert adapter_events(LoRAAdapterStatus(), waiting) == []


def test_an_adapter_that_no_pod_serves_any_more_is_unavailable() -> None:
    new = an_adapter_status("aaaaaaaa", Available="False NoReadyPods", Ready="False NoReadyPods")

    assert adapter_events(SERVED, new) == [("Warning", "AdapterUnavailable", "NoReadyPods: about Available")]


def test_a_pod_that_cannot_load_and_an_update_that_is_held_are_told_once() -> None:
    failing = an_adapter_status(Ready=f"False {Reason.LOAD_FAILED}")
    full = an_adapter_status(Ready=f"False {Reason.STORE_FULL}")
    held = an_adapter_status(Ready=f"False {Reason.UPDATE_HELD}")

    assert [reason for _, reason, _ in adapter_events(LoRAAdapterStatus(), failing)] == ["AdapterLoadFailed"]
    assert [reason for _, reason, _ in adapter_events(LoRAAdapterStatus(), full)] == ["AdapterStoreFull"]
    assert [reason for _, reason, _ in adapter_events(failing, held)] == ["AdapterUpdateHeld"]
    assert adapter_events(held, held) == []


def test_a_model_that_becomes_ready_is_told_once() -> None:
    assert model_events(None, "True Serving") == [("Normal", "ModelReady")]
    assert model_events("True Serving", "True Serving") == []


def test_a_model_that_starts_is_no_event() -> None:
    assert model_events(None, "False ModelLoading") == []


def test_a_ready_model_that_is_rolled_out_is_normal() -> None:
    assert model_events("True Serving", "False RollingOut") == [("Normal", "ModelNotReady")]


def test_a_mixture_that_is_exchanged_is_normal_and_one_that_is_refused_is_a_warning() -> None:
    assert model_events("True Serving", "False Loading") == [("Normal", "ModelNotReady")]
    assert model_events("False Loading", "False ShapeMismatch") == [("Warning", "ModelNotReady")]


def test_a_problem_of_the_pods_is_a_warning_once() -> None:
    assert model_events("False ModelLoading", "False Unschedulable") == [("Warning", "ModelNotReady")]
    assert model_events("False Unschedulable", "False Unschedulable") == []
    assert model_events("False Unschedulable", "False OutOfMemory") == [("Warning", "ModelNotReady")]
