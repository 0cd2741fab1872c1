"""What an operator misses, and what others do to its objects, is healed without a restart: a process, a real API server."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from local_cluster import Cluster
from lora_api import labels
from lora_api.runtime_api import AdapterFacts, ResolveRequest
from lora_api.v1alpha1.conditions import Reason
from lora_operator.domain import leadership, render
from lora_runtime.adapters.errors import not_fetched
from lora_runtime.workshop import Progress
from support.api_proxy import ApiProxy
from support.custom_resources import ADAPTER, MODEL
from support.operated import Operator, Team, eventually
from support.stand_in import EverySourceExists, StandIn

pytestmark = pytest.mark.apiserver

DAY = 86400


@pytest.fixture
def proxy(api_server: Cluster, operator: Operator, tmp_path: Path) -> Iterator[ApiProxy]:
    """Between the operator and the API server."""
    with ApiProxy(api_server.api_url, tmp_path) as between:
        between.stand_between(Path(operator.environment["KUBECONFIG"]))
        yield between


@contextlib.contextmanager
def serving(operator: Operator, team: Team, folder: Path) -> Iterator[StandIn]:
    """The operator at work, with one pod that serves the adapter `pirate`."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(operator.running())
        team.create(MODEL)
        team.create(ADAPTER)
        [runtime] = team.runtimes(folder, None)
        stack.enter_context(runtime)
        team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        yield runtime


def test_what_a_silent_watch_withheld_comes_with_the_next_one(
    team: Team, operator: Operator, proxy: ApiProxy, tmp_path: Path
) -> None:
    with serving(operator, team, tmp_path) as runtime:
        told = len(runtime.documents)
        proxy.silence_watches()
        team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
        proxy.cut()
        cut = time.monotonic()
        eventually("the pod is told", lambda: len(runtime.documents) > told)
        team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        assert time.monotonic() - cut < 15


def test_after_an_api_server_was_away_for_longer_than_the_lease_what_was_missed_is_listed_anew(
    api_server: Cluster, team: Team, operator: Operator, proxy: ApiProxy, tmp_path: Path
) -> None:
    with serving(operator, team, tmp_path) as runtime:
        first = team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        stale = team.custom.list_namespaced_custom_object(labels.GROUP, labels.VERSION, team.namespace, "loraadapters")[
            "metadata"
        ]["resourceVersion"]
        proxy.silence_watches()
        team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
        pid = api_server.status().components["kube-apiserver"]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        try:
            back = time.monotonic() + leadership.Terms().lease
            eventually("longer than the lease", lambda: time.monotonic() > back)
        finally:
            api_server.up()
        proxy.refuse_watches("loraadapters")
        proxy.cut()
        eventually("the old version is gone", lambda: is_too_old(team, stale))
        begun = time.monotonic()
        eventually("another revision", lambda: team.status("loraadapters", "pirate")["revision"] != first["revision"])
        assert time.monotonic() - begun < 15, "that was the sweep"
        team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        # The watch of adapters is not back yet, and will begin with a list of none.
        team.delete("loraadapters", "pirate")
        proxy.take_watches()
        eventually("the adapter leaves the engine", lambda: not runtime.engine.loaded)


def test_children_that_others_touch_are_put_right_within_seconds(team: Team, operator: Operator) -> None:
    with operator.running():
        team.create(MODEL)
        network, policy = client.NetworkingV1Api(team.core.api_client), client.PolicyV1Api(team.core.api_client)
        children = (
            (team.apps.read_namespaced_deployment, team.apps.delete_namespaced_deployment, "smol"),
            (team.core.read_namespaced_service, team.core.delete_namespaced_service, "smol"),
            (network.read_namespaced_network_policy, network.delete_namespaced_network_policy, "smol"),
            (policy.read_namespaced_pod_disruption_budget, policy.delete_namespaced_pod_disruption_budget, "smol"),
            (team.core.read_namespaced_config_map, team.core.delete_namespaced_config_map, "smol-desired"),
        )

        def uids() -> set[str] | None:
            found = [team.find(read, name) for read, _, name in children]
            return {child.metadata.uid for child in found if child is not None} if all(found) else None

        def back() -> bool:
            now = uids()
            return now is not None and not now & before

        before = eventually("the children", uids)
        for _, delete, name in children:
            delete(name, team.namespace)
        deleted = time.monotonic()
        eventually("other ones of the same names", back)
        assert time.monotonic() - deleted < 10, "that was the sweep"
        team.apps.patch_namespaced_deployment("smol", team.namespace, {"spec": {"replicas": 3}})
        edited = time.monotonic()
        eventually(
            "one replica again",
            lambda: team.apps.read_namespaced_deployment("smol", team.namespace).spec.replicas == 1,
        )
        assert time.monotonic() - edited < 10, "that was the sweep"


def test_who_applies_fields_of_the_operator_by_force_does_not_keep_them(
    api_server: Cluster, team: Team, operator: Operator, tmp_path: Path
) -> None:
    with serving(operator, team, tmp_path):
        was = team.status("loraadapters", "pirate")
        template = {"spec": {"containers": [{"name": render.CONTAINER, "image": "example.invalid/other:1"}]}}
        apply_by_force(api_server, team, "apps/v1", "Deployment", "smol", spec={"replicas": 5, "template": template})
        said = {"reason": "Heard", "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z"}
        lie = {"type": "Ready", "status": "False", **said}
        own = {"type": "example.com/Audited", "status": "True", **said}
        status = {"revision": "00000000", "keptEnergy": 0.5, "conditions": [lie, own]}
        apply_by_force(api_server, team, labels.API_VERSION, "LoRAAdapter", "pirate", status=status)

        def healed() -> bool:
            child = team.apps.read_namespaced_deployment("smol", team.namespace).spec
            found = team.status("loraadapters", "pirate")
            return (
                child.replicas == 1
                and child.template.spec.containers[0].image != "example.invalid/other:1"
                and found["revision"] == was["revision"]
                and "keptEnergy" not in found
                and team.condition("loraadapters", "pirate", "Ready") == ("True", "Serving")
            )

        begun = time.monotonic()
        eventually("as before", healed)
        assert time.monotonic() - begun < 10
        assert team.condition("loraadapters", "pirate", "example.com/Audited") == ("True", "Heard")


class Closed(EverySourceExists):
    """Finds no source until it is opened, and counts the attempts."""

    def __init__(self) -> None:
        self.open = False
        self.asked = 0

    async def resolve(self, request: ResolveRequest, progress: Progress) -> AdapterFacts:
        self.asked += 1
        if not self.open:
            raise not_fetched(Reason.SOURCE_UNREACHABLE, "the hub is away", retryable=True)
        return await super().resolve(request, progress)


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forth", "back"])
def test_a_clock_that_jumps_neither_stalls_what_is_due_nor_makes_all_of_it_due(
    team: Team, operator: Operator, tmp_path: Path, jump: int
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("0")
    operator.runs("support.jumping_operator", JUMP_FILE=str(wrong))
    workshop = Closed()
    with operator.running():
        team.create(MODEL)
        team.create(ADAPTER)
        [runtime] = team.runtimes(tmp_path, workshop)
        with runtime:
            eventually("the second attempt", lambda: workshop.asked == 2)
            wrong.write_text(str(jump))
            team.ring()
            soon = time.monotonic() + 1.5
            eventually("a moment passes", lambda: time.monotonic() > soon)
            assert workshop.asked == 2, "the third is due three seconds after the second at the earliest"
            workshop.open = True
            team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
            assert time.monotonic() - soon < 15, "that was the sweep"


def is_too_old(team: Team, version: str) -> bool:
    """Whether a watch from this version is refused: 410 Gone."""
    stream = team.custom.list_namespaced_custom_object(
        labels.GROUP, labels.VERSION, team.namespace, "loraadapters",
        watch=True, resource_version=version, timeout_seconds=1, _preload_content=False,
    )  # fmt: skip
    return b'"code":410' in stream.data


def apply_by_force(cluster: Cluster, team: Team, api_version: str, kind: str, name: str, **fields: Any) -> None:
    metadata = {"name": name, "namespace": team.namespace}
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
    cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "--field-manager=somebody",
        *(["--subresource=status"] if "status" in fields else []), "-f", "-",
        stdin=yaml.safe_dump(manifest),
    )  # fmt: skip
