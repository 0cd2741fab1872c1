"""A real API server, the real operator, and pods whose engines only remember."""

import asyncio
import contextlib
import signal
import threading
import time
import uuid
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
from kubernetes import client

from chaos import watching
from chaos.api_server import kill_api_server
from chaos.excuses import REACHED_AGAIN_SECONDS, Excuses
from chaos.model import ModelUser
from chaos.sightings import Answered
from chaos.stand_ins.kubelet import Kubelet
from chaos.stand_ins.operator import OperatorProcess
from chaos.stand_ins.pod import MISSING, TEAM
from chaos.steps import Kind, Step
from chaos.timers import Timers
from chaos.user import Users, ignoring, persistently
from chaos.wishes import Flaw, Wish
from local_cluster import Cluster
from lora_operator.domain import render
from support.custom_resources import MODEL, mutated
from support.operated import Operator

NETWORK = "127.0.9"
_ANSWER_SECONDS = 0.5

Json = dict[str, Any]


class StandIns:
    """See World."""

    def __init__(self, cluster: Cluster, api: client.ApiClient, namespace: str, folder: Path, replicas: int) -> None:
        """Takes a cluster with the CRDs, a namespace in it, and a folder for logs and stores."""
        self._cluster = cluster
        self.excuses = Excuses()
        self.owner = ModelUser(api, namespace, mutated(MODEL, {"spec.replicas": replicas}))
        self.users = Users(api, namespace, self.owner.name, spec_of)
        self.adapters = watching.adapters(api, namespace)
        self.models = watching.models(api, namespace)
        self.pods = watching.pods(api, namespace, self.owner.name)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self._http = httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False)
        self._timers = Timers()
        operator = Operator(cluster, namespace, folder)
        self.operator = OperatorProcess(operator, self.excuses)
        self._mount_ca(operator, api, namespace)
        self._kubelet = Kubelet(api, namespace, self.owner.name, self.pods, folder, NETWORK, self.on_loop)

    def close(self) -> None:
        """Ends everything."""
        self.heal()
        self.operator.close()
        self._kubelet.close()
        for following in (self.adapters, self.models, self.pods):
            following.close()
        self.loop.call_soon_threadsafe(self.loop.stop)

    @property
    def deaths(self) -> int:
        """See World."""
        return self.operator.deaths

    def on_loop(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs it on the loop of the ways, and waits for it."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def harm(self, step: Step) -> bool:
        """See World."""
        names = sorted(self._kubelet.running)
        match step.kind:
            case Kind.KILL_OPERATOR:
                return self.operator.kill()
            case Kind.KILL_API_SERVER:
                kill_api_server(self._cluster, self.excuses)
                return True
            case Kind.PAUSE_OPERATOR:
                self.operator.pause()
                self._timers.later(("operator", "pause"), step.seconds, self.operator.resume)
            case Kind.KILL_POD:
                return bool(names) and self._delete_pod(names[step.pod % len(names)])
            case Kind.KILL_ENGINE | Kind.PAUSE_POD | Kind.CUT | Kind.SILENCE | Kind.FILL | Kind.SLOW:
                return bool(names) and self._trouble(step, names[step.pod % len(names)])
            case _:
                self.owner.do(step)
        return False

    def heal(self) -> None:
        """See World."""
        self._timers.end_all()
        for name in sorted(self._kubelet.running):
            self._kubelet.tell(name, {"heal": 1.0})

    async def served(self, pod: str) -> Answered | None:
        """See World."""
        each = self._kubelet.running.get(pod)
        if each is None:
            return None
        try:
            answer = await self._http.get(f"http://{each.place.ip}:{render.SERVING_PORT}/")
            found = answer.json()
        except (httpx.HTTPError, ValueError):
            return None
        served = {
            name: frozenset[Any]() if made is None else frozenset([tuple((source, weight) for source, weight in made)])
            for name, made in found["served"].items()
        }
        return Answered(found["boot"], served)

    def _delete_pod(self, name: str) -> bool:
        core = client.CoreV1Api(self.owner.api)
        persistently(lambda: ignoring(404, lambda: core.delete_namespaced_pod(name, self.owner.namespace)))
        return self._kubelet.kill_engine(name)

    def _trouble(self, step: Step, name: str) -> bool:
        kubelet = self._kubelet
        each = kubelet.running.get(name)
        if each is None:
            return False
        match step.kind:
            case Kind.KILL_ENGINE:
                return kubelet.kill_engine(name)
            case Kind.PAUSE_POD:
                self.excuses.begin(name, "pause")
                each.paused = True
                kubelet.signal(name, signal.SIGSTOP)
                self._timers.later((name, "pause"), step.seconds, lambda: self._resume(name))
            case Kind.CUT | Kind.SILENCE:
                self.excuses.begin(name, "cut")
                self.on_loop(each.way.cut() if step.kind is Kind.CUT else each.way.silence())
                self._timers.later((name, "cut"), step.seconds, lambda: self._mend(name))
            case Kind.FILL:
                kubelet.tell(name, {"full": step.seconds})
            case _:
                kubelet.tell(name, {"slow": step.seconds})
        return False

    def _resume(self, name: str) -> None:
        each = self._kubelet.running.get(name)
        if each is not None:
            each.paused = False
        self._kubelet.signal(name, signal.SIGCONT)
        self.excuses.end(name, "pause", time.monotonic())

    def _mend(self, name: str) -> None:
        each = self._kubelet.running.get(name)
        if each is not None:
            self.on_loop(each.way.open())
        self.excuses.end(name, "cut", time.monotonic(), REACHED_AGAIN_SECONDS)

    @staticmethod
    def _mount_ca(operator: Operator, api: client.ApiClient, namespace: str) -> None:
        core = client.CoreV1Api(api)
        deadline = time.monotonic() + 60
        while True:
            try:
                found = core.read_namespaced_secret("lora-operator-ca", namespace).data
            except client.exceptions.ApiException:
                assert time.monotonic() < deadline, "the operator made no CA"
                time.sleep(0.1)
                continue
            operator.mount_ca(found)
            return


def spec_of(wish: Wish) -> Json:
    """The part of a LoRAAdapter's spec that says what is served."""
    if wish.members:
        members = [{"adapterRef": {"name": name}, "weight": weight} for name, weight in wish.members]
        return {"blend": {"members": members}}
    repo = f"{wish.source}-{MISSING}" if wish.flaw is Flaw.MISSING else wish.source
    digest = "sha256:" + "0" * 64 if wish.flaw is Flaw.DIGEST else None
    return {"source": {"huggingFace": {"repo": TEAM + repo}}, "digest": digest}


@contextlib.contextmanager
def stand_ins(cluster: Cluster, api: client.ApiClient, folder: Path, replicas: int) -> Iterator[StandIns]:
    """A world in a namespace of its own, until the end of the block."""
    namespace = f"chaos-{uuid.uuid4().hex[:8]}"
    client.CoreV1Api(api).create_namespace({"metadata": {"name": namespace}})
    world = StandIns(cluster, api, namespace, folder, replicas)
    try:
        yield world
    finally:
        world.close()
        with contextlib.suppress(client.exceptions.ApiException):
            client.CoreV1Api(api).delete_namespace(namespace)
