"""What a pod's status is taken to mean."""

from typing import Any

import pytest

from lora_api.v1alpha1.conditions import Reason
from lora_operator.reconcile.pod_problems import last_crash, pod_problem


def a_pod(*, state: dict[str, Any] | None = None, last: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    container = {"name": "runtime", "state": state or {}, "lastState": last or {}, "restartCount": 2}
    return {"status": status | ({"containerStatuses": [container]} if state else {})}


UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no gpu"}


@pytest.mark.parametrize(
    ("pod", "reason", "words"),
    [
        (a_pod(conditions=[UNSCHEDULABLE]), Reason.UNSCHEDULABLE, "0/3 nodes: no gpu"),
        (
            a_pod(state={"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}),
            Reason.IMAGE_PULL_FAILED,
            "not found",
        ),
        (a_pod(state={"waiting": {"reason": "ErrImageNeverPull"}}), Reason.IMAGE_PULL_FAILED, "ErrImageNeverPull"),
        (
            a_pod(
                state={"waiting": {"reason": "CrashLoopBackOff"}},
                last={"terminated": {"exitCode": 1, "message": "no model\n"}},
            ),
            Reason.ENGINE_CRASHING,
            "container runtime ended with exit code 1: no model (restarts: 2)",
        ),
        (a_pod(state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), Reason.OUT_OF_MEMORY, "spec.resources"),
        (
            a_pod(state={"waiting": {"reason": "CreateContainerConfigError", "message": "no such key"}}),
            Reason.POD_FAILED,
            "no such key",
        ),
    ],
)
def test_a_problem_is_named_with_the_words_of_the_kubelet(pod: dict[str, Any], reason: Reason, words: str) -> None:
    problem = pod_problem(pod)
    assert problem is not None
    assert problem.reason == reason
    assert words in problem.message


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param({}, id="a pod without a status"),
        pytest.param(a_pod(state={"waiting": {"reason": "ContainerCreating"}}), id="a container being made"),
        pytest.param(a_pod(state={"running": {}}), id="a running container"),
        pytest.param(
            a_pod(state={"running": {}}, last={"terminated": {"exitCode": 1}}), id="a container that runs again"
        ),
        pytest.param(a_pod(state={"terminated": {"exitCode": 0}}), id="a container that ended well"),
    ],
)
def test_ordinary_pods_have_no_problem(pod: dict[str, Any]) -> None:
    assert pod_problem(pod) is None


def test_of_a_container_that_runs_again_it_is_told_how_it_ended_and_how_often_it_was_started_again() -> None:
    crash = last_crash(a_pod(state={"running": {}}, last={"terminated": {"exitCode": 1, "message": "engine died\n"}}))
    assert crash is not None
    assert crash.message == "container runtime ended with exit code 1: engine died (restarts: 2)"


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param({}, id="a pod without a status"),
        pytest.param(a_pod(state={"running": {}}), id="a container that never ended"),
        pytest.param(
            {
                "status": {
                    "containerStatuses": [
                        {
                            "name": "runtime",
                            "started": True,
                            "state": {"running": {}},
                            "lastState": {"terminated": {"exitCode": 1}},
                        }
                    ]
                }
            },
            id="a container that has started since",
        ),
        pytest.param(
            a_pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, last={"terminated": {"exitCode": 1}}),
            id="a container that waits, which is a problem of its own",
        ),
    ],
)
def test_no_other_container_runs_again(pod: dict[str, Any]) -> None:
    assert last_crash(pod) is None


def test_a_container_that_ends_well_again_and_again_has_crashed_as_well() -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    problem = pod_problem(a_pod(state=waiting, last={"terminated": {"exitCode": 0, "reason": "Completed"}}))
    assert problem is not None
    assert problem.reason is Reason.ENGINE_CRASHING
    assert problem.message.startswith("container runtime ended with exit code 0, as if it had been told to end")


def test_of_a_long_log_the_end_is_told_which_says_what_was_wrong() -> None:
    log = "INFO loading\n" * 200 + "\nno base model: team/secret is private or gated\n\n"
    problem = pod_problem(a_pod(state={"terminated": {"exitCode": 1, "message": log}}))
    assert problem is not None
    assert problem.message.startswith("container runtime ended with exit code 1: …")
    assert problem.message.endswith("| no base model: team/secret is private or gated (restarts: 2)")
    assert "\n" not in problem.message
