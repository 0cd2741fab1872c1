"""What the users of one namespace, or of one pod, may try on others: the operator as a process against a real API server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client

from local_cluster import Cluster
from lora_api import labels
from support.custom_resources import ADAPTER, MODEL, mutated
from support.operated import POD_IPS, Operator, Team, eventually

pytestmark = pytest.mark.apiserver


@pytest.fixture
def team(api_server: Cluster, api_client: client.ApiClient, namespace: str, tmp_path: Path) -> Iterator[Team]:
    with Operator(api_server, namespace, tmp_path).running():
        yield Team(api_client, namespace)


def test_the_pods_of_a_model_are_admitted_where_the_restricted_standard_is_enforced(team: Team) -> None:
    standard = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    team.core.patch_namespace(team.namespace, {"metadata": {"labels": standard}})
    unfit = {"metadata": {"name": "unfit"}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    with pytest.raises(client.ApiException, match="violates PodSecurity"):
        team.core.create_namespaced_pod(team.namespace, unfit)

    everything = {
        "spec.volumes": [{"name": "shared", "pvc": {"claimName": "adapters"}}],
        "spec.credentials": [{"secretRef": {"name": "hub"}}],
        "spec.apiKey": {"secretRef": {"name": "clients"}},
        "spec.accelerator": {"type": "CPU"},
    }
    team.create(mutated(MODEL, everything))
    eventually("the pod is admitted", team.pods)


def test_a_pod_that_somebody_gave_the_models_labels_is_neither_asked_nor_counted(team: Team, tmp_path: Path) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    [runtime] = team.runtimes(tmp_path, None)
    with runtime:
        team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        foreign = {
            "metadata": {"name": "foreign", "labels": labels.children("smol", "runtime")},
            "spec": {"containers": [{"name": "runtime", "image": "x"}]},
        }
        team.core.create_namespaced_pod(team.namespace, foreign)
        ready = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
        status = {"phase": "Running", "podIP": POD_IPS[1], "podIPs": [{"ip": POD_IPS[1]}], "conditions": ready}
        team.core.patch_namespaced_pod_status("foreign", team.namespace, {"status": status})

        team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
        generation = 2
        served = eventually(
            "the new weight is served",
            lambda: (
                found
                if (found := team.status("loraadapters", "pirate"))["observedGeneration"] == generation
                and team.condition("loraadapters", "pirate", "Ready") == ("True", "Serving")
                else None
            ),
        )
        assert served["summary"]["loaded"] == "1/1"


def test_an_object_that_is_nested_as_deep_as_kubernetes_takes_it_harms_nobody_else(
    team: Team, api_server: Cluster
) -> None:
    depth = 9_900
    model = json.dumps(mutated(MODEL, {"metadata.name": "deep", "spec.podTemplate": {"spec": "HERE"}}))
    nested = model.replace('"HERE"', '{"a":' * depth + "1" + "}" * depth)
    api_server.kubectl("-n", team.namespace, "create", "-f", "-", stdin=nested)
    team.create(MODEL)
    team.comes_to("loramodels", "smol", "Accepted", ("True", "Accepted"))

    def said() -> bool:
        reason = "{.status.conditions[?(@.type=='Accepted')].reason}"
        found = api_server.kubectl("-n", team.namespace, "get", "loramodel", "deep", "-o", f"jsonpath={reason}")
        return found == "InvalidPodTemplate"

    eventually("the deep one is refused", said)
    api_server.kubectl("-n", team.namespace, "delete", "loramodel", "deep")
