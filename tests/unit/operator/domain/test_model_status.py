import pytest

from lora_api.recipes.outcome import Rejected
from lora_api.v1alpha1.common import Condition
from lora_api.v1alpha1.conditions import ModelCondition, Reason
from lora_api.v1alpha1.model import LoRAModelStatus
from lora_operator.domain import conditions, model_status
from lora_operator.domain.model_status import Rollout
from lora_operator.domain.observed import ObservedDeployment, ObservedPod, PodProblem
from support.builders import NOW, a_deployment, a_model, a_pod


def status_of(
    *pods: ObservedPod,
    deployment: ObservedDeployment | None = None,
    replicas: int = 2,
    rejected: Rejected | None = None,
    up_to_date: bool = True,
    adapters: tuple[int, int] = (0, 0),
) -> LoRAModelStatus:
    rollout = Rollout(a_model(replicas=replicas), rejected, deployment, pods, up_to_date, *adapters)
    return model_status.status_of(rollout, NOW)


def in_words(status: LoRAModelStatus) -> dict[str, str]:
    return {c.type: f"{c.status} {c.reason}" for c in status.conditions}


def ready(status: LoRAModelStatus) -> Condition:
    found = conditions.find(status.conditions, ModelCondition.READY)
    assert found is not None
    return found


def test_a_model_whose_pods_all_serve_is_ready() -> None:
    status = status_of(a_pod("a"), a_pod("b"), deployment=a_deployment(2))

    assert in_words(status) == {"Accepted": "True Accepted", "Available": "True Serving", "Ready": "True Serving"}
    assert (status.replicas, status.ready_replicas) == (2, 2)


def test_autoscalers_and_clients_find_what_they_need() -> None:
    status = status_of(a_pod("a"), deployment=a_deployment(2, ready=1), adapters=(2, 1))

    assert status.selector == (
        "app.kubernetes.io/name=lora-runtime,app.kubernetes.io/instance=smol,lora-operator.io/model=smol"
    )
    assert status.url == "http://smol.team.svc:8000/v1"
    assert (status.adapters, status.ready_adapters) == (2, 1)
    assert status.summary.source == "team/smol@main"
    assert status.summary.replicas == "1/2"
    assert status.summary.adapters == "1/2"


def test_before_any_pod_serves_the_model_is_loading() -> None:
    status = status_of(a_pod("a", ready=False), deployment=a_deployment(2, ready=0))

    assert in_words(status) == {
        "Accepted": "True Accepted",
        "Available": "False ModelLoading",
        "Ready": "False ModelLoading",
    }
    assert "0 of 2 pods serve" in ready(status).message


def test_of_a_pod_that_starts_again_it_is_told_how_it_ended() -> None:
    crash = PodProblem(Reason.ENGINE_CRASHING, "container runtime ended with exit code 1: engine died (restarts: 2)")
    again = a_pod("b", ready=False, crash=crash)

    message = ready(status_of(a_pod("a", crash=crash), again, deployment=a_deployment(2, ready=1))).message

    assert (
        message == f"1 of 2 pods serve; the others are starting or load the model; pod b starts again: {crash.message}"
    )
    gone = a_pod("b", ready=False, terminating=True, crash=crash)
    assert "again" not in ready(status_of(a_pod("a"), gone, deployment=a_deployment(2, ready=1))).message


def test_while_pods_are_replaced_it_is_told_of_those_that_start_again() -> None:
    crash = PodProblem(Reason.OUT_OF_MEMORY, "container runtime was killed (restarts: 1)")
    pods = (a_pod("a"), a_pod("b", ready=False, crash=crash), a_pod("c", ready=False, crash=crash))

    status = status_of(*pods, deployment=a_deployment(2, updated=1))

    assert in_words(status)["Ready"] == "False RollingOut"
    assert ready(status).message.endswith(
        "; pod b (and 1 more) starts again: container runtime was killed (restarts: 1)"
    )


@pytest.mark.parametrize(
    ("deployment", "up_to_date"),
    [
        (a_deployment(2, updated=1), True),
        (a_deployment(3, updated=2), True),
        (a_deployment(2), False),
    ],
)
def test_pods_of_an_old_template_are_being_rolled_out(deployment: ObservedDeployment, up_to_date: bool) -> None:
    status = status_of(a_pod("a"), a_pod("b"), deployment=deployment, up_to_date=up_to_date)

    assert in_words(status)["Available"] == "True Serving"
    assert in_words(status)["Ready"] == "False RollingOut"


def test_a_deployment_that_its_controller_has_not_seen_is_not_ready() -> None:
    unseen = ObservedDeployment(generation=2, observed_generation=1, replicas=2, updated=2, ready=2)

    assert ready(status_of(a_pod("a"), a_pod("b"), deployment=unseen)).status == "False"


def test_a_pod_that_is_ready_but_leaving_does_not_make_the_model_ready() -> None:
    status = status_of(a_pod("a"), a_pod("b", terminating=True), deployment=a_deployment(2))

    assert ready(status).status == "False"


def test_the_gravest_problem_of_the_pods_is_the_reason() -> None:
    pods = (
        a_pod("a", ready=False, problem=PodProblem(Reason.UNSCHEDULABLE, "0/1 nodes have nvidia.com/gpu")),
        a_pod("b", ready=False, problem=PodProblem(Reason.ENGINE_CRASHING, "exit code 1")),
        a_pod("c", ready=False, problem=PodProblem(Reason.ENGINE_CRASHING, "exit code 2")),
    )

    status = status_of(*pods, deployment=a_deployment(3, ready=0), replicas=3)

    assert in_words(status)["Available"] == "False EngineCrashing"
    assert in_words(status)["Ready"] == "False EngineCrashing"
    assert ready(status).message == "pod b (and 1 more): exit code 1"


def test_a_problem_of_one_pod_leaves_the_model_available() -> None:
    ill = a_pod("b", ready=False, problem=PodProblem(Reason.OUT_OF_MEMORY, "OOMKilled"))

    status = status_of(a_pod("a"), ill, deployment=a_deployment(2, ready=1))

    assert in_words(status)["Available"] == "True Serving"
    assert in_words(status)["Ready"] == "False OutOfMemory"


def test_a_problem_of_a_leaving_pod_is_nobodys_business() -> None:
    ill = a_pod("b", ready=False, terminating=True, problem=PodProblem(Reason.OUT_OF_MEMORY, "OOMKilled"))

    assert ready(status_of(ill, deployment=a_deployment(2, ready=0))).reason == Reason.MODEL_LOADING


def test_a_model_without_pods_by_wish_is_scaled_to_zero() -> None:
    status = status_of(deployment=a_deployment(0), replicas=0)

    assert in_words(status)["Available"] == "False ScaledToZero"
    assert in_words(status)["Ready"] == "False ScaledToZero"


def test_a_rejected_model_is_not_ready_but_may_still_be_available() -> None:
    rejected = Rejected(Reason.INVALID_POD_TEMPLATE, "containers must be a list")

    status = status_of(a_pod("a"), a_pod("b"), deployment=a_deployment(2), rejected=rejected)

    assert in_words(status) == {
        "Accepted": "False InvalidPodTemplate",
        "Available": "True Serving",
        "Ready": "False InvalidPodTemplate",
    }
