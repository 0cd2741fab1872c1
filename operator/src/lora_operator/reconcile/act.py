"""Acting: carries out a plan, one stage after the other."""

import asyncio
import base64
import itertools
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import assert_never

from lora_api import labels
from lora_api.runtime_api import Inventory
from lora_api.v1alpha1.common import ApiModel
from lora_operator.clients import resources
from lora_operator.clients.certificates import Authority
from lora_operator.clients.clock import Clock
from lora_operator.clients.events import Events
from lora_operator.clients.kube import NOT_THERE, Kube, KubeError, Manifest, Resource
from lora_operator.clients.metrics import Metrics
from lora_operator.clients.runtime_admin import RuntimeAdmin
from lora_operator.domain import render
from lora_operator.domain.actions import (
    Action,
    Announcement,
    ApplyChild,
    CreateSecret,
    Plan,
    PushDesired,
    ResolveSource,
    WriteAdapterStatus,
    WriteDesired,
    WriteModelStatus,
)
from lora_operator.domain.observed import ModelKey, ObjectMeta, Refusal
from lora_operator.reconcile.applied import Applied
from lora_operator.reconcile.freshness import Freshness
from lora_operator.reconcile.inventories import Inventories
from lora_operator.reconcile.look import address_of
from lora_operator.reconcile.queue import TryAgain
from lora_operator.reconcile.resolutions import Resolutions

_logger = logging.getLogger(__name__)

_AT_ONCE = 16
"""Actions of one stage that are under way together."""


class _PodAway(Exception):
    """A pod could not be told. Whether it is reachable is for its poll to find out."""


def _stage(action: Action) -> type | str:
    """Actions of one stage are independent of each other; reports to the user are one stage."""
    return "report" if isinstance(action, WriteModelStatus | WriteAdapterStatus) else type(action)


@dataclass(frozen=True, slots=True)
class Act:
    """Carries out plans. Every action may be repeated: a plan that was cut short is simply made again."""

    kube: Kube
    admin: RuntimeAdmin
    events: Events
    authority: Authority
    clock: Clock
    inventories: Inventories
    resolutions: Resolutions
    applied: Applied
    freshness: Freshness
    metrics: Metrics

    async def __call__(self, key: ModelKey, model: ObjectMeta | None, plan: Plan) -> None:
        """Does all of it in order, actions of one stage together.

        Raises:
            TryAgain: part of it failed, and the message says what; the rest was carried out.
        """
        failures: list[str] = []
        stored = True
        for stage, actions in itertools.groupby(plan.actions, key=_stage):
            if stage is PushDesired and not stored:
                # A pod must not know a document that a restarted one could not read.
                continue
            failed = await self._together(key, model, actions)
            stored = stored and not (failed and stage is WriteDesired)
            failures += failed
        if failures:
            raise TryAgain("; ".join(failures))

    async def _together(self, key: ModelKey, model: ObjectMeta | None, actions: Iterable[Action]) -> list[str]:
        room = asyncio.Semaphore(_AT_ONCE)

        async def do(action: Action) -> str | None:
            async with room:
                return await self._attempt(key, model, action)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(do(action)) for action in actions]
        return [failure for task in tasks if (failure := task.result()) is not None]

    async def _attempt(self, key: ModelKey, model: ObjectMeta | None, action: Action) -> str | None:
        """Why it failed, or None."""
        self.metrics.actions.labels(type(action).__name__).inc()
        try:
            await self._do(key, model, action)
        except KubeError as error:
            if error.status == HTTPStatus.CONFLICT:
                self.applied.doubt(key)
            if isinstance(action, ApplyChild) and error.is_refusal and model is not None:
                await self._complain(key, model, action, error)
            return str(error)
        except _PodAway as away:
            return str(away)
        return None

    async def _do(self, key: ModelKey, model: ObjectMeta | None, action: Action) -> None:
        match action:
            case ApplyChild():
                await self._apply_child(key, action)
            case CreateSecret(name=name):
                if model is not None:
                    await self._create_secret(key, model, name)
            case WriteDesired(document=document, version=version):
                if model is not None:
                    manifest = _over(version, render.desired_manifest(model, document))
                    stored = await self.kube.apply(resources.CONFIG_MAPS, manifest, field_manager=labels.FIELD_MANAGER)
                    self.applied.note_stored(key, document, stored)
            case PushDesired():
                await self._push(key, action)
            case ResolveSource(pod=pod, ip=ip):
                self.resolutions.ask(key, address_of(key, pod, ip), action)
            case WriteModelStatus(status=status, news=news):
                if model is not None:
                    seen = {"name": key.name, "uid": model.uid, "resourceVersion": model.version}
                    await self._report(resources.MODELS, key.namespace, seen, status, news)
            case WriteAdapterStatus(status=status, news=news):
                seen = {"name": action.name, "uid": action.uid, "resourceVersion": action.version}
                await self._report(resources.ADAPTERS, key.namespace, seen, status, news)
            case _:
                assert_never(action)
        if not isinstance(action, WriteModelStatus | WriteAdapterStatus):
            _logger.info("%s %s: %s", type(action).__name__, key, action.why)

    async def _apply_child(self, key: ModelKey, action: ApplyChild) -> None:
        kind, name = action.manifest["kind"], action.manifest["metadata"]["name"]
        manifest = _over(action.version, action.manifest)
        stored = await self.kube.apply(resources.CHILDREN[kind], manifest, field_manager=labels.FIELD_MANAGER)
        self.applied.note_applied(key, f"{kind}/{name}", stored)

    async def _create_secret(self, key: ModelKey, model: ObjectMeta, name: str) -> None:
        leaf = self.authority.server(render.admin_host(key), self.clock.now())
        data = {"tls.crt": leaf.certificate, "tls.key": leaf.key, "ca.crt": self.authority.pem}
        manifest = {
            "apiVersion": resources.SECRETS.api_version,
            "kind": resources.SECRETS.kind,
            "type": "kubernetes.io/tls",
            "metadata": {
                "name": name,
                "namespace": key.namespace,
                "labels": labels.children(key.name, "certificate"),
                "ownerReferences": [render.owner_reference(model)],
            },
            "data": {file: base64.b64encode(content).decode() for file, content in data.items()},
        }
        # Signed by the same authority for the same name: one that exists is as good as a new one.
        await self.kube.create(resources.SECRETS, manifest)
        self.applied.note_secret(key, model.uid, name)

    async def _push(self, key: ModelKey, action: PushDesired) -> None:
        self.applied.note_told(key, action.document)
        address = address_of(key, action.pod, action.ip)
        answer = await self.admin.put_desired(address, action.document)
        if isinstance(answer, Inventory):
            self.inventories.told(key, address, action.document, answer)
        else:
            raise _PodAway(f"pod {action.pod} was not told: {answer.message}")

    async def _report(
        self,
        resource: Resource,
        namespace: str,
        seen: Mapping[str, str],
        status: ApiModel,
        news: tuple[Announcement, ...],
    ) -> None:
        """Stores a status, then tells of it: what is not stored is found, and would be told, once more."""
        if not await self._write_status(resource, namespace, seen, status):
            return
        for one in news:
            await self.events.post(one.kind, namespace, one.name, one.uid, one.type, one.reason, one.message)
            _logger.info("%s %s %s/%s: %s", one.reason, one.kind, namespace, one.name, one.message)

    async def _write_status(
        self, resource: Resource, namespace: str, seen: Mapping[str, str], status: ApiModel
    ) -> bool:
        """Whether the object is still what the status was decided from."""
        said = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        manifest = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            # A status never lands on an object that was re-created under the name, or on one that somebody wrote since.
            "metadata": {"namespace": namespace, **seen},
            "status": said,
        }
        try:
            stored = await self.kube.apply(
                resource, manifest, field_manager=labels.STATUS_FIELD_MANAGER, subresource="status"
            )
        except KubeError as error:
            # Written since the look, deleted or re-created: its event rings.
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                raise
            return False
        foreign = stored["status"].keys() - said.keys()
        if foreign:
            # Somebody else applied what the operator left out. An apply cannot take it back, and it is not true.
            version = {"resourceVersion": stored["metadata"]["resourceVersion"]}
            patch = {"metadata": version, "status": dict.fromkeys(foreign)}
            stored = await self.kube.merge(resource, namespace, seen["name"], patch, subresource="status")
        # Or the next look could see the old status, and write and announce the new one once more.
        self.freshness.note(resource.kind, stored["metadata"]["resourceVersion"])
        return True

    async def _complain(self, key: ModelKey, model: ObjectMeta, action: ApplyChild, error: KubeError) -> None:
        """Says on the user's object what the API server would not take."""
        kind, metadata = action.manifest["kind"], action.manifest["metadata"]
        message = f"the API server refuses {kind} {metadata['name']}: {error}"
        if error.is_malformed:
            # The next look finds it, and the status tells it.
            refusal = Refusal(metadata["annotations"][labels.TEMPLATE_HASH], message)
            self.applied.note_refused(key, f"{kind}/{metadata['name']}", refusal)
        await self.events.post("LoRAModel", key.namespace, key.name, model.uid, "Warning", "ChildRefused", message)


def _over(version: str | None, manifest: Manifest) -> Manifest:
    """The manifest, to be applied over this version of the object, or only if there is none."""
    return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version or NOT_THERE}}
