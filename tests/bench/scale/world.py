"""A namespace of an API server without a node: models whose pods are stand-ins, and the operator as a process."""

import asyncio
import base64
import contextlib
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
from kubernetes.aio import client, config

from bench.scale.audit import Audit
from bench.scale.board import Board, Late
from bench.scale.pods import SLOW, Pods
from bench.scale.settings import Shape
from local_cluster import Cluster
from lora_api import labels
from lora_operator.clients import resources
from lora_operator.clients.kube import Kube, KubeError, Resource
from lora_operator.domain import render
from lora_operator.domain.render.certificate import certificate_volume
from support.mounted_secret import write_mounted
from support.operated import Operator

_MERGE = "application/merge-patch+json"
_AT_ONCE = 24
_PATIENCE_SECONDS = 120.0
_NAMESPACES = Resource("Namespace", "namespaces", "v1")


class World:
    """What the benchmark acts on."""

    def __init__(self, cluster: Cluster, kube: Kube, namespace: str, shape: Shape, folder: Path) -> None:
        """Takes a namespace that exists, and a folder of its own."""
        self.kube, self.namespace, self.shape, self.folder = kube, namespace, shape, folder
        self.operator = Operator(cluster, namespace, folder)
        self.audit = Audit(cluster.audit_log, f"system:serviceaccount:{namespace}:lora-operator")
        self.board = Board(kube, namespace)
        self.pods: Pods | None = None
        self._pod_names: list[str] = []
        self.adapters: dict[str, int] = {}
        """Declared ones, and the generation of each."""
        self.peak_rss_mib = 0.0

    @contextlib.asynccontextmanager
    async def operated(self) -> AsyncIterator[subprocess.Popen[bytes]]:
        """Runs the operator meanwhile, and notes how much memory it took at most."""
        with self.operator.log.open("ab") as output:
            process = subprocess.Popen(  # noqa: ASYNC220
                [sys.executable, "-m", "lora_operator"], env=self.operator.environment, stdout=output, stderr=output
            )
        try:
            yield process
            if process.poll() is not None:
                raise Late(f"the operator died:\n{self.operator.log.read_text()[-3000:]}")
            self.peak_rss_mib = max(self.peak_rss_mib, _peak_mib(process.pid))
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            process.kill()

    async def declare_models(self) -> None:
        """Creates the models."""
        for index in range(self.shape.models):
            await self.kube.create(resources.MODELS, _model(self.namespace, f"m{index}", self.shape.pods))

    async def start_pods(self, slow_seconds: float, spares: int = 0) -> Pods:
        """Gives each pod an address, a runtime with its model's certificate, and readiness. The operator must run.

        So many `spares` of the first can be begun anew.
        """
        pods = await self._found(resources.PODS, self.shape.all_pods)
        tls = {
            model: await self._certificate(model)
            for model in sorted({pod["metadata"]["labels"][labels.MODEL] for pod in pods})
        }
        ips = [f"127.0.9.{number}" for number in range(1, len(pods) + 1)]
        made = Pods(
            ips, [tls[pod["metadata"]["labels"][labels.MODEL]] for pod in pods], self.folder, slow_seconds, spares
        )
        made.__enter__()
        self.pods = made
        self._pod_names = [pod["metadata"]["name"] for pod in pods]
        for index, ip in enumerate(ips):
            await self._tell_of_pod(index, {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]})
            await self.say_ready(index, ready=True)
        return made

    async def say_ready(self, index: int, *, ready: bool) -> None:
        """What the kubelet says of a pod."""
        conditions = [{"type": kind, "status": str(ready)} for kind in ("Ready", "ContainersReady")]
        await self._tell_of_pod(index, {"conditions": conditions})

    async def _tell_of_pod(self, index: int, status: dict[str, Any]) -> None:
        path = resources.PODS.path(self.namespace, self._pod_names[index], "status")
        await self.kube._request("PATCH", path, body={"status": status}, content_type=_MERGE)

    async def _certificate(self, model: str) -> Path:
        """A folder as the kubelet mounts it into the model's pods."""
        items = certificate_volume(model)["items"]
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            secret = await self.kube.get(resources.SECRETS, self.namespace, render.CERTIFICATES) or {"data": {}}
            if all(item["key"] in secret["data"] for item in items):
                files = {item["path"]: base64.b64decode(secret["data"][item["key"]]) for item in items}
                return _mounted(self.folder / "tls" / model, files)
            await asyncio.sleep(0.2)
        raise Late(f"there is no certificate for {model}")

    async def mount_ca(self) -> None:
        """As the kubelet does for every start of the operator but the first."""
        secret = await self.kube.get(resources.SECRETS, self.namespace, "lora-operator-ca")
        assert secret is not None
        self.operator.mount_ca(secret["data"])

    async def create(self, names: Iterable[str]) -> dict[str, int]:
        """Declares adapters, many at a time."""
        made = dict.fromkeys(names, 1)

        async def one(name: str) -> None:
            await self.kube.create(resources.ADAPTERS, _adapter(self.namespace, name, self.shape))

        await _together(one, made)
        self.adapters |= made
        return made

    async def delete(self, names: Iterable[str]) -> None:
        """Deletes adapters, many at a time."""
        gone = list(names)

        async def one(name: str) -> None:
            await self.kube._request("DELETE", resources.ADAPTERS.path(self.namespace, name))

        await _together(one, gone)
        for name in gone:
            del self.adapters[name]

    async def change(self, name: str) -> dict[str, int]:
        """Gives an adapter another weight; its name and new generation."""
        generation = self.adapters[name] + 1
        patch = {"spec": {"weight": round(0.1 + generation / 1000, 3)}}
        await self.kube.merge(resources.ADAPTERS, self.namespace, name, patch)
        self.adapters[name] = generation
        return {name: generation}

    async def document_bytes(self, model: str) -> int:
        """Size of what the ConfigMap of a model holds."""
        found = await self.kube.get(resources.CONFIG_MAPS, self.namespace, render.desired_config_map(model))
        assert found is not None
        return sum(len(base64.b64decode(value)) for value in found["binaryData"].values())

    async def _found(self, resource: Resource, count: int) -> list[dict[str, Any]]:
        """So many objects of the models, by name."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = (await self.kube.list(resource, self.namespace, labels=labels.MODEL)).items
            if len(found) == count:
                return sorted(found, key=lambda item: str(item["metadata"]["name"]))
            await asyncio.sleep(0.2)
        raise Late(f"there are no {count} {resource.plural}")


@contextlib.asynccontextmanager
async def world_of(cluster: Cluster, kube: Kube, shape: Shape, folder: Path) -> AsyncIterator[World]:
    """A world in a namespace of its own, which ends with the block."""
    namespace = f"scale-{uuid.uuid4().hex[:8]}"
    await kube._request("POST", "/api/v1/namespaces", body={"metadata": {"name": namespace}})
    own = folder / namespace
    own.mkdir()
    world = World(cluster, kube, namespace, shape, own)
    try:
        yield world
    finally:
        if world.pods is not None:
            world.pods.__exit__(None, None, None)
        await kube._request("DELETE", _NAMESPACES.path(None, namespace))


async def connect(kubeconfig: Path) -> Kube:
    """An administrator's connection."""
    configuration = client.Configuration()
    await config.load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    configuration.connection_pool_maxsize = 64
    return Kube(configuration, lambda *_: None)


async def _together(one: Callable[[str], Any], names: Iterable[str]) -> None:
    room = asyncio.Semaphore(_AT_ONCE)

    async def admitted(name: str) -> None:
        async with room:
            for _ in range(3):
                try:
                    await one(name)
                except KubeError as error:
                    if error.status:
                        raise
                    continue
                return

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(admitted(name))


def _peak_mib(pid: int) -> float:
    with contextlib.suppress(psutil.NoSuchProcess, OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0


def _mounted(into: Path, files: dict[str, bytes]) -> Path:
    into.mkdir(parents=True)
    write_mounted(into, files)
    return into


def _model(namespace: str, name: str, pods: int) -> dict[str, Any]:
    return {
        "apiVersion": labels.API_VERSION,
        "kind": resources.MODELS.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"source": {"huggingFace": {"repo": "team/base"}}, "replicas": pods},
    }


def _adapter(namespace: str, name: str, shape: Shape) -> dict[str, Any]:
    if name.startswith("slow"):
        model, repo = shape.model_of(0), SLOW
    else:
        model, repo = shape.model_of(int(name.rpartition("-")[2])), f"team/{name}"
    return {
        "apiVersion": labels.API_VERSION,
        "kind": resources.ADAPTERS.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"modelRef": {"name": model}, "source": {"huggingFace": {"repo": repo}}},
    }
