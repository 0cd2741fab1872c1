"""An operator whose watches come back with a version that is too old lists anew: a process, a real API server's 410."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_cluster import Cluster
from lora_operator.clients import resources
from lora_operator.clients.kube import Resource
from support.api_proxy import ApiProxy
from support.custom_resources import ADAPTER, MODEL
from support.operated import Operator, Team, eventually

pytestmark = pytest.mark.apiserver

WATCHED = {resources.MODELS, resources.ADAPTERS, resources.PODS, resources.CONFIG_MAPS, *resources.CHILDREN.values()}
EDITS: dict[str, tuple[str, Any]] = {
    "service": ("selector", {"app": "impostor"}),
    "networkpolicy": ("ingress", [{}]),
    "poddisruptionbudget": ("maxUnavailable", "100%"),
    "deployment": ("revisionHistoryLimit", 9),
}
"""By child: a field, and what another hand makes of it."""


@pytest.fixture
def proxy(api_server: Cluster, operator: Operator, tmp_path: Path) -> Iterator[ApiProxy]:
    """Between the operator and the API server."""
    with ApiProxy(api_server.api_url, tmp_path) as between:
        between.stand_between(Path(operator.environment["KUBECONFIG"]))
        yield between


def test_what_watches_missed_that_come_back_too_late_is_listed_anew(
    api_server: Cluster, team: Team, operator: Operator, proxy: ApiProxy, tmp_path: Path
) -> None:
    with operator.running():
        team.create(MODEL)
        team.create(ADAPTER)
        [runtime] = team.runtimes(tmp_path, None)
        with runtime:
            first = team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
            # A write that is still due would fail while the API server is away, after which everything is read anew.
            eventually("all is told", lambda: team.status("loramodels", "smol")["readyAdapters"] == 1)
            eventually("nothing is done for a while", Rest(operator).lasts)
            before = fields(api_server, team)
            proxy.silence_watches()
            known = json.loads(raw(api_server, team, resources.PODS, "limit=1"))["metadata"]["resourceVersion"]
            team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
            touch_children(api_server, team)
            restart(api_server)
            eventually("410 for all", lambda: all(is_gone(api_server, team, kind, known) for kind in WATCHED))
            assert not before.items() & fields(api_server, team).items(), "the operator heard of it"
            # Last, since a model that is not heeded is rung for now and then.
            team.patch("loramodels", "smol", {"spec": {"replicas": 2}})
            assert not proxy.gone
            proxy.end_watches()
            ended = time.monotonic()
            eventually("the children as before", lambda: fields(api_server, team) == before)
            eventually("the document is back", lambda: team.find(team.core.read_namespaced_config_map, "smol-desired"))
            # What is made of the edits of the model and of the adapter.
            eventually("two replicas are wanted", lambda: replicas(api_server, team) == "2")
            eventually(
                "another revision", lambda: team.status("loraadapters", "pirate")["revision"] != first["revision"]
            )
            assert time.monotonic() - ended < 15, "that was the sweep"
            assert proxy.gone == proxy.watched == {resource.plural for resource in WATCHED}
            # One of them that is back has all looked at anew, so whether the others are shows now.
            touch_children(api_server, team)
            touched = time.monotonic()
            eventually("the children as before", lambda: fields(api_server, team) == before)
            eventually("the document is back", lambda: team.find(team.core.read_namespaced_config_map, "smol-desired"))
            assert time.monotonic() - touched < 8, "that was the sweep"


class Rest:
    """Whether an operator has had nothing to do for some seconds."""

    SECONDS = 3.0

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.done, self.since = self.actions(), time.monotonic()

    def lasts(self) -> bool:
        done = self.actions()
        if done != self.done:
            self.done, self.since = done, time.monotonic()
        return time.monotonic() - self.since > self.SECONDS

    def actions(self) -> list[str]:
        return [line for line in self.operator.metrics() if line.startswith("lora_operator_actions_total")]


def fields(cluster: Cluster, team: Team) -> dict[str, str]:
    """What is in the field of each child that is edited."""
    names = [f"{child}/smol" for child in EDITS]
    found = json.loads(cluster.kubectl("--namespace", team.namespace, "get", *names, "--output=json"))["items"]
    specs = {item["kind"].lower(): item["spec"] for item in found}
    return {child: json.dumps(specs[child][field]) for child, (field, _) in EDITS.items()}


def replicas(cluster: Cluster, team: Team) -> str:
    """Not the pods: the Deployment's own controller may be half a minute behind an API server that was away."""
    get = ("get", "deployment", "smol", "--output=jsonpath={.spec.replicas}")
    return cluster.kubectl("--namespace", team.namespace, *get)


def touch_children(cluster: Cluster, team: Team) -> None:
    """Edits each, and deletes the ConfigMap."""
    for child, (field, wrong) in EDITS.items():
        edit = json.dumps([{"op": "replace", "path": f"/spec/{field}", "value": wrong}])
        cluster.kubectl("--namespace", team.namespace, "patch", child, "smol", "--type=json", "--patch", edit)
    team.core.delete_namespaced_config_map("smol-desired", team.namespace)


def restart(cluster: Cluster) -> None:
    """Kills the API server and brings it back: then it remembers nothing of what was written before."""
    pid = cluster.status().components["kube-apiserver"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    cluster.up()


def is_gone(cluster: Cluster, team: Team, resource: Resource, version: str) -> bool:
    """Whether a watch that goes on from this version is refused."""
    return '"code":410' in raw(cluster, team, resource, f"watch=true&timeoutSeconds=1&resourceVersion={version}")


def raw(cluster: Cluster, team: Team, resource: Resource, query: str) -> str:
    return cluster.kubectl("get", "--raw", f"{resource.path(team.namespace)}?{query}")
