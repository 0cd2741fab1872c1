"""A namespace of a real API server with the operator working in it. There is no kubelet: the test plays the pods."""

import base64
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml
from kubernetes import client

from local_cluster import Cluster, binaries
from local_cluster.layout import cache_root
from local_cluster.progress import Silence
from lora_api import labels
from lora_operator.domain import render
from lora_operator.domain.render.certificate import certificate_volume
from lora_runtime.service import Work
from support.mounted_secret import write_mounted
from support.runtime_process import free_port
from support.stand_in import StandIn

TESTS = Path(__file__).resolve().parents[1]
CHART = TESTS.parent / "helm" / "lora-operator"
PATIENCE_SECONDS = 60.0
POD_IPS = ("127.0.0.5", "127.0.0.6", "127.0.0.7")
"""Loopback of this machine, where the stand-ins for the pods' runtimes listen."""

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
    """The users of a namespace: they write LoRAModels and LoRAAdapters, and read what becomes of them."""

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

    def ring(self) -> None:
        """Makes the operator look at the model `smol` once more, at most once a second."""
        self.patch("loramodels", "smol", {"metadata": {"annotations": {"rung": str(int(time.monotonic()))}}})

    def delete(self, plural: str, name: str) -> None:
        self.custom.delete_namespaced_custom_object(labels.GROUP, labels.VERSION, self.namespace, plural, name)

    def status(self, plural: str, name: str) -> dict[str, Any]:
        stored = self.custom.get_namespaced_custom_object(labels.GROUP, labels.VERSION, self.namespace, plural, name)
        found: dict[str, Any] = stored.get("status") or {}
        return found

    def condition(self, plural: str, name: str, kind: str) -> tuple[str, str]:
        """Status and reason, or empty words."""
        return _condition(self.status(plural, name), kind)

    def comes_to(self, plural: str, name: str, kind: str, wanted: tuple[str, str]) -> dict[str, Any]:
        """The status in which the condition is first seen with this status and reason."""

        def look() -> dict[str, Any] | None:
            status = self.status(plural, name)
            return status if _condition(status, kind) == wanted else None

        return eventually(f"{plural}/{name} {kind}={wanted[0]} ({wanted[1]})", look)

    def find(self, read: Callable[..., Any], name: str = "smol") -> Any | None:
        """What a `read_namespaced_...` answers; None when there is no such object."""
        try:
            return read(name, self.namespace)
        except client.exceptions.ApiException as error:
            if error.status == 404:
                return None
            raise

    def events(self) -> list[dict[str, Any]]:
        found = self.custom.list_namespaced_custom_object("events.k8s.io", "v1", self.namespace, "events")
        items: list[dict[str, Any]] = found["items"]
        return items

    def certificates(self) -> Any | None:
        return self.find(self.core.read_namespaced_secret, render.CERTIFICATES)

    def pods(self, model: str = "smol") -> list[Any]:
        found = self.core.list_namespaced_pod(self.namespace, label_selector=f"{labels.MODEL}={model}")
        return sorted(found.items, key=lambda pod: str(pod.metadata.name))

    def play_ready(self, pod: Any, ip: str) -> None:
        """Says what a kubelet says of a pod that serves."""
        ready = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": ready}
        self.core.patch_namespaced_pod_status(pod.metadata.name, self.namespace, {"status": status})

    def runtimes(
        self,
        folder: Path,
        *workshops: Work | None,
        model: str = "smol",
        ips: Sequence[str] = POD_IPS,
        **how: Any,
    ) -> list[StandIn]:
        """Gives each of the model's pods an address and readiness, and a runtime with its certificate, not started.

        There must be as many pods as workshops; None is one in which every source exists.
        """
        self.mount_certificate(folder, model)
        pods = eventually("the pods", lambda: found if len(found := self.pods(model)) == len(workshops) else None)
        made = []
        for pod, ip, workshop in zip(pods, ips, workshops, strict=False):
            self.play_ready(pod, ip)
            store = folder / pod.metadata.name
            made.append(StandIn(ip, render.ADMIN_PORT, folder, store=store, workshop=workshop, **how))
        return made

    def mount_certificate(self, folder: Path, model: str = "smol") -> None:
        """Writes what the pods of the model have mounted."""
        items = certificate_volume(model)["items"]

        def there() -> Any | None:
            secret = self.certificates()
            return secret if secret is not None and all(item["key"] in (secret.data or {}) for item in items) else None

        secret = eventually("the certificate", there)
        write_mounted(folder, {item["path"]: base64.b64decode(secret.data[item["key"]]) for item in items})


class Operator:
    """The operator as a process, with the chart's role and nothing more."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        folder: Path,
        pod_name: str = "operator-0",
        watches: Sequence[str] = (),
        chart: Path = CHART,
    ) -> None:
        """Watches its own namespace, unless others are named; the chart gives it its role."""
        folder.mkdir(exist_ok=True)
        self.log = folder / "operator.log"
        self._ca = folder / "ca"
        self._ca.mkdir()
        self._must_live = True
        self._module = "lora_operator"
        watched = ",".join(watches) or namespace
        self.environment = os.environ | {
            "KUBECONFIG": str(_login(cluster, namespace, folder, watched, chart)),
            "LORA_OPERATOR_NAMESPACE": namespace,
            "LORA_OPERATOR_POD_NAME": pod_name,
            "LORA_OPERATOR_WATCH_NAMESPACES": watched,
            "LORA_OPERATOR_IMAGES": '{"CPU": "example.invalid/lora-runtime-cpu:1"}',
            "LORA_OPERATOR_CA_DIR": str(self._ca),
            "LORA_OPERATOR_HEALTH_PORT": str(free_port()),
            "LORA_OPERATOR_METRICS_PORT": str(free_port()),
        }

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Runs meanwhile, and must not have died by the end."""
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", self._module], env=self.environment, stdout=output, stderr=output
            )
        try:
            yield process
            alive = process.poll() in (None, 0)
            assert alive or not self._must_live, f"the operator died:\n{self.log.read_text()}"
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=30)
            sys.stderr.write(self.log.read_text())

    def runs(self, module: str, **environment: str) -> None:
        """Starts this module from now on, which makes an operator of its own, with more in its environment."""
        self._module = module
        self.environment |= {"PYTHONPATH": str(TESTS), **environment}

    def may_die(self) -> None:
        """From now on, its end is no failure of the test."""
        self._must_live = False

    def is_healthy(self) -> bool:
        """Whether it answers the kubelet."""
        port = self.environment["LORA_OPERATOR_HEALTH_PORT"]
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def metrics(self) -> list[str]:
        """The lines that a scraper gets."""
        port = self.environment["LORA_OPERATOR_METRICS_PORT"]
        return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5, trust_env=False).text.splitlines()

    def mount_ca(self, secret: Mapping[str, str]) -> None:
        """As the kubelet does for every start but the first."""
        for name, content in secret.items():
            (self._ca / name).write_bytes(base64.b64decode(content))


def _condition(status: Mapping[str, Any], kind: str) -> tuple[str, str]:
    conditions = status.get("conditions") or []
    return next(((c["status"], c["reason"]) for c in conditions if c["type"] == kind), ("", ""))


def _login(cluster: Cluster, namespace: str, folder: Path, watched: str, chart: Path) -> Path:
    """A kubeconfig of the chart's service account."""
    helm = binaries.ensure(["helm"], cache_root(), Silence())["helm"]
    rendered = subprocess.run(
        [helm, "template", "lora-operator", str(chart), "--namespace", namespace,
         "--set", f"watchNamespaces={{{watched}}}",
         "--show-only", "templates/rbac.yaml", "--show-only", "templates/serviceaccount.yaml"],
        check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip
    cluster.kubectl("apply", "-f", "-", stdin=rendered)
    token = cluster.kubectl("create", "token", "lora-operator", "--namespace", namespace).strip()
    login = yaml.safe_load(cluster.kubeconfig.read_text(encoding="utf-8"))
    login["users"] = [{"name": user["name"], "user": {"token": token}} for user in login["users"]]
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(login), encoding="utf-8")
    return path
