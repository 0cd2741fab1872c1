"""The operator as a process against a real API server. There is no kubelet: the test plays the pods."""

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import yaml
from kubernetes import client

from local_cluster import Cluster, binaries
from local_cluster.layout import cache_root
from local_cluster.progress import Silence
from lora_api import labels
from support.custom_resources import ADAPTER, BLEND, MODEL, mutated
from support.fake_runtime import FakeRuntime

pytestmark = pytest.mark.apiserver

CHART = Path(__file__).resolve().parents[2] / "helm" / "lora-operator"
PATIENCE_SECONDS = 60.0
POD_IP = "127.0.0.5"
"""Loopback of this machine, where the stand-in for the pod's runtime listens."""

Found = TypeVar("Found")


def eventually(what: str, look: Callable[[], Found | None]) -> Found:
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come true in {PATIENCE_SECONDS:.0f} s; last seen: {found!r}")


class Team:
    """A namespace with an operator that watches it."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self.custom = client.CustomObjectsApi(api)
        self.core = client.CoreV1Api(api)
        self.apps = client.AppsV1Api(api)
        self.namespace = namespace

    def create(self, manifest: dict[str, Any]) -> None:
        plural = manifest["kind"].lower() + "s"
        self.custom.create_namespaced_custom_object(labels.GROUP, labels.VERSION, self.namespace, plural, manifest)

    def patch(self, plural: str, name: str, patch: dict[str, Any]) -> None:
        self.custom.patch_namespaced_custom_object(labels.GROUP, labels.VERSION, self.namespace, plural, name, patch)

    def delete(self, plural: str, name: str) -> None:
        self.custom.delete_namespaced_custom_object(labels.GROUP, labels.VERSION, self.namespace, plural, name)

    def status(self, plural: str, name: str) -> dict[str, Any]:
        stored = self.custom.get_namespaced_custom_object(labels.GROUP, labels.VERSION, self.namespace, plural, name)
        found: dict[str, Any] = stored.get("status") or {}
        return found

    def condition(self, plural: str, name: str, kind: str) -> tuple[str, str]:
        """Status and reason, or empty words."""
        conditions = self.status(plural, name).get("conditions") or []
        return next(((c["status"], c["reason"]) for c in conditions if c["type"] == kind), ("", ""))

    def comes_to(self, plural: str, name: str, kind: str, wanted: tuple[str, str]) -> None:
        eventually(
            f"{plural}/{name} {kind}={wanted[0]} ({wanted[1]})",
            lambda: self.condition(plural, name, kind) == wanted or None,
        )


@pytest.fixture
def team(api_client: client.ApiClient, namespace: str) -> Team:
    return Team(api_client, namespace)


@pytest.fixture
def kubeconfig(api_server: Cluster, namespace: str, tmp_path: Path) -> Path:
    """Logs in as the chart's service account, with the chart's role and nothing more."""
    helm = binaries.ensure(["helm"], cache_root(), Silence())["helm"]
    rendered = subprocess.run(
        [helm, "template", "lora-operator", str(CHART), "--namespace", namespace,
         "--set", f"watchNamespaces={{{namespace}}}",
         "--show-only", "templates/rbac.yaml", "--show-only", "templates/serviceaccount.yaml"],
        check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip
    api_server.kubectl("apply", "--namespace", namespace, "-f", "-", stdin=rendered)
    token = api_server.kubectl("create", "token", "lora-operator", "--namespace", namespace).strip()
    login = yaml.safe_load(api_server.kubeconfig.read_text(encoding="utf-8"))
    login["users"] = [{"name": user["name"], "user": {"token": token}} for user in login["users"]]
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(login), encoding="utf-8")
    return path


@pytest.fixture
def operator_environment(kubeconfig: Path, namespace: str, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "ca").mkdir()
    return os.environ | {
        "KUBECONFIG": str(kubeconfig),
        "LORA_OPERATOR_NAMESPACE": namespace,
        "LORA_OPERATOR_WATCH_NAMESPACES": namespace,
        "LORA_OPERATOR_IMAGES": '{"CPU": "example.invalid/lora-runtime-cpu:1"}',
        "LORA_OPERATOR_CA_DIR": str(tmp_path / "ca"),
        "LORA_OPERATOR_HEALTH_PORT": str(free_port()),
        "LORA_OPERATOR_METRICS_PORT": str(free_port()),
    }


@pytest.fixture
def operator(operator_environment: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    log = tmp_path / "operator.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "lora_operator"], env=operator_environment, stdout=output, stderr=output
        )
    try:
        yield process
        assert process.poll() is None, f"the operator died:\n{log.read_text()}"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
        sys.stderr.write(log.read_text())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_model_gets_its_children_and_the_adapters_wait_for_a_pod(team: Team, operator: object) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    deployment = eventually("the Deployment", lambda: find(team.apps.read_namespaced_deployment, team))
    [owner] = deployment.metadata.owner_references
    assert (owner.kind, owner.name, owner.controller) == ("LoRAModel", "smol", True)
    eventually("the Service", lambda: find(team.core.read_namespaced_service, team))
    secrets = eventually("the certificate", lambda: certificates(team))
    assert secrets[0].type == "kubernetes.io/tls"
    team.comes_to("loraadapters", "pirate", "Accepted", ("True", "Accepted"))
    team.comes_to("loraadapters", "pirate", "Ready", ("False", "ModelNotAvailable"))
    assert team.condition("loramodels", "smol", "Ready")[0] == "False"


def test_an_adapter_is_served_by_a_pod_follows_its_weight_and_leaves(
    team: Team, operator: object, tmp_path: Path
) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    with a_pod(team, tmp_path) as runtime:
        team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
        assert [adapter.name for adapter in runtime.documents[-1].adapters] == ["pirate"]
        first = team.status("loraadapters", "pirate")
        assert first["summary"]["loaded"] == "1/1"

        team.patch("loraadapters", "pirate", {"spec": {"weight": 0.4}})
        second = eventually("another revision", lambda: changed_revision(team, first["revision"]))
        assert second["digest"] == first["digest"]
        assert len(runtime.questions) == 1, "a weight is no reason to resolve the source again"

        team.delete("loraadapters", "pirate")
        eventually("the adapter leaves the pod", lambda: runtime.documents[-1].adapters == ())


def test_a_pod_that_stops_answering_is_named(team: Team, operator: object, tmp_path: Path) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    with a_pod(team, tmp_path):
        team.comes_to("loraadapters", "pirate", "Ready", ("True", "Serving"))
    team.comes_to("loraadapters", "pirate", "Ready", ("False", "PodUnreachable"))
    [failure] = team.status("loraadapters", "pirate")["failures"]
    assert failure["reason"] == "PodUnreachable"


def test_of_two_adapters_with_one_served_name_the_older_has_it(team: Team, operator: object) -> None:
    team.create(MODEL)
    team.create(ADAPTER)
    team.comes_to("loraadapters", "pirate", "Accepted", ("True", "Accepted"))
    time.sleep(1.1)  # creation times have whole seconds
    team.create(mutated(ADAPTER, {"metadata.name": "impostor", "spec.servedName": "pirate"}))
    team.comes_to("loraadapters", "impostor", "Accepted", ("False", "NameConflict"))
    assert team.condition("loraadapters", "pirate", "Accepted") == ("True", "Accepted")
    team.delete("loraadapters", "pirate")
    team.comes_to("loraadapters", "impostor", "Accepted", ("True", "Accepted"))


def test_an_adapter_without_its_model_says_so_and_heals(team: Team, operator: object) -> None:
    team.create(ADAPTER)
    team.comes_to("loraadapters", "pirate", "Accepted", ("False", "ModelNotFound"))
    team.create(MODEL)
    team.comes_to("loraadapters", "pirate", "Accepted", ("True", "Accepted"))
    team.delete("loramodels", "smol")
    team.comes_to("loraadapters", "pirate", "Accepted", ("False", "ModelNotFound"))


def test_a_blend_of_a_missing_member_says_which(team: Team, operator: object) -> None:
    team.create(MODEL)
    team.create(BLEND)
    team.comes_to("loraadapters", BLEND["metadata"]["name"], "Accepted", ("False", "MemberNotFound"))


def test_an_edited_child_is_put_right(team: Team, operator: object) -> None:
    team.create(MODEL)
    eventually("the Deployment", lambda: find(team.apps.read_namespaced_deployment, team))
    team.comes_to("loramodels", "smol", "Accepted", ("True", "Accepted"))
    team.apps.patch_namespaced_deployment("smol", team.namespace, {"spec": {"replicas": 3}})
    team.patch("loramodels", "smol", {"metadata": {"annotations": {"rung": "yes"}}})
    eventually(
        "one replica again",
        lambda: team.apps.read_namespaced_deployment("smol", team.namespace).spec.replicas == 1,
    )


def test_a_pod_template_that_the_api_server_refuses_is_told_as_an_event(team: Team, operator: object) -> None:
    team.create(mutated(MODEL, {"spec.podTemplate": {"spec": {"restartPolicy": "Sometimes"}}}))
    event = eventually("an event", lambda: next((e for e in events(team) if e["reason"] == "ChildRefused"), None))
    assert "restartPolicy" in event["note"]
    assert event["regarding"]["name"] == "smol"


def test_a_child_name_that_somebody_else_holds_is_not_taken(team: Team, operator: object) -> None:
    team.core.create_namespaced_service(
        team.namespace, {"metadata": {"name": "smol"}, "spec": {"ports": [{"port": 80}]}}
    )
    team.create(MODEL)
    team.comes_to("loramodels", "smol", "Accepted", ("False", "NameConflict"))
    team.core.delete_namespaced_service("smol", team.namespace)
    team.comes_to("loramodels", "smol", "Accepted", ("True", "Accepted"))


def test_it_ends_within_five_seconds_of_being_asked_to(
    team: Team, operator_environment: dict[str, str], tmp_path: Path
) -> None:
    with (tmp_path / "short.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "lora_operator"], env=operator_environment, stdout=output, stderr=output
        )
    try:
        team.create(MODEL)
        eventually("the Deployment", lambda: find(team.apps.read_namespaced_deployment, team))
        port = operator_environment["LORA_OPERATOR_HEALTH_PORT"]
        eventually("health", lambda: httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success)
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, (tmp_path / "short.log").read_text()
        assert time.monotonic() - asked < 5.0
    finally:
        if process.poll() is None:
            process.kill()


def test_a_second_start_waits_for_the_mount_of_the_ca_that_the_first_made(
    team: Team, operator: object, operator_environment: dict[str, str]
) -> None:
    eventually("the CA", lambda: find(team.core.read_namespaced_secret, team, "lora-operator-ca"))
    done = subprocess.run(
        [sys.executable, "-m", "lora_operator"], env=operator_environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "waiting for the kubelet to mount it" in done.stderr
    assert "Traceback" not in done.stderr


def a_pod(team: Team, folder: Path) -> FakeRuntime:
    """Gives the pod that the Deployment made an address and readiness, and a runtime with its certificate."""
    [secret] = eventually("the certificate", lambda: certificates(team))
    for name, content in secret.data.items():
        (folder / name).write_bytes(base64.b64decode(content))
    pod = eventually("the pod", lambda: next(iter(pods(team)), None))
    status = {
        "phase": "Running",
        "podIP": POD_IP,
        "podIPs": [{"ip": POD_IP}],
        "conditions": [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")],
    }
    team.core.patch_namespaced_pod_status(pod.metadata.name, team.namespace, {"status": status})
    return FakeRuntime(POD_IP, 8001, folder)


def pods(team: Team) -> list[Any]:
    return list(team.core.list_namespaced_pod(team.namespace, label_selector=f"{labels.MODEL}=smol").items)


def certificates(team: Team) -> list[Any]:
    found = team.core.list_namespaced_secret(team.namespace, label_selector=f"{labels.MODEL}=smol")
    return list(found.items)


def changed_revision(team: Team, old: str) -> dict[str, Any] | None:
    status = team.status("loraadapters", "pirate")
    served = team.condition("loraadapters", "pirate", "Ready") == ("True", "Serving")
    return status if served and status["revision"] != old else None


def events(team: Team) -> list[dict[str, Any]]:
    found = team.custom.list_namespaced_custom_object("events.k8s.io", "v1", team.namespace, "events")
    items: list[dict[str, Any]] = found["items"]
    return items


def find(read: Callable[..., Any], team: Team, name: str = "smol") -> Any | None:
    try:
        return read(name, team.namespace)
    except client.exceptions.ApiException as error:
        if error.status == 404:
            return None
        raise
