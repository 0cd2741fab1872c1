"""Two operators and one Lease, as processes against a real API server: who works, who waits, and who must not write."""

import base64
import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from local_cluster import Cluster
from lora_api import labels
from lora_api.runtime_api import CONFIG_MAP_KEY, Desired
from support.api_proxy import ApiProxy
from support.custom_resources import ADAPTER, MODEL, mutated
from support.late_pushes import LatePushes
from support.operated import Operator, Team, eventually
from support.stand_in import StandIn

pytestmark = pytest.mark.apiserver

TAKES_OVER_SECONDS = 20.0


class Pair:
    """A leader and one that stands by, with the same account and the same certificate authority."""

    def __init__(self, cluster: Cluster, team: Team, folder: Path) -> None:
        self.team = team
        self.lease = client.CoordinationV1Api(team.core.api_client)
        self.first, self.second = (
            Operator(cluster, team.namespace, folder / name, pod_name=name) for name in ("first", "second")
        )

    @property
    def holder(self) -> str:
        lease = self.team.find(self.lease.read_namespaced_lease, "lora-operator")
        return "" if lease is None else str(lease.spec.holder_identity or "").split("_")[0]

    @contextlib.contextmanager
    def running(self) -> Iterator[tuple[Any, Any]]:
        """Both processes; the first of them leads."""
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(self.first.running())
            eventually("the first leads", lambda: self.holder == "first")
            secret = eventually(
                "the CA", lambda: self.team.find(self.team.core.read_namespaced_secret, "lora-operator-ca")
            )
            self.second.mount_ca(secret.data)
            second = stack.enter_context(self.second.running())
            eventually("the second stands by", lambda: "standing by: first_" in self.second.log.read_text())
            eventually("the second is healthy", self.second.is_healthy)
            yield first, second

    def is_taken_over(self, since: float) -> float:
        """Seconds from then until a new model has its Deployment."""
        self.team.create(MODEL)
        eventually("the Deployment", lambda: self.team.find(self.team.apps.read_namespaced_deployment))
        assert self.holder == "second"
        return time.monotonic() - since


@pytest.fixture
def pair(api_server: Cluster, team: Team, tmp_path: Path) -> Pair:
    return Pair(api_server, team, tmp_path)


def test_one_that_stands_by_takes_over_within_twenty_seconds_of_a_kill(pair: Pair) -> None:
    with pair.running() as (first, _):
        pair.first.may_die()
        first.kill()
        assert pair.is_taken_over(time.monotonic()) < TAKES_OVER_SECONDS


def test_one_that_is_started_anew_in_the_container_of_a_killed_one_takes_over_at_once(
    api_server: Cluster, team: Team, tmp_path: Path
) -> None:
    operator = Operator(api_server, team.namespace, tmp_path)
    operator.environment["LORA_OPERATOR_POD_UID"] = "3f1c"
    operator.may_die()
    with operator.running() as first:
        eventually("it leads", lambda: "at work as operator-0_3f1c_" in operator.log.read_text())
        secret = eventually("the CA", lambda: team.find(team.core.read_namespaced_secret, "lora-operator-ca"))
        operator.mount_ca(secret.data)
        first.kill()
        first.wait(timeout=10)
    with operator.running():
        started = time.monotonic()
        team.create(MODEL)
        eventually("the Deployment", lambda: team.find(team.apps.read_namespaced_deployment))
        assert time.monotonic() - started < 10, "it waited for its own Lease"


def test_one_that_stands_by_takes_over_at_once_from_one_that_is_stopped(pair: Pair) -> None:
    with pair.running() as (first, _):
        first.terminate()
        assert first.wait(timeout=30) == 0, pair.first.log.read_text()
        assert pair.is_taken_over(time.monotonic()) < 3


def test_a_leader_that_slept_through_its_lease_writes_nothing_any_more_and_ends(pair: Pair) -> None:
    team = pair.team
    with pair.running() as (first, _):
        team.create(MODEL)
        eventually("the Deployment", lambda: team.find(team.apps.read_namespaced_deployment))
        team.create(ADAPTER)
        team.comes_to("loraadapters", "pirate", "Ready", ("False", "ModelNotAvailable"))
        with paused(pair.first, first):
            eventually("the second leads", lambda: pair.holder == "second")
            # Something to do for both: events wait for the sleeper in its sockets.
            team.patch("loramodels", "smol", {"spec": {"replicas": 3}})
            eventually("three replicas", lambda: replicas(team) == 3)
            eventually("a status that says so", lambda: generation_reported(team, "loramodels", "smol") == 2)
            written = settled(team)
        ends_since_the_second_leads(pair, first)
        assert versions(team) == written


def test_what_a_leader_wrote_in_time_and_the_network_delivers_late_changes_nothing(
    api_server: Cluster, pair: Pair, tmp_path: Path
) -> None:
    team = pair.team
    with ApiProxy(api_server.api_url, tmp_path) as proxy:
        proxy.stand_between(Path(pair.first.environment["KUBECONFIG"]))
        with pair.running():
            team.create(MODEL)
            team.create(mutated(MODEL, {"metadata.name": "other"}))
            team.create(mutated(ADAPTER, {"spec.modelRef.name": "other"}))
            eventually("a settled status", lambda: generation_reported(team, "loraadapters", "pirate") == 1)
            eventually("the Deployment", lambda: team.find(team.apps.read_namespaced_deployment))
            # Or a status that is on its way would be held, and the next one wait for its end.
            eventually("the status of the other model", lambda: generation_reported(team, "loramodels", "other") == 1)
            settled(team, seconds=3)
            pair.first.may_die()
            proxy.hold_writes()
            # Of two models, so that neither write waits for the other one.
            team.patch("loramodels", "smol", {"spec": {"replicas": 3}})
            team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
            eventually("the second leads", lambda: pair.holder == "second")
            team.patch("loramodels", "smol", {"spec": {"replicas": 2}})
            team.patch("loraadapters", "pirate", {"spec": {"weight": 0.5}})
            eventually("two replicas", lambda: replicas(team) == 2)
            eventually("a status that says so", lambda: generation_reported(team, "loramodels", "smol") == 3)
            eventually("the newest status", lambda: generation_reported(team, "loraadapters", "pirate") == 3)
            written = settled(team)
            proxy.deliver_writes()
            eventually("they arrive", lambda: {"deployments/smol", "pirate/status"} <= late_writes(proxy).keys())
            assert set(late_writes(proxy).values()) == {409}
            assert versions(team) == written


def test_a_document_that_a_paused_leader_was_storing_is_refused_and_the_pod_goes_on_with_that_of_the_successor(
    api_server: Cluster, pair: Pair, tmp_path: Path
) -> None:
    team = pair.team
    with ApiProxy(api_server.api_url, tmp_path) as proxy:
        proxy.stand_between(Path(pair.first.environment["KUBECONFIG"]))
        with pair.running() as (first, _), serving(team, tmp_path) as runtime:
            # That alone: a status that is held would be waited for, and the document not be sent.
            proxy.hold_writes("/configmaps/smol-desired")
            team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
            eventually("the first stores what is to be served", lambda: proxy.held)
            with paused(pair.first, first):
                newest = the_second_serves_another_weight(pair)
                written, documents = settled(team), list(runtime.documents)
                proxy.deliver_writes()
                eventually("it arrives", lambda: late_writes(proxy))
                assert late_writes(proxy) == {"configmaps/smol-desired": 409}
            ends_since_the_second_leads(pair, first)
            assert versions(team) == written
            assert runtime.documents == documents
            assert (served(runtime), revision_stored(team)) == (newest, newest)


@pytest.mark.parametrize(
    ("patches", "method", "answer"), [(True, "PATCH", 412), (False, "PUT", 409)], ids=["patch", "whole"]
)
def test_a_push_of_a_paused_leader_is_refused_by_a_pod_that_serves_what_the_successor_says(
    pair: Pair, tmp_path: Path, patches: bool, method: str, answer: int
) -> None:
    team, pushes = pair.team, LatePushes(patches=patches)
    with pair.running() as (first, _), serving(team, tmp_path, wrap=pushes.in_front_of) as runtime:
        before = served(runtime)
        pushes.hold_one()
        team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
        eventually("the first tells what is to be served", lambda: pushes.held)
        stored = revision_stored(team)
        assert (served(runtime) == before, stored == before) == (True, False), "it is stored, and the pod has not heard"
        with paused(pair.first, first):
            newest = the_second_serves_another_weight(pair)
            assert newest not in (before, stored)
            written, documents = settled(team), list(runtime.documents)
            pushes.deliver()
            eventually("it arrives", lambda: pushes.late)
            assert (pushes.held, pushes.late) == (method, answer)
        ends_since_the_second_leads(pair, first)
        assert pushes.later == [], "told that its patch does not fit, it may not send the whole document"
        assert versions(team) == written
        assert runtime.documents == documents
        assert (served(runtime), revision_stored(team)) == (newest, newest)


@contextlib.contextmanager
def serving(team: Team, folder: Path, **how: Any) -> Iterator[StandIn]:
    """One pod that serves the adapter `pirate`, and nothing more to do."""
    team.create(MODEL)
    team.create(ADAPTER)
    [runtime] = team.runtimes(folder, None, **how)
    with runtime:
        team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        settled(team, seconds=3)
        yield runtime


@contextlib.contextmanager
def paused(operator: Operator, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """It sleeps meanwhile, and may end once it wakes."""
    operator.may_die()
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def the_second_serves_another_weight(pair: Pair) -> str:
    """Once it leads; the revision of it."""
    team = pair.team
    eventually("the second leads", lambda: pair.holder == "second")
    team.patch("loraadapters", "pirate", {"spec": {"weight": 0.5}})
    eventually("the newest status", lambda: generation_reported(team, "loraadapters", "pirate") == 3)
    return str(team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))["revision"])


def ends_since_the_second_leads(pair: Pair, process: subprocess.Popen[bytes]) -> None:
    assert process.wait(timeout=10) == 1
    assert "held by second_" in pair.first.log.read_text()


def served(runtime: StandIn) -> str:
    """The revision of `pirate` that requests get from the pod."""
    return runtime.engine.published["pirate"].engine_name.rpartition("@")[2].partition(".")[0]


def revision_stored(team: Team) -> str:
    """The revision of `pirate` that a pod begins with which starts now."""
    found = team.core.read_namespaced_config_map("smol-desired", team.namespace)
    spec = Desired.unpacked(base64.b64decode(found.binary_data[CONFIG_MAP_KEY])).by_name["pirate"].serve
    assert spec is not None
    return spec.revision


def late_writes(proxy: ApiProxy) -> dict[str, int]:
    """The end of the path of each, and how it was answered."""
    return {"/".join(path.split("?")[0].split("/")[-2:]): status for path, status in proxy.late}


def generation_reported(team: Team, plural: str, name: str) -> int:
    return int(team.status(plural, name).get("observedGeneration", 0))


def replicas(team: Team) -> int:
    return int(team.apps.read_namespaced_deployment("smol", team.namespace).spec.replicas)


def settled(team: Team, seconds: float = 1) -> dict[str, object]:
    """The versions once they have been the same for so long."""
    seen, since = versions(team), time.monotonic()

    def look() -> bool:
        nonlocal seen, since
        found = versions(team)
        if found != seen:
            seen, since = found, time.monotonic()
        return time.monotonic() - since > seconds

    eventually("nothing changes any more", look)
    return seen


def versions(team: Team) -> dict[str, object]:
    """The versions of all objects that an operator writes, as far as nobody else writes them."""
    found = [
        team.core.read_namespaced_service("smol", team.namespace).metadata,
        team.core.read_namespaced_config_map("smol-desired", team.namespace).metadata,
    ]
    custom = [
        team.custom.get_namespaced_custom_object(labels.GROUP, labels.VERSION, team.namespace, plural, name)["metadata"]
        for plural, name in (("loramodels", "smol"), ("loraadapters", "pirate"))
    ]
    deployment = team.apps.read_namespaced_deployment("smol", team.namespace).metadata
    return (
        {deployment.uid: deployment.generation}
        | {m.uid: m.resource_version for m in found}
        | {m["uid"]: m["resourceVersion"] for m in custom}
    )
