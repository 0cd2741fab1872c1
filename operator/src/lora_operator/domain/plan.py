"""One pass of deciding: from everything that was seen to everything that is to be done about it, in order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lora_api import labels
from lora_api.runtime_api import AdapterFacts, Desired
from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.conditions import Reason
from lora_api.v1alpha1.model import LoRAModelStatus
from lora_operator.domain import (
    acceptance,
    adapter_status,
    facts,
    model_status,
    polling,
    render,
    replicas,
    resolving,
    revisions,
    rollout,
    settling,
    transitions,
)
from lora_operator.domain.actions import (
    Action,
    ApplyChild,
    CreateSecret,
    Plan,
    PushDesired,
    WriteAdapterStatus,
    WriteDesired,
    WriteModelStatus,
)
from lora_operator.domain.observed import ObservedAdapter, ObservedModel, Snapshot, Unreachable
from lora_operator.domain.outcome import Blocked, Outcome, Rejected, Wanted

Manifest = Mapping[str, Any]

_HANDS_OFF = frozenset({Reason.NAME_CONFLICT, Reason.INVALID_NAME})
"""A model rejected for one of these has no objects of its own; one rejected otherwise keeps what it has."""


@dataclass(frozen=True, slots=True)
class _Conclusions:
    """What holds for each adapter, before anything is done."""

    known: Mapping[str, AdapterFacts | Blocked]
    outcomes: Mapping[str, Outcome]
    document: Desired | None
    """The document that should be in force; None when the model may have none."""

    @property
    def wanted(self) -> Mapping[str, str]:
        """The revision that each adapter comes to, by UID, where it comes to one."""
        return {uid: found.spec.revision for uid, found in self.outcomes.items() if isinstance(found, Wanted)}


@dataclass(frozen=True, slots=True)
class _Clock:
    """One moment, by the clock that people see, and by one that never jumps."""

    now: datetime
    steady: datetime


def make_plan(
    snapshot: Snapshot,
    policy: acceptance.Policy,
    now: datetime,
    children: tuple[Manifest, ...] = (),
    render_error: str | None = None,
    secret_name: str | None = None,
    *,
    steady: datetime | None = None,
) -> Plan:
    """What to do now, and when to look again although nothing rang.

    Args:
        snapshot: what the cluster looks like.
        policy: what the operator was told to allow.
        now: the time, aware, as it is written into statuses.
        children: the objects that should exist, each with its hash in the annotation `labels.TEMPLATE_HASH`.
        render_error: why the children could not be made.
        secret_name: the Secret with the pods' certificate, if it is to be created.
        steady: the time by a clock that never jumps, with which all times in the snapshot but those of statuses are
            compared; `now` if it is the same.
    """
    clock = _Clock(now, steady or now)
    barred = acceptance.model_rejection(snapshot, policy, render_error)
    applied = () if snapshot.model is None or barred is not None else tuple(_applied(snapshot, children))
    refused = _refused(snapshot, applied)
    rejected = barred or acceptance.model_rejection(snapshot, policy, refused)
    concluded = _conclude(snapshot, policy, hands_off=rejected is not None and rejected.reason in _HANDS_OFF)
    unknown = tuple(a for a in snapshot.adapters if isinstance(concluded.known.get(a.meta.uid), Blocked))
    known = tuple(a for a in snapshot.adapters if isinstance(concluded.known.get(a.meta.uid), AdapterFacts))
    statuses, settled_at = _told_of(snapshot, _adapter_statuses(snapshot, concluded, now), clock.steady)
    model_written = _model_written(snapshot, rejected, applied, statuses, now)

    actions: list[Action] = []
    if secret_name is not None and snapshot.model is not None and rejected is None:
        actions.append(CreateSecret(secret_name, "the pods need a certificate to talk to the operator"))
    if concluded.document is not None:
        actions.extend(_told(snapshot, concluded.document))
    actions.extend(applied)
    if concluded.document is not None:
        actions.extend(resolving.questions(snapshot, unknown, clock.steady))
        actions.extend(resolving.looks(snapshot, polling.due(snapshot, known, clock.steady)))
    actions.extend(model_written)
    for adapter in snapshot.adapters:
        actions.extend(_adapter_written(adapter, statuses[adapter.meta.uid]))
    if refused is not None:
        # What was refused is tried again nevertheless; if it is taken now, the status is to say so.
        return Plan(tuple(actions), clock.steady, concluded.wanted)
    again = (_look_again_at(snapshot, concluded, unknown, known, statuses, clock), settled_at)
    return Plan(tuple(actions), min((at for at in again if at is not None), default=None), concluded.wanted)


def _conclude(snapshot: Snapshot, policy: acceptance.Policy, *, hands_off: bool) -> _Conclusions:
    rejected = acceptance.rejections(snapshot, policy)
    if snapshot.model is None:
        return _Conclusions({}, rejected, None)
    known = {
        adapter.meta.uid: facts.facts_of(adapter, snapshot)
        for adapter in snapshot.adapters
        if adapter.spec.blend is None and adapter.meta.uid not in rejected
    }
    limits = snapshot.model.spec.adapters
    outcomes = revisions.outcomes(snapshot.adapters, rejected, known, limits.max_rank)
    if hands_off:
        return _Conclusions(known, outcomes, None)
    document = rollout.next_desired(snapshot.desired, snapshot.adapters, outcomes, snapshot.pods)
    return _Conclusions(known, outcomes, document)


def _applied(snapshot: Snapshot, children: tuple[Manifest, ...]) -> Iterator[ApplyChild]:
    for manifest in children:
        child = f"{manifest['kind']}/{manifest['metadata']['name']}"
        wanted = manifest["metadata"]["annotations"][labels.TEMPLATE_HASH]
        found = snapshot.applied.get(child)
        if found is None:
            yield ApplyChild(manifest, f"{child} does not exist")
        elif found != wanted:
            why = f"{child} is not as wanted: {found or 'changed by another hand'}, wanted {wanted}"
            yield ApplyChild(manifest, why, snapshot.versions.get(child))


def _refused(snapshot: Snapshot, applied: tuple[ApplyChild, ...]) -> str | None:
    """Why a child that is to be applied was not taken the last time, just as it is wanted now."""
    for action in applied:
        kind, metadata = action.manifest["kind"], action.manifest["metadata"]
        refusal = snapshot.refused.get(f"{kind}/{metadata['name']}")
        if refusal is not None and refusal.hash == metadata["annotations"][labels.TEMPLATE_HASH]:
            return refusal.message
    return None


def _told(snapshot: Snapshot, document: Desired) -> Iterator[Action]:
    """Stores what is to be served, then tells the pods: a pod that starts in between must not serve anything older.

    What is only to be prepared is told alone. A pod that starts in between does not have it, is told, and is waited for.
    """
    version = snapshot.versions.get(f"ConfigMap/{render.desired_config_map(snapshot.key.name)}")
    if snapshot.stored is None:
        yield WriteDesired(document, "there is no ConfigMap with a document that can be read", version)
    elif not document.serves_as(snapshot.stored):
        yield WriteDesired(document, rollout.changes(snapshot.stored, document), version)
    etag = document.etag
    for pod in snapshot.pods:
        if not pod.ip or pod.terminating or isinstance(pod.inventory, Unreachable):
            continue
        if pod.inventory.desired_etag != etag:
            news = "" if document == snapshot.desired else f" ({rollout.changes(snapshot.desired, document)})"
            why = f"pod {pod.name} works on document {pod.inventory.desired_sequence}, wanted {document.sequence}{news}"
            yield PushDesired(pod.name, pod.ip, document, why)


def _adapter_statuses(snapshot: Snapshot, concluded: _Conclusions, now: datetime) -> Mapping[str, LoRAAdapterStatus]:
    entries = {} if concluded.document is None else {entry.uid: entry for entry in concluded.document.adapters}
    fleet = adapter_status.Fleet(
        replicas=replicas.serving_replicas(snapshot.pods),
        desired_pods=0 if snapshot.model is None else snapshot.model.spec.replicas,
    )
    return {
        adapter.meta.uid: adapter_status.status_of(
            adapter,
            concluded.outcomes[adapter.meta.uid],
            concluded.known.get(adapter.meta.uid),
            entries.get(adapter.meta.uid),
            fleet,
            now,
            unheeded=facts.unheeded(adapter, snapshot),
        )
        for adapter in snapshot.adapters
    }


def _told_of(
    snapshot: Snapshot, statuses: Mapping[str, LoRAAdapterStatus], now: datetime
) -> tuple[Mapping[str, LoRAAdapterStatus], datetime | None]:
    """The statuses without those that wait for a better one, and when the first of these waits no longer."""
    told = dict(statuses)
    ends = []
    for adapter in snapshot.adapters:
        until = settling.held_until(adapter, statuses[adapter.meta.uid], snapshot.changing, now)
        if until is not None:
            told[adapter.meta.uid] = adapter.status
            ends.append(until)
    return told, min(ends, default=None)


def _adapter_written(adapter: ObservedAdapter, new: LoRAAdapterStatus) -> Iterator[Action]:
    if _is_news(new, adapter.status):
        news = transitions.adapter_events(adapter, new)
        yield WriteAdapterStatus(adapter.meta.name, adapter.meta.uid, new, news, adapter.meta.version)


def _is_news(new: LoRAAdapterStatus | LoRAModelStatus, stored: LoRAAdapterStatus | LoRAModelStatus) -> bool:
    """Whether they differ in what is the operator's to say: others may add conditions of types of their own."""
    if new == stored:
        return False
    ours = {condition.type for condition in new.conditions}
    found = {condition.type: condition for condition in stored.conditions if condition.type in ours}
    mine = {condition.type: condition for condition in new.conditions}
    return mine != found or new.model_copy(update={"conditions": stored.conditions}) != stored


def _model_written(
    snapshot: Snapshot,
    rejected: Rejected | None,
    applied: tuple[ApplyChild, ...],
    adapters: Mapping[str, LoRAAdapterStatus],
    now: datetime,
) -> Iterator[Action]:
    model = snapshot.model
    if model is None:
        return
    new = _model_status(snapshot, model, rejected, applied, adapters, now)
    if _is_news(new, model.status):
        yield WriteModelStatus(new, transitions.model_events(model, new))


def _model_status(
    snapshot: Snapshot,
    model: ObservedModel,
    rejected: Rejected | None,
    applied: tuple[ApplyChild, ...],
    adapters: Mapping[str, LoRAAdapterStatus],
    now: datetime,
) -> LoRAModelStatus:
    seen = model_status.Rollout(
        model=model,
        rejected=rejected,
        deployment=snapshot.deployment,
        pods=snapshot.pods,
        up_to_date=not any(child.manifest["kind"] == "Deployment" for child in applied),
    )
    return model_status.status_of(seen, adapters.values(), now)


def _look_again_at(
    snapshot: Snapshot,
    concluded: _Conclusions,
    unknown: tuple[ObservedAdapter, ...],
    known: tuple[ObservedAdapter, ...],
    statuses: Mapping[str, LoRAAdapterStatus],
    clock: _Clock,
) -> datetime | None:
    """The earliest moment at which time alone changes what to do or say, by the clock that never jumps."""
    now = clock.steady
    moments = [resolving.next_question_at(snapshot, (*unknown, *known), now), polling.next_due_at(known, now)]
    entries = {} if concluded.document is None else {entry.uid: entry for entry in concluded.document.adapters}
    for adapter in snapshot.adapters:
        entry = entries.get(adapter.meta.uid)
        if entry is not None:
            held_at = adapter_status.held_at(adapter, entry, statuses[adapter.meta.uid].history)
            moments.append(None if held_at is None else now + (held_at - clock.now))
    return min((moment for moment in moments if moment is not None and moment > now), default=None)
