"""Plays the kubelet: a process for each pod of the model, restarted when it ends, and the pods' statuses."""

import base64
import json
import multiprocessing
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from chaos.stand_ins import pod as pod_process
from chaos.stand_ins.pod import Place
from chaos.stand_ins.way import Way
from chaos.watching import Following
from lora_api.runtime_api import CONFIG_MAP_KEY
from lora_operator.domain import render
from lora_operator.domain.render.certificate import certificate_volume
from support.mounted_secret import write_mounted

_EVERY_SECONDS = 0.1
_MOUNT_EVERY_SECONDS = 3.0
"""The copy of a ConfigMap in a pod is that late."""
_UNANSWERED_SECONDS = 3.0
"""A pod whose probe is not answered for so long is not ready."""
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["chaos.stand_ins.pod"])

OnLoop = Callable[[Coroutine[Any, Any, None]], None]
"""Runs something on the loop of the ways, and waits for it."""


@dataclass(slots=True)
class Running:
    """One pod."""

    name: str
    uid: str
    place: Place
    way: Way
    process: ForkServerProcess | None = None
    ready: bool | None = None
    """What its status says."""
    answered_at: float = 0.0
    mounted_at: float = 0.0
    paused: bool = False


class Kubelet:
    """Works in a thread of its own until it is closed."""

    def __init__(
        self,
        api: client.ApiClient,
        namespace: str,
        model: str,
        pods: Following,
        folder: Path,
        network: str,
        on_loop: OnLoop,
    ) -> None:
        """Takes the pods to play, a folder for them, the first three numbers of their addresses, and a loop."""
        self._core = client.CoreV1Api(api)
        self._namespace, self._model, self._pods = namespace, model, pods
        self._folder, self._network, self._on_loop = folder, network, on_loop
        self._count = 0
        self._closed = threading.Event()
        self.running: dict[str, Running] = {}
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends all pods."""
        self._closed.set()
        self._thread.join(30)
        for each in list(self.running.values()):
            self._end(each)

    def kill_engine(self, name: str) -> bool:
        """The process of a pod is no more, if there was one; it will be restarted."""
        each = self.running.get(name)
        if each is None or each.process is None or not each.process.is_alive():
            return False
        each.process.kill()
        return True

    def signal(self, name: str, number: signal.Signals) -> None:
        """Stops or continues a pod's process."""
        each = self.running.get(name)
        if each is not None and each.process is not None and each.process.is_alive() and each.process.pid:
            os.kill(each.process.pid, number)

    def tell(self, name: str, order: Mapping[str, float]) -> None:
        """Makes trouble in a pod."""
        each = self.running.get(name)
        if each is not None:
            self._ask(each, json.dumps(order).encode())

    def _work(self) -> None:
        while not self._closed.wait(_EVERY_SECONDS):
            try:
                self._once()
            except (ApiException, HTTPError, OSError):
                continue  # the API server is away; pods run on

    def _once(self) -> None:
        if not self._pods.synced:
            return
        stored = {pod["metadata"]["name"]: pod for pod in dict(self._pods.objects).values()}
        for each in list(self.running.values()):
            found = stored.get(each.name)
            if found is None or found["metadata"]["uid"] != each.uid:
                self._end(each)
                del self.running[each.name]
            elif "deletionTimestamp" in found["metadata"]:
                self._core.delete_namespaced_pod(each.name, self._namespace, grace_period_seconds=0)
        for name, found in stored.items():
            if name not in self.running and "deletionTimestamp" not in found["metadata"]:
                self._begin(name, found["metadata"]["uid"])
        for each in list(self.running.values()):
            self._keep(each)

    def _begin(self, name: str, uid: str) -> None:
        tls = self._secret()
        if tls is None:
            return
        self._count += 1
        folder = self._folder / f"{self._count}-{name}"
        (folder / "tls").mkdir(parents=True)
        write_mounted(folder / "tls", tls)
        ip = f"{self._network}.{self._count % 250 + 1}"
        place = Place(
            ip,
            render.ADMIN_PORT + 10_000,
            folder / "tls",
            folder / "store",
            folder / "desired",
            self._folder / "pods.log",
        )
        way = Way(ip, place.admin_port)
        self._on_loop(way.open())
        each = Running(name, uid, place, way)
        self.running[name] = each
        self._mount(each)

    def _keep(self, each: Running) -> None:
        now = time.monotonic()
        if now - each.mounted_at > _MOUNT_EVERY_SECONDS:
            self._mount(each)
        if each.process is None or not each.process.is_alive():
            if each.process is not None:
                self._report(each, ready=False)
            process = _CONTEXT.Process(target=pod_process.run, args=(each.place,), daemon=True)
            process.start()
            # Now, not before: the driver may kill it from its own thread at once.
            each.process = process
            each.answered_at = now
            if each.ready is None:
                self._report(each, ready=False)
            return
        ready = self._probe(each)
        if ready is not None:
            each.answered_at = now
            self._report(each, ready=ready)
        elif now - each.answered_at > _UNANSWERED_SECONDS:
            self._report(each, ready=False)

    def _probe(self, each: Running) -> bool | None:
        if each.paused:
            return None
        answer = self._ask(each, None)
        return None if answer is None else bool(answer["ready"])

    def _ask(self, each: Running, order: bytes | None) -> dict[str, Any] | None:
        url = f"http://{each.place.ip}:{render.SERVING_PORT}/"
        try:
            with urllib.request.urlopen(url, order, timeout=0.5) as answer:  # a pod of ours
                found: dict[str, Any] = json.load(answer)
                return found
        except (OSError, HTTPException):
            return None  # not there, or killed while it answered

    def _report(self, each: Running, *, ready: bool) -> None:
        if each.ready is ready:
            return
        state = "True" if ready else "False"
        conditions = [{"type": kind, "status": state} for kind in ("Ready", "ContainersReady")]
        ip = each.place.ip
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": conditions}
        try:
            self._core.patch_namespaced_pod_status(each.name, self._namespace, {"status": status})
        except ApiException as error:
            if error.status != 404:
                raise
            return
        each.ready = ready

    def _mount(self, each: Running) -> None:
        each.mounted_at = time.monotonic()
        try:
            found = self._core.read_namespaced_config_map(render.desired_config_map(self._model), self._namespace)
        except ApiException as error:
            if error.status != 404:
                raise
            return  # the kubelet keeps what it has mounted
        packed = (found.binary_data or {}).get(CONFIG_MAP_KEY)
        if packed is not None:
            draft = each.place.document.with_suffix(".draft")
            draft.write_bytes(base64.b64decode(packed))
            draft.replace(each.place.document)

    def _secret(self) -> dict[str, bytes] | None:
        """The files of the model's certificate; None until all are there."""
        items = certificate_volume(self._model)["items"]
        try:
            found = self._core.read_namespaced_secret(render.CERTIFICATES, self._namespace).data or {}
        except ApiException as error:
            if error.status != 404:
                raise
            return None
        if not all(item["key"] in found for item in items):
            return None
        return {item["path"]: base64.b64decode(found[item["key"]]) for item in items}

    def _end(self, each: Running) -> None:
        if each.process is not None:
            each.process.kill()
            each.process.join(5)
        self._on_loop(each.way.close())
