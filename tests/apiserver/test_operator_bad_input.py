"""What users get wrong, and what the operator tells them: a process against a real API server, without pods."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from local_cluster import Cluster
from support.custom_resources import ADAPTER, BLEND, MODEL, mutated
from support.operated import Operator, Team, eventually

pytestmark = pytest.mark.apiserver


@pytest.fixture
def team(api_server: Cluster, api_client: client.ApiClient, namespace: str, tmp_path: Path) -> Iterator[Team]:
    with Operator(api_server, namespace, tmp_path).running():
        yield Team(api_client, namespace)


def test_of_two_adapters_with_one_served_name_the_older_has_it(team: Team) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    team.comes_to("loraadapters", "pirate", "Accepted", ("True", "Accepted"))
    time.sleep(1.1)  # creation times have whole seconds
    team.create(mutated(ADAPTER, {"metadata.name": "impostor", "spec.servedName": "pirate"}))
    team.comes_to("loraadapters", "impostor", "Accepted", ("False", "NameConflict"))
    assert team.condition("loraadapters", "pirate", "Accepted") == ("True", "Accepted")
    team.delete("loraadapters", "pirate")
    team.comes_to("loraadapters", "impostor", "Accepted", ("True", "Accepted"))


def test_an_adapter_without_its_model_says_so_and_heals(team: Team) -> None:
    team.create(ADAPTER)
    team.comes_to("loraadapters", "pirate", "Accepted", ("False", "ModelNotFound"))
    team.create(MODEL)
    team.comes_to("loraadapters", "pirate", "Accepted", ("True", "Accepted"))
    team.delete("loramodels", "smol")
    team.comes_to("loraadapters", "pirate", "Accepted", ("False", "ModelNotFound"))


def test_a_blend_of_a_missing_member_says_which(team: Team) -> None:
    team.create(MODEL)
    team.create(BLEND)
    team.comes_to("loraadapters", BLEND["metadata"]["name"], "Accepted", ("False", "MemberNotFound"))


def test_blends_that_contain_each_other_say_so_and_heal_when_one_is_corrected(team: Team) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    for name, other in (("first", "second"), ("second", "first")):
        members = [{"adapterRef": {"name": "pirate"}}, {"adapterRef": {"name": other}}]
        team.create(mutated(BLEND, {"metadata.name": name, "spec.blend.members": members}))
    for name in ("first", "second"):
        status = team.comes_to("loraadapters", name, "Accepted", ("False", "BlendCycle"))
        [message] = [c["message"] for c in status["conditions"] if c["type"] == "Accepted"]
        assert "first" in message
        assert "second" in message
    assert team.condition("loraadapters", "pirate", "Accepted") == ("True", "Accepted")

    team.patch("loraadapters", "second", {"spec": {"blend": {"members": [{"adapterRef": {"name": "pirate"}}]}}})
    for name in ("first", "second"):
        team.comes_to("loraadapters", name, "Accepted", ("True", "Accepted"))


@pytest.mark.parametrize(
    ("wrong", "corrected", "named"),
    [
        ({"podTemplate": {"spec": {"restartPolicy": "Sometimes"}}}, {"podTemplate": None}, "restartPolicy"),
        ({"resources": {"requests": {"cpu": "two"}}}, {"resources": {"requests": {"cpu": "2"}}}, "quantities"),
    ],
    ids=["podTemplate", "resources"],
)
def test_pods_that_the_api_server_refuses_are_told_in_its_words_until_the_spec_is_corrected(
    team: Team, wrong: dict[str, Any], corrected: dict[str, Any], named: str
) -> None:
    team.create(mutated(MODEL, {f"spec.{field}": value for field, value in wrong.items()}))
    event = eventually("an event", lambda: next((e for e in team.events() if e["reason"] == "ChildRefused"), None))
    assert named in event["note"]
    assert event["regarding"]["name"] == "smol"
    status = team.comes_to("loramodels", "smol", "Accepted", ("False", "InvalidPodTemplate"))
    [message] = [c["message"] for c in status["conditions"] if c["type"] == "Accepted"]
    assert named in message

    team.patch("loramodels", "smol", {"spec": corrected})
    team.comes_to("loramodels", "smol", "Accepted", ("True", "Accepted"))
    assert eventually("the Deployment", lambda: team.find(team.apps.read_namespaced_deployment))


def test_a_child_name_that_somebody_else_holds_is_not_taken(team: Team) -> None:
    team.core.create_namespaced_service(
        team.namespace, {"metadata": {"name": "smol"}, "spec": {"ports": [{"port": 80}]}}
    )
    team.create(MODEL)
    team.comes_to("loramodels", "smol", "Accepted", ("False", "NameConflict"))
    team.core.delete_namespaced_service("smol", team.namespace)
    team.comes_to("loramodels", "smol", "Accepted", ("True", "Accepted"))
