"""Acting: carries out a plan, one stage after the other."""

import asyncio
import itertools
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import assert_never

from lora_api import labels
from lora_api.runtime_api import Desired
from lora_api.v1alpha1.common import ApiModel
from lora_operator.clients import resources
from lora_operator.clients.clock import Clock
from lora_operator.clients.events import Events
from lora_operator.clients.kube import NOT_THERE, Kube, KubeError, Manifest, Resource
from lora_operator.clients.metrics import ActionOutcome, Metrics
from lora_operator.domain import render
from lora_operator.domain.actions import (
    Action,
    Announcement,
    ApplyChild,
    IssueCertificate,
    Plan,
    PushDesired,
    ResolveSource,
    WriteAdapterStatus,
    WriteDesired,
    WriteModelStatus,
)
from lora_operator.domain.observed import ModelKey, ObjectMeta, Refusal
from lora_operator.reconcile.adapters import Adapters
from lora_operator.reconcile.applied import Applied
from lora_operator.reconcile.certificates import Certificates
from lora_operator.reconcile.lately import Lately
from lora_operator.reconcile.look import address_of
from lora_operator.reconcile.pushes import Pushes
from lora_operator.reconcile.queue import TryAgain
from lora_operator.reconcile.resolutions import Resolutions

_logger = logging.getLogger(__name__)

_FEW = 100
"""Entries of a document that is packed sooner than a thread has begun."""
_AT_ONCE = 16
"""Actions of one stage that are under way together."""


def _stage(action: Action) -> type | str:
    """Actions of one stage are independent of each other; reports to the user are one stage."""
    return "report" if isinstance(action, WriteModelStatus | WriteAdapterStatus) else type(action)


@dataclass(frozen=True, slots=True)
class Act:
    """Carries out plans. Every action may be repeated: a plan that was cut short is simply made again."""

    kube: Kube
    events: Events
    certificates: Certificates
    clock: Clock
    pushes: Pushes
    resolutions: Resolutions
    applied: Applied
    lately: Lately
    adapters: Adapters
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
        outcome = ActionOutcome.FAILED
        try:
            failure = await self._do(key, model, action)
            outcome = ActionOutcome.OK if failure is None else ActionOutcome.FAILED
        except KubeError as error:
            # Things are not as they were read, or whether they were written is not known.
            self.applied.doubt(key)
            self.lately.doubt(key)
            if isinstance(action, ApplyChild) and error.is_refusal and model is not None:
                self._complain(key, model, action, error)
            return str(error)
        finally:
            self.metrics.actions.labels(type(action).__name__, outcome.value).inc()
        return failure

    async def _do(self, key: ModelKey, model: ObjectMeta | None, action: Action) -> str | None:
        """Why a pod was not told, or None."""
        match action:
            case ApplyChild():
                await self._apply_child(key, action)
            case IssueCertificate():
                if model is not None:
                    await self._issue_certificate(key, model)
            case WriteDesired(document=document, version=version):
                if model is not None:
                    manifest = _over(version, await _packed(model, document))
                    # The answer would repeat up to a mebibyte.
                    stored = await self.kube.apply(
                        resources.CONFIG_MAPS, manifest, field_manager=labels.FIELD_MANAGER, metadata_only=True
                    )
                    self.applied.note_stored(key, document, stored)
            case PushDesired():
                failure = await self._push(key, action)
                if failure is not None:
                    return failure
            case ResolveSource(pod=pod, ip=ip):
                self.resolutions.ask(key, address_of(key, pod, ip), action)
            case WriteModelStatus(status=status, news=news):
                if model is not None:
                    seen = {"name": key.name, "uid": model.uid, "resourceVersion": model.version}
                    await self._report(key, resources.MODELS, seen, status, news)
            case WriteAdapterStatus(status=status, news=news):
                seen = {"name": action.name, "uid": action.uid, "resourceVersion": action.version}
                await self._report(key, resources.ADAPTERS, seen, status, news)
            case _:
                assert_never(action)
        if isinstance(action, IssueCertificate | ApplyChild) and action.again:
            return None
        if not isinstance(action, WriteModelStatus | WriteAdapterStatus):
            _logger.info("%s %s: %s", type(action).__name__, key, action.why)
        return None

    async def _apply_child(self, key: ModelKey, action: ApplyChild) -> None:
        kind, name = action.manifest["kind"], action.manifest["metadata"]["name"]
        resource, version = resources.CHILDREN[kind], action.version
        self.lately.doubt(key, kind)
        excluded = render.EXCLUDED.get(kind)
        try:
            stored = await self.kube.apply(
                resource, _over(version, action.manifest), field_manager=labels.FIELD_MANAGER
            )
        except KubeError as error:
            if version is None or excluded is None or not error.is_malformed:
                raise
            # It may be for what another hand set in their place: beside that, it would be refused for ever.
            patch = {"metadata": {"resourceVersion": version}, "spec": dict.fromkeys(excluded)}
            left = await self.kube.merge(resource, key.namespace, name, patch)
            manifest = _over(left["metadata"]["resourceVersion"], action.manifest)
            stored = await self.kube.apply(resource, manifest, field_manager=labels.FIELD_MANAGER)
        self.applied.note_applied(key, f"{kind}/{name}", stored)
        if action.again and stored["metadata"]["resourceVersion"] != version:
            _logger.info("ApplyChild %s: %s/%s was edited while no operator was there", key, kind, name)

    async def _issue_certificate(self, key: ModelKey, model: ObjectMeta) -> None:
        now = self.clock.now()
        leaf = self.certificates.leaf(key, model.uid, now)
        manifest = render.certificate_manifest(model, leaf.certificate, leaf.key, self.certificates.trusted)
        # Each model owns its own keys; the answer would repeat those of all.
        manager = f"{labels.FIELD_MANAGER}-{key.name}"
        await self.kube.apply(resources.SECRETS, manifest, field_manager=manager, metadata_only=True)
        self.certificates.note_written(key, model, leaf, now)

    async def _push(self, key: ModelKey, action: PushDesired) -> str | None:
        """Why the pod was not told, or None. Whether it is reachable is for its poll to find out."""
        self.applied.note_told(key, action.document)
        return await self.pushes.push(key, address_of(key, action.pod, action.ip), action)

    async def _report(
        self,
        key: ModelKey,
        resource: Resource,
        seen: Mapping[str, str],
        status: ApiModel,
        news: tuple[Announcement, ...],
    ) -> None:
        """Stores a status, then tells of it: what is not stored is found, and would be told, once more."""
        if not await self._write_status(key, resource, seen, status):
            return
        namespace = key.namespace
        for one in news:
            self.events.tell(namespace, one)
            _logger.info("%s %s %s/%s: %s", one.reason, one.kind, namespace, one.name, one.message)

    async def _write_status(self, key: ModelKey, resource: Resource, seen: Mapping[str, str], status: ApiModel) -> bool:
        """Whether the object is still what the status was decided from."""
        if resource is resources.MODELS:
            self.lately.doubt(key, resource.kind)
        said = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        manifest = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            # A status never lands on an object that was re-created under the name, or on one that somebody wrote since.
            "metadata": {"namespace": key.namespace, **seen},
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
            stored = await self.kube.merge(resource, key.namespace, seen["name"], patch, subresource="status")
        if resource is resources.ADAPTERS:
            # Or the next look could see the old status, and write and announce the new one once more.
            self.adapters.written(key, stored)
        return True

    def _complain(self, key: ModelKey, model: ObjectMeta, action: ApplyChild, error: KubeError) -> None:
        """Says on the user's object what the API server would not take."""
        kind, metadata = action.manifest["kind"], action.manifest["metadata"]
        message = f"the API server refuses {kind} {metadata['name']}: {error}"
        if error.is_malformed:
            # The next look finds it, and the status tells it.
            refusal = Refusal(metadata["annotations"][labels.TEMPLATE_HASH], message)
            self.applied.note_refused(key, f"{kind}/{metadata['name']}", refusal)
        news = Announcement("LoRAModel", key.name, model.uid, "Warning", "ChildRefused", message)
        self.events.tell(key.namespace, news)


async def _packed(model: ObjectMeta, document: Desired) -> Manifest:
    """The ConfigMap; packing thousands of entries takes long enough to hold up other models."""
    if len(document.adapters) > _FEW:
        return await asyncio.to_thread(render.desired_manifest, model, document)
    return render.desired_manifest(model, document)


def _over(version: str | None, manifest: Manifest) -> Manifest:
    """The manifest, to be applied over this version of the object, or only if there is none."""
    return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version or NOT_THERE}}
