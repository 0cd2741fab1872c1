"""Seeing: everything that one pass over a LoRAModel decides from."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from lora_api import labels
from lora_operator.clients import resources
from lora_operator.clients.kube import Kube, KubeError
from lora_operator.clients.runtime_admin import PodAddress
from lora_operator.domain import render
from lora_operator.domain.observed import (
    ModelKey,
    ObservedModel,
    ObservedPod,
    Snapshot,
    Unreachable,
)
from lora_operator.reconcile import reading
from lora_operator.reconcile.adapters import Adapters
from lora_operator.reconcile.applied import Applied, Seen
from lora_operator.reconcile.changes import Changes
from lora_operator.reconcile.experts import Experts
from lora_operator.reconcile.freshness import Freshness
from lora_operator.reconcile.inventories import Inventories
from lora_operator.reconcile.lately import Lately
from lora_operator.reconcile.resolutions import Resolutions


class Look:
    """Reads what is not known from the API server, and adds what pods have told meanwhile."""

    def __init__(
        self,
        kube: Kube,
        inventories: Inventories,
        resolutions: Resolutions,
        applied: Applied,
        freshness: Freshness,
        adapters: Adapters,
        changes: Changes,
        lately: Lately,
        experts: Experts,
    ) -> None:
        self._kube = kube
        self._experts = experts
        self._adapters = adapters
        self._inventories = inventories
        self._resolutions = resolutions
        self._applied = applied
        self._freshness = freshness
        self._changes = changes
        self._lately = lately

    async def __call__(self, key: ModelKey) -> Snapshot:
        """The state of the model now.

        Raises:
            KubeError: the API server does not answer or refuses; then nothing is known and nothing may be decided.
        """
        model, observed_adapters, pods, deployment, seen = await _all(
            self._lately.read(key, resources.MODELS, lambda: self._model_of(key)),
            self._adapters.of(key),
            self._lately.read(key, resources.PODS, lambda: self._pods_of(key)),
            self._lately.read(
                key, resources.DEPLOYMENTS, lambda: self._kube.get(resources.DEPLOYMENTS, key.namespace, key.name)
            ),
            self._children(key),
        )
        self._resolutions.keep(key, self._adapters.uids(key))
        if model is None:
            self._inventories.watch(key, ())
            self._applied.forget(key)
            self._lately.doubt(key)
            self._experts.forget(key)
            if not observed_adapters:
                self._adapters.forget(key)
            return Snapshot(key=key, model=None, adapters=observed_adapters)

        children = {**seen.objects, f"{resources.DEPLOYMENTS.kind}/{key.name}": deployment}
        children = {child: stored for child, stored in children.items() if stored is not None}
        owners = {child: reading.foreign_owner(stored, model.meta) for child, stored in children.items()}
        conflicting = {child: owner for child, owner in owners.items() if owner is not None}
        if conflicting:
            self._applied.forget(key)
        own = {child: stored for child, stored in children.items() if child not in conflicting}
        return Snapshot(
            key=key,
            model=model,
            adapters=observed_adapters,
            experts=await self._experts.of(key, model),
            pods=self._pods(key, pods),
            deployment=reading.read_deployment(deployment) if deployment is not None and not conflicting else None,
            desired=seen.desired if not conflicting else None,
            stored=seen.stored if not conflicting else None,
            changing=self._changes.since(key),
            resolutions=self._resolutions.answers(key),
            asking_since=self._resolutions.since,
            resolving=self._resolutions.under_way(key),
            applied={child: self._applied.hash(key, child, stored) for child, stored in own.items()},
            inherited=self._applied.inherited(key, own),
            versions={child: stored["metadata"]["resourceVersion"] for child, stored in own.items()},
            refused=self._applied.refused(key),
            conflicting=conflicting,
        )

    async def _model_of(self, key: ModelKey) -> ObservedModel | None:
        """None also when it is being deleted."""
        stored = await self._kube.get(resources.MODELS, key.namespace, key.name)
        if stored is None or "deletionTimestamp" in stored["metadata"]:
            return None
        return reading.read_model(stored)

    async def _pods_of(self, key: ModelKey) -> list[dict[str, Any]]:
        kind = resources.PODS.kind
        newest = self._freshness.newest(kind)
        selector = f"{labels.MODEL}={key.name}"
        try:
            listing = await self._kube.list(resources.PODS, key.namespace, labels=selector, not_older_than=newest)
        except KubeError:
            self._freshness.forget(kind)
            raise
        self._freshness.note(kind, listing.version)
        return listing.items

    async def _children(self, key: ModelKey) -> Seen:
        seen = self._applied.seen(key)
        if seen is not None:
            return seen
        wanted = {
            resource: key.name for resource in resources.CHILDREN.values() if resource is not resources.DEPLOYMENTS
        } | {resources.CONFIG_MAPS: render.desired_config_map(key.name)}
        found = await _all(
            *(self._kube.get(resource, key.namespace, name, metadata_only=True) for resource, name in wanted.items())
        )
        # An answer of metadata alone does not say the object's kind.
        children = {
            f"{resource.kind}/{name}": stored
            for (resource, name), stored in zip(wanted.items(), found, strict=True)
            if stored is not None
        }
        version = found[-1]["metadata"]["resourceVersion"] if found[-1] is not None else ""
        document = self._applied.stored(key, version)
        if document is None and version:
            # Of a mebibyte at most, which is read only when it is not what was read or written last.
            whole = await self._kube.get(resources.CONFIG_MAPS, key.namespace, render.desired_config_map(key.name))
            version = whole["metadata"]["resourceVersion"] if whole is not None else ""
            document = reading.read_desired(whole)
        return self._applied.note_seen(key, children, document, version)

    def _pods(self, key: ModelKey, stored: list[dict[str, Any]]) -> tuple[ObservedPod, ...]:
        own = (pod for pod in stored if reading.is_of_deployment(pod, key.name))
        alive = [pod for pod in own if not reading.has_ended(pod)]
        addresses = {
            pod["metadata"]["uid"]: address_of(key, pod["metadata"]["name"], reading.pod_ip(pod))
            for pod in alive
            if reading.pod_ip(pod)
        }
        self._inventories.watch(key, addresses.values())
        observed = []
        for pod in alive:
            address = addresses.get(pod["metadata"]["uid"])
            if address is not None:
                said, refusal = self._inventories.answer(key, address), self._inventories.refusal(key, address)
                observed.append(reading.read_pod(pod, said, refusal))
            else:
                observed.append(reading.read_pod(pod, Unreachable("the pod has no address yet")))
        return tuple(sorted(observed, key=lambda pod: (pod.created, pod.name)))


def address_of(key: ModelKey, name: str, ip: str) -> PodAddress:
    """Where the admin port of a model's pod is."""
    return PodAddress(name=name, ip=ip, host=render.admin_host(key), port=render.ADMIN_PORT)


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
