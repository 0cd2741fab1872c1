"""A real node: the operator from its image, two pods with real vLLM, faults in their processes."""

import contextlib
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import urllib3
from kubernetes import client

from chaos import watching
from chaos.api_server import kill_api_server
from chaos.excuses import OPERATOR, REACHED_AGAIN_SECONDS, Excuses
from chaos.model import ModelUser
from chaos.node import network, store
from chaos.node.answers import Answers
from chaos.node.logs import Logs
from chaos.node.questions import Questions
from chaos.sightings import Answered
from chaos.steps import Kind, Step
from chaos.timers import Timers
from chaos.user import Users
from chaos.watching import Following
from chaos.wishes import Flaw, Wish
from e2e.conftest import borrowing_the_environment, image, open_to_all
from local_cluster import Cluster
from local_cluster.progress import Progress
from lora_demo import installation
from lora_demo.place import OPERATOR_NAMESPACE
from support import pod_processes
from support.models import tiny_adapter, tiny_base

NAMESPACE = "chaos"
_LEASE = "lora-operator"
_ANSWER_SECONDS = 1.0
"""Most answers take a twentieth of it. What takes longer is not known, and the next look comes well within the bound."""
_PROMPTS, _LENGTH = 8, 8

Json = dict[str, Any]


class Node:
    """See World."""

    def __init__(self, cluster: Cluster, api: client.ApiClient, folder: Path, answers: Answers) -> None:
        """Takes a node with the operator installed, and the folder of the volumes."""
        self._cluster = cluster
        self.excuses = Excuses()
        self.owner = ModelUser(api, NAMESPACE, a_model(folder))
        self.users = Users(api, NAMESPACE, self.owner.name, spec_of, answers.learn)
        self.adapters = watching.adapters(api, NAMESPACE)
        self.models = watching.models(api, NAMESPACE)
        self.pods = watching.pods(api, NAMESPACE, self.owner.name)
        self._operators = Following(client.CoreV1Api(api).list_namespaced_pod, (OPERATOR_NAMESPACE,), api)
        self._core = client.CoreV1Api(api)
        self._coordination = client.CoordinationV1Api(api)
        http = httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False)
        self._questions = Questions(http, answers, self.owner.name)
        self._timers = Timers()
        self._closed = threading.Event()
        self._killed: set[str] = set()
        self.excuses.begin(OPERATOR, "death")
        threading.Thread(target=self._await_operator, daemon=True).start()

    def close(self) -> None:
        """No more news."""
        self.heal()
        self._closed.set()
        for following in (self.adapters, self.models, self.pods, self._operators):
            following.close()

    @property
    def deaths(self) -> int:
        """See World."""
        killed = self._killed
        pods = [pod for name, pod in dict(self._operators.objects).items() if name not in killed]
        states = [each for pod in pods for each in (pod.get("status") or {}).get("containerStatuses") or ()]
        return sum(each["restartCount"] for each in states)

    def harm(self, step: Step) -> bool:
        """See World."""
        names = sorted(dict(self.pods.objects))
        match step.kind:
            case Kind.KILL_OPERATOR:
                return self._kill_operator()
            case Kind.KILL_API_SERVER:
                kill_api_server(self._cluster, self.excuses)
                return True
            case Kind.PAUSE_OPERATOR:
                self._pause(OPERATOR, self._operator_processes(), step.seconds)
            case Kind.KILL_ENGINE | Kind.KILL_POD | Kind.PAUSE_POD | Kind.CUT | Kind.SILENCE | Kind.FILL:
                return bool(names) and self._trouble(step, names[step.pod % len(names)])
            case _:
                self.owner.do(step)
        return False

    def heal(self) -> None:
        """See World."""
        self._timers.end_all()

    async def served(self, pod: str) -> Answered | None:
        """See World."""
        status = self.pods.objects.get(pod, {}).get("status") or {}
        ip = status.get("podIP")
        if not ip:
            return None
        boot = "".join(each.get("containerID") or "" for each in status.get("containerStatuses") or ())
        return await self._questions.ask(f"http://{ip}:8000", boot, self.users.wanted())

    def _trouble(self, step: Step, name: str) -> bool:
        match step.kind:
            case Kind.KILL_ENGINE:
                return pod_processes.kill(pod_processes.of_pod(name, "VLLM::")) > 0
            case Kind.KILL_POD:
                there = bool(pod_processes.of_pod(name))
                with contextlib.suppress(client.exceptions.ApiException):
                    self._core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=1)
                    return there
            case Kind.PAUSE_POD:
                self._pause(name, pod_processes.of_pod(name), step.seconds)
            case Kind.FILL:
                self._fill(name, step.seconds)
            case _:
                self.excuses.begin(name, "cut")
                network.block(name, told=step.kind is Kind.CUT)
                self._timers.later((name, "cut"), step.seconds, lambda: self._mend(name))
        return False

    def _fill(self, name: str, seconds: float) -> None:
        pod = self.pods.objects.get(name)
        if pod is None:
            return
        volume = store.of_pod(self._cluster, pod["metadata"]["uid"])
        store.fill(volume)
        self._timers.later((name, "fill"), seconds, lambda: store.empty(volume))

    def _mend(self, name: str) -> None:
        network.unblock(name)
        self.excuses.end(name, "cut", time.monotonic(), REACHED_AGAIN_SECONDS)

    def _pause(self, who: str, paused: list[Any], seconds: float) -> None:
        def resume() -> None:
            pod_processes.resume(paused)
            self.excuses.end(who, "pause", time.monotonic())

        self.excuses.begin(who, "pause")
        pod_processes.suspend(paused)
        self._timers.later((who, "pause"), seconds, resume)

    def _kill_operator(self) -> bool:
        self.excuses.begin(OPERATOR, "death")
        names = set(dict(self._operators.objects))
        self._killed |= names
        hit = pod_processes.kill(self._operator_processes())
        for name in names:
            # A new pod starts at once; a container that ends often would be kept waiting.
            with contextlib.suppress(client.exceptions.ApiException):
                self._core.delete_namespaced_pod(name, OPERATOR_NAMESPACE, grace_period_seconds=0)
        threading.Thread(target=self._await_operator, daemon=True).start()
        return hit > 0

    def _operator_processes(self) -> list[Any]:
        return [each for name in dict(self._operators.objects) for each in pod_processes.of_pod(name, "lora_operator")]

    def _await_operator(self) -> None:
        """Ends the excuse of an operator that starts, once it has the Lease of the one that was killed."""
        while not self._closed.wait(0.2):
            if self._lease_holder() in dict(self._operators.objects).keys() - self._killed:
                self.excuses.end(OPERATOR, "death", time.monotonic())
                return

    def _lease_holder(self) -> str:
        """The operator's pod that is at work; empty while the API server is away."""
        with contextlib.suppress(client.exceptions.ApiException, urllib3.exceptions.HTTPError):
            lease = self._coordination.read_namespaced_lease(_LEASE, OPERATOR_NAMESPACE)
            return str(lease.spec.holder_identity or "").partition("_")[0]
        return ""


def spec_of(wish: Wish) -> Json:
    """The part of a LoRAAdapter's spec that says what is served."""
    if wish.members:
        members = [{"adapterRef": {"name": name}, "weight": weight} for name, weight in wish.members]
        return {"blend": {"members": members}}
    path = f"{wish.source}-missing" if wish.flaw is Flaw.MISSING else wish.source
    digest = "sha256:" + "0" * 64 if wish.flaw is Flaw.DIGEST else None
    return {"source": {"volume": {"name": "adapters", "path": path}}, "digest": digest}


def a_model(folder: Path) -> Json:
    """Two pods with a tiny model."""
    return {
        "apiVersion": "lora-operator.io/v1alpha1",
        "kind": "LoRAModel",
        "metadata": {"name": "base", "namespace": NAMESPACE},
        "spec": {
            "source": {"volume": {"name": "models", "path": "base"}},
            "replicas": 2,
            "engine": {"maxModelLen": 512, "extraArgs": ["--max-num-seqs=16", "--kv-cache-memory-bytes=134217728"]},
            "adapters": {"maxRank": 16, "maxResident": 4, "maxCached": 16},
            "cache": {"sizeLimit": f"{store.LIMIT_MIB}Mi"},
            "volumes": [{"name": name, "hostPath": {"path": str(folder / name)}} for name in ("models", "adapters")],
            "podTemplate": borrowing_the_environment({"OMP_NUM_THREADS": "1"}),
        },
    }


@contextlib.contextmanager
def node(folder: Path, sources: Collection[str], progress: Progress) -> Iterator[tuple[Cluster, Answers]]:
    """A node with the operator and the files, until the end of the block."""
    base = tiny_base(folder / "models" / "base")
    made = {
        name: tiny_adapter(folder / "adapters" / name, base, seed=seed) for seed, name in enumerate(sources, start=1)
    }
    open_to_all(folder)
    random = Random(0)
    prompts = tuple(tuple(random.randrange(3, 512) for _ in range(_LENGTH)) for _ in range(_PROMPTS))
    cluster = Cluster("chaos-node", progress=progress)
    cluster.down()
    try:
        cluster.up()
        installation.install(cluster, (image("operator"), image("runtime-thin")), progress)
        cluster.kubectl("create", "namespace", NAMESPACE)
        with contextlib.closing(Logs(cluster.pod_logs, folder / "logs")):
            yield cluster, Answers(base, made, prompts)
    finally:
        cluster.down()
