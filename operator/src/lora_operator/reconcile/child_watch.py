"""Noticing that somebody else changed or deleted what belongs to a LoRAModel: its children and its ConfigMap.

Only their metadata is watched: a ConfigMap holds up to a mebibyte, which nobody needs to see at each change. Kopf, which
rings for everything else, watches whole objects.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

from lora_api import labels
from lora_operator.clients import resources
from lora_operator.clients.kube import Kube, KubeError, Resource
from lora_operator.domain.observed import ModelKey
from lora_operator.reconcile.applied import Applied
from lora_operator.reconcile.lately import Lately

_logger = logging.getLogger(__name__)

_OURS = f"{labels.MANAGED_BY_LABEL}={labels.MANAGED_BY},{labels.MODEL}"
_WATCHED = (*resources.CHILDREN.values(), resources.CONFIG_MAPS)
_WATCH_SECONDS = 600.0
_PAUSE_SECONDS = 1.0
"""How soon a watch that was cut is begun anew."""
_OWN_SECONDS = 0.25
"""The event of an own write may come before its answer; what is not known after this long was another hand's."""


class ChildWatch:
    """Rings for the model of each child that another hand has touched."""

    def __init__(
        self,
        kube: Kube,
        applied: Applied,
        lately: Lately,
        ring: Callable[[ModelKey], None],
        interrupted: Callable[[], None],
    ) -> None:
        """Takes whom to ring for, and whom to tell that a watch was cut: others may have been with it."""
        self._interrupted = interrupted
        self._kube = kube
        self._applied = applied
        self._lately = lately
        self._ring = ring

    async def run(self, namespaces: Sequence[str]) -> None:
        """Watches these namespaces, or all when none is given, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for resource in _WATCHED:
                for namespace in namespaces or (None,):
                    group.create_task(self._watch_for_ever(resource, namespace))

    async def _watch_for_ever(self, resource: Resource, namespace: str | None) -> None:
        version: str | None = None
        while True:
            try:
                if version is None:
                    version = await self._list(resource, namespace)
                version = await self._watch(resource, namespace, version)
            except KubeError as error:
                # Begun anew with a list: what was missed in between is in it, or is gone and rings with the next sweep.
                if version is not None:
                    _logger.info("%s are to be watched anew: %s", resource.plural, error)
                    self._interrupted()
                self._applied.doubt_all()
                self._lately.doubt_all(resources.DEPLOYMENTS.kind)
                version = None
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _list(self, resource: Resource, namespace: str | None) -> str:
        found = await self._kube.list(resource, namespace, labels=_OURS, metadata_only=True)
        for item in found.items:
            self._notice(resource, item["metadata"], deleted=False)
        return found.version

    async def _watch(self, resource: Resource, namespace: str | None, version: str) -> str:
        """Answers the version to go on from, once the API server ends it."""
        events = self._kube.watch(
            resource, namespace, labels=_OURS, after=version, seconds=_WATCH_SECONDS, metadata_only=True
        )
        async with contextlib.aclosing(events):
            async for event in events:
                metadata = event["object"]["metadata"]
                version = metadata["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._notice(resource, metadata, deleted=event["type"] == "DELETED")
        return version

    def _notice(self, resource: Resource, metadata: dict[str, Any], *, deleted: bool) -> None:
        key = ModelKey(metadata["namespace"], metadata["labels"][labels.MODEL])
        if resource is resources.DEPLOYMENTS:
            # Its pods come and go with it.
            for kind in (resource.kind, resources.PODS.kind):
                self._lately.doubt(key, kind)

        def look() -> None:
            if deleted or not self._applied.knows(key, f"{resource.kind}/{metadata['name']}", metadata):
                self._applied.doubt(key)
                self._ring(key)
            elif resource is resources.DEPLOYMENTS:
                # Its status counts pods.
                self._ring(key)

        asyncio.get_running_loop().call_later(_OWN_SECONDS, look)
