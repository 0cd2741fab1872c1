"""Waits until the declared objects are ready, and tells every change on the way."""

import json
import time
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape

from local_cluster.cluster import Cluster
from lora_demo.place import NAMESPACE

_READY_SECONDS = 480.0


class NotReadyError(Exception):
    """The objects did not become ready; the message holds what their statuses say."""


def until_ready(cluster: Cluster, console: Console, manifest: str) -> None:
    """Returns when every LoRAModel and LoRAAdapter of the manifest is Ready; what else a user made there may be broken.

    Raises:
        NotReadyError: they were not in time.
    """
    began = time.monotonic()
    told: dict[str, str] = {}
    with console.status("waiting for the pods and their adapters") as status:
        while True:
            states = states_of(manifest, _listed(cluster))
            seconds = time.monotonic() - began
            for name, state in states.items():
                if told.get(name) != state:
                    console.print(f"  [dim]{seconds:5.0f} s[/dim]  {name:<24} {escape(state)}", soft_wrap=True)
                    told[name] = state
            waiting = [name for name, state in states.items() if not state.startswith("Ready")]
            if not waiting:
                return
            if seconds > _READY_SECONDS:
                raise NotReadyError(
                    f"not ready after {_READY_SECONDS:.0f} s: {', '.join(waiting)}. Look at `kubectl -n {NAMESPACE} "
                    "describe loramodels,loraadapters` and `kubectl -n lora-operator logs deploy/lora-operator`"
                )
            status.update(f"waiting for {', '.join(waiting)} ({seconds:.0f} s)")
            time.sleep(0.5)


def states_of(manifest: str, listed: list[dict[str, Any]]) -> dict[str, str]:
    """How each LoRAModel and LoRAAdapter of a manifest stands, by those that the API server listed."""
    found = {_name(item): _state(item) for item in listed}
    declared = [_name(item) for item in yaml.safe_load_all(manifest) if item["kind"] in ("LoRAModel", "LoRAAdapter")]
    return {name: found.get(name, "not there: somebody has removed it") for name in declared}


def _listed(cluster: Cluster) -> list[dict[str, Any]]:
    answer: dict[str, Any] = json.loads(
        cluster.kubectl("-n", NAMESPACE, "get", "loramodels,loraadapters", "-o", "json")
    )
    items: list[dict[str, Any]] = answer["items"]
    return items


def _name(item: dict[str, Any]) -> str:
    return f"{item['kind']}/{item['metadata']['name']}"


def _state(item: dict[str, Any]) -> str:
    conditions = {c["type"]: c for c in item.get("status", {}).get("conditions", ())}
    ready = conditions.get("Ready")
    if ready is None or ready.get("observedGeneration", 0) < item["metadata"]["generation"]:
        return "not seen by the operator yet"
    if ready["status"] == "True":
        return f"Ready: {ready['message']}"
    return f"{ready['reason']}: {ready['message']}"
