"""Changes custom resources one by one, and watches every pod meanwhile."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import urllib3
from kubernetes import client, watch
from kubernetes.aio import client as aio
from kubernetes.aio.config import new_client_from_config

from bench.control import answers
from bench.control.changes import EDITED, FIRST, Change, Kind
from bench.control.node import MODEL, NAMESPACE, Json, Node
from bench.control.observer import any_moment
from bench.control.results import UNTRACED, Observed
from bench.control.settings import Settings
from bench.served.recipes import Recipe
from bench.served.reference import Prompt, References
from lora_api import labels

SERVING = "serving adapter={} "
"""What a pod of ours prints when it goes over to another revision of a name."""
_GONE = "draining adapter={} "
"""What it prints when it has let a name go."""
_WHERE = (labels.GROUP, labels.VERSION, NAMESPACE, "loraadapters")
_PATIENCE_SECONDS = 60.0

Tell = Callable[[str], None]


@dataclass
class Readiness:
    """When a watch told that a generation of a LoRAAdapter is Ready."""

    api: client.ApiClient
    seen: dict[tuple[str, int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begins to watch, until the process ends."""
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        custom = client.CustomObjectsApi(self.api)
        # Until the cluster ends, and its API server with it.
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            while True:
                self._note_all(custom)

    def _note_all(self, custom: client.CustomObjectsApi) -> None:
        for event in watch.Watch().stream(custom.list_namespaced_custom_object, *_WHERE):
            stored = event["object"]
            for condition in (stored.get("status") or {}).get("conditions", ()):
                if (condition["type"], condition["status"]) == ("Ready", "True"):
                    key = (stored["metadata"]["uid"], condition["observedGeneration"])
                    self.seen.setdefault(key, time.monotonic())

    async def of(self, stored: Json) -> float | None:
        """When this very generation was Ready; None when it is not for long."""
        key = (stored["metadata"]["uid"], stored["metadata"]["generation"])
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while key not in self.seen and time.monotonic() < deadline:  # noqa: ASYNC110  # noted by another thread
            await asyncio.sleep(0.02)
        return self.seen.get(key)


async def make_changes(
    node: Node,
    settings: Settings,
    changes: Sequence[Change],
    prompts: Sequence[Prompt],
    references: References,
    tell: Tell,
) -> list[Observed]:
    """All changes, in order, on the node with its pods ready; `references` are PEFT's answers to the prompts."""
    async with await new_client_from_config(str(node.cluster.kubeconfig)) as api:
        return await Run(node, aio.CustomObjectsApi(api), settings, prompts, references)(changes, tell)


class Run:
    """One user, one adapter that is edited, and an observer for each pod."""

    def __init__(
        self,
        node: Node,
        custom: aio.CustomObjectsApi,
        settings: Settings,
        prompts: Sequence[Prompt],
        references: References,
    ) -> None:
        """See `make_changes`."""
        self._node = node
        self._custom = custom
        self._settings = settings
        self._prompts = prompts
        self._references = references
        self._ready = Readiness(node.api)
        self._observers = node.observers(node.pods.values(), settings.pause_seconds)
        self._random = Random(settings.seed)

    async def __call__(self, changes: Sequence[Change], tell: Tell) -> list[Observed]:
        """All of them, in order."""
        await self._ready.of(await self._create(EDITED, FIRST))
        found = []
        for number, change in enumerate(changes):
            found.append(await self._observe(change))
            if (number + 1) % 10 == 0 or number + 1 == len(changes):
                tell(f"{number + 1} of {len(changes)} changes")
            await asyncio.sleep(self._settings.between_seconds)
        for observer in self._observers:
            await observer.close()
        await asyncio.to_thread(self._node.collector.wait_for, found[-1].which)
        return found

    async def _observe(self, change: Change) -> Observed:
        name, prompt, is_new = change.name, self._prompts[change.prompt], answers.new(change, self._references)
        for observer in self._observers:
            await observer.warm_up(name, prompt)
        says = (_GONE if change.after is None else SERVING).format(name)
        until = time.monotonic() + _PATIENCE_SECONDS
        async with asyncio.TaskGroup() as group:
            tasks = {
                o.pod: group.create_task(o.watch(name, prompt, is_new, until, says, self._random))
                for o in self._observers
            }
            await any_moment(self._random, self._settings.pause_seconds)
            asked, asked_at = time.monotonic(), time.time()
            with self._node.standing_still(self._observers[-1].pod if change.kind is Kind.SLOW else None):
                stored = await self._make(change)
                if change.kind is Kind.SLOW:
                    await asyncio.sleep(self._settings.slow_seconds)
        ready = None if stored is None else await self._ready.of(stored)
        which = UNTRACED if stored is None else (stored["metadata"]["uid"], stored["metadata"]["generation"])
        return Observed(change, which, asked, asked_at, ready, {pod: task.result() for pod, task in tasks.items()})

    async def _make(self, change: Change) -> Json | None:
        """The stored object, or None when there is none any longer."""
        if change.after is None:
            await self._custom.delete_namespaced_custom_object(*_WHERE, change.name)
            return None
        if change.before is None:
            return await self._create(change.name, change.after)
        edit = {"spec": _spec(change.after)}
        stored: Json = await self._custom.patch_namespaced_custom_object(*_WHERE, change.name, edit)
        return stored

    async def _create(self, name: str, wanted: Recipe) -> Json:
        manifest = {
            "apiVersion": labels.API_VERSION,
            "kind": "LoRAAdapter",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"modelRef": {"name": MODEL}, **_spec(wanted)},
        }
        stored: Json = await self._custom.create_namespaced_custom_object(*_WHERE, manifest)
        return stored


def _spec(wanted: Recipe) -> Json:
    [(name, weight)] = wanted.parts
    return {"source": {"volume": {"name": "adapters", "path": name}}, "weight": weight}
