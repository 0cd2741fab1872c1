"""Who decides how many pods a model has, and how many may go: the real controllers of Kubernetes, with stand-ins for the pods."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from local_cluster import Cluster
from lora_api import labels
from support.custom_resources import MODEL, mutated
from support.external_metrics import ExternalMetrics, external_metrics, the_autoscaler_of_the_how_to
from support.operated import Operator, Team, eventually

pytestmark = pytest.mark.apiserver

RESTARTED = "kubectl.kubernetes.io/restartedAt"


@pytest.fixture
def team(api_server: Cluster, api_client: client.ApiClient, namespace: str, tmp_path: Path) -> Iterator[Team]:
    with Operator(api_server, namespace, tmp_path).running():
        yield Team(api_client, namespace)


@pytest.fixture
def metrics(api_client: client.ApiClient, namespace: str, tmp_path: Path) -> Iterator[ExternalMetrics]:
    with external_metrics(api_client, namespace, tmp_path) as found:
        yield found


def test_an_autoscaler_moves_the_replicas_of_a_model_up_and_down_and_the_operator_follows(
    team: Team, api_client: client.ApiClient, metrics: ExternalMetrics
) -> None:
    team.create(MODEL)
    autoscaler = the_autoscaler_of_the_how_to()
    wanted = autoscaler["spec"]["metrics"][0]["external"]
    metric, per_pod = wanted["metric"]["name"], int(wanted["target"]["averageValue"])
    metrics.say(metric, 3 * per_pod)
    autoscalers = client.AutoscalingV2Api(api_client)
    autoscalers.create_namespaced_horizontal_pod_autoscaler(team.namespace, autoscaler)

    eventually("three pods", lambda: len(team.pods()) == 3)
    assert replicas(team) == 3
    eventually("its status", lambda: team.status("loramodels", "smol")["summary"]["replicas"] == "0/3")
    found = autoscalers.read_namespaced_horizontal_pod_autoscaler("smol", team.namespace)
    held = {condition.type: condition.status for condition in found.status.conditions}
    assert (held["AbleToScale"], held["ScalingActive"]) == ("True", "True")
    eventually("the scale that an autoscaler reads", lambda: scale(team)["status"].get("replicas") == 3)
    selected = team.core.list_namespaced_pod(team.namespace, label_selector=scale(team)["status"]["selector"])
    assert {pod.metadata.name for pod in selected.items} == {pod.metadata.name for pod in team.pods()}

    made = team.apps.read_namespaced_deployment("smol", team.namespace).metadata.uid
    team.apps.delete_namespaced_deployment("smol", team.namespace)
    again = eventually("the Deployment again", lambda: remade(team, made))
    assert again.spec.replicas == 3, "the operator takes the number from the autoscaler, and knows none of its own"

    metrics.say(metric, per_pod)
    eventually("one replica", lambda: replicas(team) == 1)
    eventually("one pod", lambda: len(team.pods()) == 1)


def test_an_eviction_that_would_leave_too_few_pods_is_refused(team: Team, api_client: client.ApiClient) -> None:
    team.create(mutated(MODEL, {"spec.replicas": 2}))
    first, second = eventually("the pods", lambda: found if len(found := team.pods()) == 2 else None)
    for pod in (first, second):
        team.play_ready(pod, "127.0.0.1")
    budgets = client.PolicyV1Api(api_client)
    eventually(
        "one pod may go",
        lambda: budgets.read_namespaced_pod_disruption_budget("smol", team.namespace).status.disruptions_allowed == 1,
    )
    evict(team, first)
    with pytest.raises(client.exceptions.ApiException) as refused:
        evict(team, second)
    assert refused.value.status == 429
    assert "disruption budget" in refused.value.body


def test_a_restart_of_the_deployment_is_not_undone(team: Team, api_server: Cluster) -> None:
    team.create(MODEL)
    eventually("the Deployment", lambda: team.find(team.apps.read_namespaced_deployment))
    api_server.kubectl("-n", team.namespace, "rollout", "restart", "deployment/smol")
    team.patch("loramodels", "smol", {"spec": {"replicas": 2}})

    def applied_again() -> Any | None:
        found = team.apps.read_namespaced_deployment("smol", team.namespace)
        return found if found.spec.replicas == 2 else None

    deployment = eventually("the operator applies it again", applied_again)
    assert RESTARTED in deployment.spec.template.metadata.annotations


def remade(team: Team, uid: str) -> Any | None:
    team.ring()
    found = team.find(team.apps.read_namespaced_deployment)
    return found if found is not None and found.metadata.uid != uid else None


def replicas(team: Team) -> int:
    return int(scale(team)["spec"]["replicas"])


def scale(team: Team) -> dict[str, Any]:
    """The scale subresource, which is all that an autoscaler sees of a model."""
    found: dict[str, Any] = team.custom.get_namespaced_custom_object_scale(
        labels.GROUP, labels.VERSION, team.namespace, "loramodels", "smol"
    )
    return found


def evict(team: Team, pod: Any) -> None:
    """As `kubectl drain` does."""
    name = pod.metadata.name
    team.core.create_namespaced_pod_eviction(name, team.namespace, {"metadata": {"name": name}})
