"""Part of it fails: who is at fault is said, in words, and what works goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from local_cluster import Cluster
from lora_api.runtime_api import RevisionSpec
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import not_fetched
from lora_runtime.store.versions import Published
from lora_runtime.workshop import Progress
from support.custom_resources import ADAPTER, MODEL, mutated
from support.operated import Operator, Team, eventually
from support.stand_in import EverySourceExists

pytestmark = pytest.mark.apiserver


class FullDisk(EverySourceExists):
    """Finds every source, and has no room for `pirate`."""

    async def make(self, spec: RevisionSpec, progress: Progress) -> Published:
        if any("pirate" in leaf.source.describe() for leaf in spec.leaves):
            raise not_fetched(Reason.STORE_FULL, "no space left on device", retryable=True)
        return await super().make(spec, progress)


@pytest.fixture
def team(api_server: Cluster, api_client: client.ApiClient, namespace: str, tmp_path: Path) -> Iterator[Team]:
    with Operator(api_server, namespace, tmp_path).running():
        yield Team(api_client, namespace)


def test_a_pod_of_three_that_lacks_an_adapter_is_named_with_the_cause_and_the_rest_goes_on(
    team: Team, tmp_path: Path
) -> None:
    team.create(mutated(MODEL, {"spec.replicas": 3}))
    first, second, full = team.runtimes(tmp_path, None, None, FullDisk())
    with first, second, full:
        team.create(mutated(ADAPTER, {"metadata.name": "formal", "spec.source.huggingFace.repo": "team/formal"}))
        team.create(ADAPTER)
        status = team.comes_to("loraadapters", "pirate", "Ready", ("False", "StoreFull"))
        status = eventually("two of three", lambda: two_of_three(team) or None)
        lacking = team.pods()[2].metadata.name
        [failure] = status["failures"]
        assert (failure["pod"], failure["reason"]) == (lacking, "StoreFull")
        assert "no space left on device" in failure["message"]
        [ready] = [each for each in status["conditions"] if each["type"] == "Ready"]
        assert lacking in ready["message"]
        assert "no space left on device" in ready["message"]
        assert team.condition("loraadapters", "pirate", "Available") == ("True", "Serving")

        other = team.comes_to("loraadapters", "formal", "Ready", ("True", "Serving"))
        assert other["summary"]["loaded"] == "3/3"
        assert set(full.engine.published) == {"formal"}


def two_of_three(team: Team) -> dict[str, Any] | None:
    status = team.status("loraadapters", "pirate")
    return status if status.get("summary", {}).get("loaded") == "2/3" and status.get("failures") else None


PROBLEMS: dict[str, dict[str, Any]] = {
    "Unschedulable": {
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes have a GPU"}
        ]
    },
    "ImagePullFailed": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image: runtime:9"}},
    "EngineCrashing": {
        "waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"},
        "last": {"exitCode": 1, "message": "CUDA error: no kernel image is available"},
    },
    "OutOfMemory": {"waiting": {"reason": "CrashLoopBackOff"}, "last": {"exitCode": 137, "reason": "OOMKilled"}},
}
WORDS = {
    "Unschedulable": "0/3 nodes have a GPU",
    "ImagePullFailed": "no such image: runtime:9",
    "EngineCrashing": "CUDA error: no kernel image is available",
    "OutOfMemory": "raise spec.resources",
}


def test_what_keeps_a_pod_from_running_is_what_the_model_says_in_words(team: Team) -> None:
    team.create(MODEL)
    [pod] = eventually("the pod", team.pods)
    for reason, problem in PROBLEMS.items():
        team.core.patch_namespaced_pod_status(pod.metadata.name, team.namespace, {"status": pod_status(problem)})
        status = team.comes_to("loramodels", "smol", "Ready", ("False", reason))
        assert team.condition("loramodels", "smol", "Available") == ("False", reason)
        [ready] = [each for each in status["conditions"] if each["type"] == "Ready"]
        assert f"pod {pod.metadata.name}" in ready["message"]
        assert WORDS[reason] in ready["message"]


def pod_status(problem: dict[str, Any]) -> dict[str, Any]:
    if "conditions" in problem:
        return {"conditions": problem["conditions"]}
    last = {"terminated": problem["last"]} if "last" in problem else {}
    container = {
        "name": "runtime", "image": "runtime:9", "imageID": "", "ready": False, "restartCount": 3,
        "state": {"waiting": problem["waiting"]}, "lastState": last,
    }  # fmt: skip
    scheduled = [{"type": "PodScheduled", "status": "True"}]
    return {"conditions": scheduled, "containerStatuses": [container]}
