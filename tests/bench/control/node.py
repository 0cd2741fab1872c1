"""A real node with the operator from its image, and two pods with real vLLM."""

import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config

from bench.control.observer import Observer
from bench.control.printed import Printed
from bench.control.settings import REPLICAS
from bench.control.traces import Collector, collecting
from e2e.conftest import borrowing_the_environment, image, open_to_all
from local_cluster.cluster import Cluster
from local_cluster.progress import Progress
from lora_api import labels
from lora_demo import installation
from support import pod_processes

NAMESPACE = "bench"
MODEL = "base"
_READY_SECONDS = 300.0

Json = dict[str, Any]
_OPERATOR: Json = {"requests": {"cpu": "250m"}}
_POD: Json = {"requests": {"cpu": "500m"}}
"""The kernel would give a pod that asks for nothing next to nothing while anybody else has work."""


@dataclass(frozen=True)
class Node:
    """The cluster, and the model's pods."""

    cluster: Cluster
    api: client.ApiClient
    pods: dict[str, client.V1Pod]
    """By name."""
    collector: Collector
    """Has the operator's traces."""

    def observers(self, pods: Iterable[client.V1Pod], pause_seconds: float) -> list[Observer]:
        """One for each pod."""
        return [
            Observer(
                pod.metadata.name,
                pod.status.pod_ip,
                Printed.of(self.cluster.pod_logs, NAMESPACE, pod.metadata.name, pod.metadata.uid),
                pause_seconds,
            )
            for pod in pods
        ]

    def logs(self) -> dict[str, str]:
        """What each pod has logged, by its name."""
        return {pod: self.cluster.kubectl("logs", "-n", NAMESPACE, pod) for pod in self.pods}

    @contextmanager
    def standing_still(self, pod: str | None) -> Iterator[None]:
        """Stops the engine's processes of a pod while the block runs; None stops nothing."""
        held = [] if pod is None else pod_processes.of_pod(pod, "VLLM::")
        assert held or pod is None, f"no engine of {pod} was found"
        pod_processes.suspend(held)
        try:
            yield
        finally:
            pod_processes.resume(held)


@contextmanager
def running(volumes: Path, progress: Progress) -> Iterator[Node]:
    """The node while the block runs. `volumes` holds `models/base` and `adapters/<name>`."""
    open_to_all(volumes.parent)
    cluster = Cluster("bench-control", progress=progress)
    cluster.down()
    with contextlib.ExitStack() as ending:
        ending.callback(cluster.down)
        cluster.up()
        collector = ending.enter_context(collecting(cluster.outside_address))
        installation.install(
            cluster,
            (image("operator"), image("runtime-thin")),
            progress,
            values={"tracing": {"endpoint": collector.url}, "resources": _OPERATOR},
        )
        cluster.kubectl("create", "namespace", NAMESPACE)
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(_model(volumes)))
        with progress.step("waiting for two pods with vLLM"):
            cluster.kubectl(
                "wait",
                "-n",
                NAMESPACE,
                "--for=condition=Ready",
                f"loramodel/{MODEL}",
                f"--timeout={_READY_SECONDS:.0f}s",
            )
        with config.new_client_from_config(config_file=str(cluster.kubeconfig)) as api:
            yield Node(cluster, api, _pods(api), collector)


def _pods(api: client.ApiClient) -> dict[str, client.V1Pod]:
    core = client.CoreV1Api(api)
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        listed = core.list_namespaced_pod(NAMESPACE, label_selector=f"{labels.MODEL}={MODEL}").items
        if len(listed) == REPLICAS:
            return {pod.metadata.name: pod for pod in listed}
        time.sleep(0.5)
    raise AssertionError(f"there are not {REPLICAS} pods: {[pod.metadata.name for pod in listed]}")


def _model(volumes: Path) -> Json:
    return {
        "apiVersion": labels.API_VERSION,
        "kind": "LoRAModel",
        "metadata": {"name": MODEL, "namespace": NAMESPACE},
        "spec": {
            "source": {"volume": {"name": "models", "path": MODEL}},
            "replicas": REPLICAS,
            "resources": _POD,
            "engine": {
                "maxModelLen": 512,
                "extraArgs": ["--max-num-seqs=16", "--kv-cache-memory-bytes=134217728", "--disable-uvicorn-access-log"],
            },
            "adapters": {"maxRank": 16, "maxResident": 4, "maxCached": 16},
            "volumes": [{"name": name, "hostPath": {"path": str(volumes / name)}} for name in ("models", "adapters")],
            "podTemplate": borrowing_the_environment({"OMP_NUM_THREADS": "1"}),
        },
    }
