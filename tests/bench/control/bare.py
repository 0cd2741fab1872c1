"""The same machine without the operator: plain vLLM, and a controller that does the least a controller can do.

It watches, and tells both servers to load a folder: nothing is resolved, checked, scaled, agreed upon or reported. What it takes is
a floor for every controller here, and says how much of the operator's time is the machine's.
"""

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from random import Random

import httpx
import urllib3
from kubernetes import client, watch
from kubernetes.aio import client as aio
from kubernetes.aio.config import new_client_from_config

from bench.control import answers
from bench.control.changes import Change, Kind
from bench.control.node import MODEL, NAMESPACE, Json, Node
from bench.control.observer import any_moment
from bench.control.results import UNTRACED, Observed
from bench.control.settings import Settings
from bench.served.recipes import PURE
from bench.served.reference import Prompt, References
from lora_api import labels

_LOADED = "Loaded new LoRA adapter: name '{}'"
"""What vLLM prints when a name is served."""
_REMOVED = "Removed LoRA adapter: name '{}'"
_READY_SECONDS = 300.0
_PATIENCE_SECONDS = 60.0
_COMMAND = ["python3", "-m", "vllm.entrypoints.launchers.api_server.entry", f"--model=/volumes/models/{MODEL}",
            f"--served-model-name={MODEL}"]  # fmt: skip


@contextmanager
def bare_pods(node: Node) -> Iterator[Sequence[client.V1Pod]]:
    """Pods like the model's, in their place, with plain vLLM."""
    core = client.CoreV1Api(node.api)
    [first, *_] = node.pods.values()
    _scale(node, 0)
    names = [f"bare-{number}" for number in range(len(node.pods))]
    for name in names:
        core.create_namespaced_pod(NAMESPACE, _bare(client.ApiClient().sanitize_for_serialization(first), name))
    try:
        yield [_ready(core, name) for name in names]
    finally:
        for name in names:
            core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=0)


def _scale(node: Node, replicas: int) -> None:
    custom = client.CustomObjectsApi(node.api)
    custom.patch_namespaced_custom_object(
        labels.GROUP, labels.VERSION, NAMESPACE, "loramodels", MODEL, {"spec": {"replicas": replicas}}
    )
    core = client.CoreV1Api(node.api)
    deadline = time.monotonic() + _READY_SECONDS
    while core.list_namespaced_pod(NAMESPACE, label_selector=f"{labels.MODEL}={MODEL}").items:
        assert time.monotonic() < deadline, "the model's pods do not end"
        time.sleep(0.5)


def _bare(pod: Json, name: str) -> Json:
    spec = deepcopy(pod["spec"])
    [container] = spec["containers"]
    container["command"] = _COMMAND
    container["env"].append({"name": "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "value": "1"})
    container["readinessProbe"]["httpGet"]["path"] = "/health"
    container.pop("lifecycle")
    if not any(variable["name"] == "VLLM_PLUGINS" for variable in container["env"]):
        container["env"].append({"name": "VLLM_PLUGINS", "value": ""})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _ready(core: client.CoreV1Api, name: str) -> client.V1Pod:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        pod = core.read_namespaced_pod(name, NAMESPACE)
        if any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ()):
            return pod
        time.sleep(0.5)
    raise AssertionError(f"pod {name} is not ready: {core.read_namespaced_pod_log(name, NAMESPACE)[-2000:]}")


class BareController:
    """Watches ConfigMaps, each of which stands for an adapter; tells all servers at once of one that comes or goes."""

    def __init__(self, api: client.ApiClient, addresses: Sequence[str]) -> None:
        """Begins to watch, until the process ends."""
        self._api = api
        self._servers = [httpx.Client(base_url=f"http://{ip}:8000", timeout=60, trust_env=False) for ip in addresses]
        self._threads = ThreadPoolExecutor(len(addresses))
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        core = client.CoreV1Api(self._api)
        begun = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
        stream = watch.Watch().stream(core.list_namespaced_config_map, NAMESPACE, resource_version=begun)
        # Until the cluster ends, and its API server with it.
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            for event in stream:
                found = event["object"]
                if "lora_path" not in (found.data or {}):
                    continue
                name = {"lora_name": found.metadata.name}
                if event["type"] == "ADDED":
                    self._tell("/v1/load_lora_adapter", name | found.data)
                elif event["type"] == "DELETED":
                    self._tell("/v1/unload_lora_adapter", name)

    def _tell(self, path: str, body: Json) -> None:
        for server in self._servers:
            self._threads.submit(server.post, path, json=body)


async def run_bare(
    node: Node, pods: Sequence[client.V1Pod], settings: Settings, prompts: Sequence[Prompt], references: References
) -> list[Observed]:
    """Creations and deletions as those of the operator are, one after the other."""
    async with await new_client_from_config(str(node.cluster.kubeconfig)) as api:
        return await _Run(node, aio.CoreV1Api(api), pods, settings, prompts, references)()


class _Run:
    def __init__(
        self,
        node: Node,
        core: aio.CoreV1Api,
        pods: Sequence[client.V1Pod],
        settings: Settings,
        prompts: Sequence[Prompt],
        references: References,
    ) -> None:
        self._core = core
        self._settings = settings
        self._prompts = prompts
        self._references = references
        self._random = Random(settings.seed)
        self._observers = node.observers(pods, settings.pause_seconds)
        BareController(node.api, [pod.status.pod_ip for pod in pods])

    async def __call__(self) -> list[Observed]:
        found = []
        for number in range(self._settings.creations):
            name, after = f"new-{number}", PURE[number % len(PURE)]
            prompt = self._random.randrange(len(self._prompts))
            [(adapter, _)] = after.parts
            manifest = {"metadata": {"name": name}, "data": {"lora_path": f"/volumes/adapters/{adapter}"}}
            create = functools.partial(self._core.create_namespaced_config_map, NAMESPACE, manifest)
            delete = functools.partial(self._core.delete_namespaced_config_map, name, NAMESPACE)
            found.append(await self._observe(Change(Kind.BARE, name, None, after, prompt), _LOADED, create))
            found.append(await self._observe(Change(Kind.BARE_DELETE, name, after, None, prompt), _REMOVED, delete))
        for observer in self._observers:
            await observer.close()
        return found

    async def _observe(self, change: Change, says: str, make: Callable[[], Awaitable[object]]) -> Observed:
        name, prompt, is_new = change.name, self._prompts[change.prompt], answers.new(change, self._references)
        for observer in self._observers:
            await observer.warm_up(name, prompt)
        until, says = time.monotonic() + _PATIENCE_SECONDS, says.format(name)
        async with asyncio.TaskGroup() as group:
            tasks = {
                o.pod: group.create_task(o.watch(name, prompt, is_new, until, says, self._random))
                for o in self._observers
            }
            await any_moment(self._random, self._settings.pause_seconds)
            asked, asked_at = time.monotonic(), time.time()
            await make()
        await asyncio.sleep(self._settings.between_seconds)
        sightings = {pod: task.result() for pod, task in tasks.items()}
        return Observed(change, UNTRACED, asked, asked_at, None, sightings)
