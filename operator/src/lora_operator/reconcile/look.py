"""Seeing: everything that one pass over a LoRAModel decides from."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from lora_api import labels
from lora_operator.clients import resources
from lora_operator.clients.kube import Kube
from lora_operator.clients.runtime_admin import PodAddress
from lora_operator.domain import render
from lora_operator.domain.observed import (
    ModelKey,
    ObjectMeta,
    ObservedAdapter,
    ObservedPod,
    Snapshot,
    Unreachable,
)
from lora_operator.reconcile import reading
from lora_operator.reconcile.applied import Applied
from lora_operator.reconcile.inventories import Inventories
from lora_operator.reconcile.resolutions import Resolutions

Object = Mapping[str, Any]


class Look:
    """Reads the API server, and adds what pods have told meanwhile."""

    def __init__(self, kube: Kube, inventories: Inventories, resolutions: Resolutions, applied: Applied) -> None:
        self._kube = kube
        self._inventories = inventories
        self._resolutions = resolutions
        self._applied = applied
        self._parsed: dict[ModelKey, dict[str, tuple[str, ObservedAdapter]]] = {}

    async def __call__(self, key: ModelKey) -> Snapshot:
        """The state of the model now.

        Raises:
            KubeError: the API server does not answer or refuses; then nothing is known and nothing may be decided.
        """
        model, adapters, pods, config_map, *children = await _all(
            self._kube.get(resources.MODELS, key.namespace, key.name),
            self._kube.list(resources.ADAPTERS, key.namespace, fields=f"spec.modelRef.name={key.name}"),
            self._kube.list(resources.PODS, key.namespace, labels=f"{labels.MODEL}={key.name}"),
            self._kube.get(resources.CONFIG_MAPS, key.namespace, render.desired_config_map(key.name)),
            *(
                self._kube.get(resource, key.namespace, key.name, metadata_only=resource is not resources.DEPLOYMENTS)
                for resource in resources.CHILDREN.values()
            ),
        )
        observed_adapters = self._adapters(key, adapters)
        self._resolutions.keep(key, {adapter.meta.uid for adapter in observed_adapters})
        if model is None or "deletionTimestamp" in model["metadata"]:
            self._inventories.watch(key, ())
            self._applied.forget(key)
            return Snapshot(key=key, model=None, adapters=observed_adapters)

        meta = reading.read_meta(model)
        named = _identified(children, config_map, key)
        own = {name: child for name, child in named.items() if reading.foreign_owner(child, meta) is None}
        deployment = own.get(f"Deployment/{key.name}")
        return Snapshot(
            key=key,
            model=reading.read_model(model),
            adapters=observed_adapters,
            pods=self._pods(key, pods),
            deployment=reading.read_deployment(deployment) if deployment is not None else None,
            desired=reading.read_desired(own.get(f"ConfigMap/{render.desired_config_map(key.name)}")),
            resolutions=self._resolutions.answers(key),
            resolving=self._resolutions.under_way(key),
            applied={name: self._applied.hash(key, name, child) for name, child in own.items()},
            conflicting=_conflicts(named, meta),
        )

    def _adapters(self, key: ModelKey, stored: list[dict[str, Any]]) -> tuple[ObservedAdapter, ...]:
        """Parses what has changed since the last look."""
        known = self._parsed.get(key, {})
        parsed: dict[str, tuple[str, ObservedAdapter]] = {}
        for item in stored:
            if "deletionTimestamp" in item["metadata"]:
                continue
            uid, version = item["metadata"]["uid"], item["metadata"]["resourceVersion"]
            before = known.get(uid)
            parsed[uid] = before if before and before[0] == version else (version, reading.read_adapter(item))
        self._parsed[key] = parsed
        if not parsed:
            del self._parsed[key]
        return tuple(adapter for _, adapter in parsed.values())

    def _pods(self, key: ModelKey, stored: list[dict[str, Any]]) -> tuple[ObservedPod, ...]:
        alive = [pod for pod in stored if not reading.has_ended(pod)]
        addresses = {pod["metadata"]["uid"]: pod_address(key, pod) for pod in alive if reading.pod_ip(pod)}
        self._inventories.watch(key, addresses.values())
        observed = []
        for pod in alive:
            address = addresses.get(pod["metadata"]["uid"])
            if address is not None:
                observed.append(reading.read_pod(pod, self._inventories.answer(key, address)))
            else:
                since = reading.read_meta(pod).created
                observed.append(reading.read_pod(pod, Unreachable("the pod has no address yet", since)))
        return tuple(sorted(observed, key=lambda pod: (pod.created, pod.name)))


def pod_address(key: ModelKey, pod: Object) -> PodAddress:
    """Where the admin port of a pod with an address is."""
    return address_of(key, pod["metadata"]["name"], reading.pod_ip(pod))


def address_of(key: ModelKey, name: str, ip: str) -> PodAddress:
    """Where the admin port of a model's pod is."""
    return PodAddress(name=name, ip=ip, host=render.admin_host(key), port=render.ADMIN_PORT)


def _identified(children: list[Object | None], config_map: Object | None, key: ModelKey) -> dict[str, Object]:
    """The children that exist, by `Kind/name`; a metadata-only answer does not say its kind."""
    found = {
        f"{kind}/{key.name}": child
        for kind, child in zip(resources.CHILDREN, children, strict=True)
        if child is not None
    }
    if config_map is not None:
        found[f"{resources.CONFIG_MAPS.kind}/{config_map['metadata']['name']}"] = config_map
    return found


def _conflicts(named: Mapping[str, Object], model: ObjectMeta) -> dict[str, str]:
    owners = {name: reading.foreign_owner(child, model) for name, child in named.items()}
    return {name: owner for name, owner in owners.items() if owner is not None}


async def _all(*requests: Awaitable[Any]) -> list[Any]:
    """All at once; the first failure ends the others."""

    async def wait(request: Awaitable[Any]) -> Any:
        return await request

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(wait(request)) for request in requests]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]
