"""What others did to children while no operator was there: an operator that begins puts it right, and touches nothing else."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local_cluster import Cluster
from lora_api import labels
from support.custom_resources import MODEL
from support.operated import Operator, Team, eventually

pytestmark = pytest.mark.apiserver

CHILDREN = ("deployment/smol", "service/smol", "networkpolicy/smol", "poddisruptionbudget/smol")
APPLIED = 'lora_operator_actions_total{action="ApplyChild",outcome="ok"}'
REPLACED: dict[str, dict[str, Any]] = {
    "deployment/smol": {"replicas": 4, "template/spec/containers/0/image": "example.invalid/other:1"},
    "service/smol": {"selector": {"app": "impostor"}},
    "networkpolicy/smol": {"ingress": [{}]},
    "poddisruptionbudget/smol": {"maxUnavailable": "100%"},
}
TAKEN_AWAY = {
    "deployment/smol": ["template/spec/containers/0/env/0", "template/spec/containers/0/readinessProbe"],
    "service/smol": ["selector/app.kubernetes.io~1instance"],
    "networkpolicy/smol": ["ingress/1/from"],
    "poddisruptionbudget/smol": ["maxUnavailable"],
}


@contextmanager
def begun_anew(team: Team, operator: Operator) -> Iterator[None]:
    """An operator that begins, once it has looked after all children."""
    operator.mount_ca(team.core.read_namespaced_secret("lora-operator-ca", team.namespace).data)
    with operator.running():
        eventually("all are applied", lambda: operator.is_healthy() and f"{APPLIED} 4.0" in operator.metrics())
        yield


def get(cluster: Cluster, team: Team) -> dict[str, Any]:
    """The children, by kind."""
    answer = cluster.kubectl("--namespace", team.namespace, "get", *CHILDREN, "--output=json", "--show-managed-fields")
    return {child["kind"]: child for child in json.loads(answer)["items"]}


def specs(cluster: Cluster, team: Team) -> dict[str, Any]:
    return {kind: child["spec"] for kind, child in get(cluster, team).items()}


def written(cluster: Cluster, team: Team) -> dict[str, Any]:
    """What a write of the operator would change of the children; controllers go on to write statuses."""
    found = {}
    for kind, child in get(cluster, team).items():
        metadata = child["metadata"]
        ours = [entry for entry in metadata["managedFields"] if entry["manager"].startswith(labels.FIELD_MANAGER)]
        found[kind] = (metadata["uid"], metadata.get("generation"), ours, child["spec"])
    return found


def leave_a_model(cluster: Cluster, team: Team, operator: Operator) -> dict[str, Any]:
    """What an operator made of it, that has gone."""
    with operator.running():
        team.create(MODEL)
        eventually("its pod is told", lambda: team.status("loramodels", "smol").get("replicas") == 1)
        eventually("all are applied", lambda: f"{APPLIED} 4.0" in operator.metrics())
    return get(cluster, team)


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param(
            {
                child: [{"op": "replace", "path": f"/spec/{path}", "value": value} for path, value in changes.items()]
                for child, changes in REPLACED.items()
            },
            id="replaced",
        ),
        pytest.param(
            {
                child: [{"op": "remove", "path": f"/spec/{path}"} for path in paths]
                for child, paths in TAKEN_AWAY.items()
            },
            id="taken away",
        ),
    ],
)
def test_what_others_edited_meanwhile_is_put_right(
    api_server: Cluster, team: Team, operator: Operator, edits: dict[str, list[dict[str, Any]]]
) -> None:
    before = {kind: child["spec"] for kind, child in leave_a_model(api_server, team, operator).items()}
    for child, edit in edits.items():
        api_server.kubectl("--namespace", team.namespace, "patch", child, "--type=json", "--patch", json.dumps(edit))
    edited = specs(api_server, team)
    assert all(edited[kind] != before[kind] for kind in before)
    with begun_anew(team, operator):
        assert specs(api_server, team) == before


def test_what_nobody_touched_is_not_written(api_server: Cluster, team: Team, operator: Operator) -> None:
    leave_a_model(api_server, team, operator)
    pods = {pod.metadata.uid for pod in team.pods()}
    before = written(api_server, team)
    told = team.status("loramodels", "smol")
    with begun_anew(team, operator):
        assert written(api_server, team) == before
        assert team.status("loramodels", "smol") == told
        assert {pod.metadata.uid for pod in team.pods()} == pods
