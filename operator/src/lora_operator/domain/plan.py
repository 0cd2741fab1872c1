"""One pass of deciding: from everything that was seen to everything that is to be done about it, in order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lora_api.mixture_api import MixtureSpec
from lora_api.recipes.outcome import Blocked, Rejected
from lora_api.runtime_api import Desired
from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_api.v1alpha1.model import LoRAModelStatus
from lora_operator.domain import (
    acceptance,
    adapter_status,
    applying,
    conditions,
    mixtures,
    model_status,
    polling,
    render,
    reports,
    resolving,
    rollout,
    settling,
)
from lora_operator.domain.actions import (
    Action,
    ApplyChild,
    IssueCertificate,
    Patch,
    Plan,
    PushDesired,
    WriteDesired,
)
from lora_operator.domain.conclusions import Conclusions, conclude
from lora_operator.domain.memo import NOTHING, Memo
from lora_operator.domain.mixture_status import MixtureDelivery
from lora_operator.domain.observed import Snapshot, Unreachable

Manifest = Mapping[str, Any]

_HANDS_OFF = frozenset({Reason.NAME_CONFLICT, Reason.INVALID_NAME})
"""A model rejected for one of these has no objects of its own; one rejected otherwise keeps what it has."""


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
    certificate: IssueCertificate | None = None,
    memo: Memo = NOTHING,
    untold: Mapping[str, datetime] | None = None,
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
        certificate: what is due of the pods' certificate, if anything is.
        memo: what the last plan for this model handed over, to make this one faster.
        untold: what the last plan did not tell yet, and until when it may wait; None tells everything at once.
        steady: the time by a clock that never jumps, with which all times in the snapshot but those of statuses are
            compared; `now` if it is the same.
    """
    clock = _Clock(now, steady or now)
    mixture = mixtures.outcome_of(snapshot, policy)
    barred = acceptance.model_rejection(snapshot, policy, render_error)
    applied = () if snapshot.model is None or barred is not None else tuple(applying.due(snapshot, children))
    refused = applying.refused(snapshot, applied)
    rejected = barred or acceptance.model_rejection(snapshot, policy, refused)
    hands_off = rejected is not None and rejected.reason in _HANDS_OFF
    mixed = mixtures.in_document(mixture, snapshot.desired)
    concluded = conclude(snapshot, policy, now, memo, hands_off=hands_off, mixture=mixed)
    known = concluded.memo.known
    unknown = tuple(a for a in concluded.moved if isinstance(known.get(a.meta.uid), Blocked))
    statuses, settled_at = _told_of(snapshot, concluded, clock.steady)
    # Pods that serve the mixture before are scaled, and get their certificates, whatever the wanted one lacks.
    told_of = rejected or (mixture if isinstance(mixture, Rejected) else None)
    counted, delivery = _counted(concluded.memo, statuses), _delivery(snapshot, mixture, mixed)
    of_model = _model_status(snapshot, told_of, applied, counted, now, delivery)
    # An operator that has just started must not take back what is true before it has heard of it.
    found = () if _unheard(snapshot) else reports.of(snapshot, concluded.moved, statuses, of_model)
    told, waiting = reports.told_now(found, untold, clock.steady)

    actions: list[Action] = []
    # The pods of a model that is refused serve on, and are talked to.
    if certificate is not None and snapshot.model is not None and not hands_off:
        actions.append(certificate)
    if concluded.document is not None:
        actions.extend(_documented(snapshot, concluded.document))
    actions.extend(applied)
    if concluded.document is not None:
        actions.extend(resolving.questions(snapshot, unknown, clock.steady))
        actions.extend(resolving.looks(snapshot, polling.due(snapshot, concluded.memo.polled.values(), clock.steady)))
    actions.extend(told)
    # What was refused is tried again nevertheless; if it is taken now, the status is to say so.
    later = clock.steady if refused is not None else _look_again_at(snapshot, concluded, waiting, clock)
    again = min((at for at in (later, settled_at) if at is not None), default=None)
    return Plan(tuple(actions), again, concluded.memo.wanted, concluded.memo, waiting)


def _documented(snapshot: Snapshot, document: Desired) -> Iterator[Action]:
    """Stores what is to be served, then tells the pods: a pod that starts in between must not serve anything older.

    What is only to be prepared is told alone. A pod that starts in between does not have it, is told, and is waited for.
    """
    version = snapshot.versions.get(f"ConfigMap/{render.desired_config_map(snapshot.key.name)}")
    if snapshot.stored is None:
        yield WriteDesired(document, "there is no ConfigMap with a document that can be read", version)
    elif not document.serves_as(snapshot.stored):
        yield WriteDesired(document, rollout.changes(snapshot.stored, document), version)
    etag = document.etag
    news = "" if document is snapshot.desired else f" ({rollout.changes(snapshot.desired, document)})"
    patch: Patch | None = None
    for pod in snapshot.pods:
        if not pod.ip or pod.terminating or isinstance(pod.inventory, Unreachable):
            continue
        if pod.inventory.desired_etag != etag:
            why = f"pod {pod.name} works on document {pod.inventory.desired_sequence}, wanted {document.sequence}{news}"
            if snapshot.desired is None or pod.inventory.desired_etag != snapshot.desired.etag:
                yield PushDesired(pod.name, pod.ip, document, why)
                continue
            patch = patch or Patch(snapshot.desired.etag, document.patch_from(snapshot.desired))
            yield PushDesired(pod.name, pod.ip, document, why, patch)


def _unheard(snapshot: Snapshot) -> bool:
    """Whether the first answer of a pod that requests reach is awaited; it rings."""
    return any(
        pod.serves and isinstance(pod.inventory, Unreachable) and not pod.inventory.asked for pod in snapshot.pods
    )


def _told_of(
    snapshot: Snapshot, concluded: Conclusions, now: datetime
) -> tuple[Mapping[str, LoRAAdapterStatus], datetime | None]:
    """The statuses of what moved without those that wait for a better one, and when the first of these waits no longer."""
    told = dict(concluded.statuses)
    ends = []
    for uid in snapshot.changing:
        adapter = concluded.memo.adapters.get(uid)
        if adapter is None:
            continue
        until = settling.held_until(adapter, told.get(uid, adapter.status), snapshot.changing, now)
        if until is not None:
            ends.append(until)
            if uid in told:
                told[uid] = adapter.status
    return told, min(ends, default=None)


def _counted(memo: Memo, told: Mapping[str, LoRAAdapterStatus]) -> tuple[int, int]:
    """How many adapters there are, and how many are Ready."""
    restless = (status for uid, status in told.items() if uid not in memo.at_rest)
    ready = sum(conditions.is_true(status.conditions, AdapterCondition.READY) for status in restless)
    return len(memo.adapters), ready + sum(memo.at_rest.values())


def _delivery(
    snapshot: Snapshot, outcome: mixtures.Outcome | None, wanted: MixtureSpec | None
) -> MixtureDelivery | None:
    if snapshot.model is None or outcome is None:
        return None
    return MixtureDelivery(snapshot.model, outcome, wanted, snapshot.pods)


def _model_status(
    snapshot: Snapshot,
    rejected: Rejected | None,
    applied: tuple[ApplyChild, ...],
    counted: tuple[int, int],
    now: datetime,
    mixture: MixtureDelivery | None,
) -> LoRAModelStatus | None:
    if snapshot.model is None:
        return None
    seen = model_status.Rollout(
        model=snapshot.model,
        rejected=rejected,
        deployment=snapshot.deployment,
        pods=snapshot.pods,
        up_to_date=applying.is_up_to_date("Deployment", applied),
        adapters=counted[0],
        ready_adapters=counted[1],
        mixture=mixture,
    )
    return model_status.status_of(seen, now)


def _look_again_at(
    snapshot: Snapshot,
    concluded: Conclusions,
    waiting: Mapping[str, datetime],
    clock: _Clock,
) -> datetime | None:
    """The earliest moment at which time alone changes what to do or say, by the clock that never jumps."""
    now, memo = clock.steady, concluded.memo
    moments = [resolving.next_question_at(snapshot, memo.adapters, now), polling.next_due_at(memo.polled.values(), now)]
    moments += waiting.values()
    for adapter in concluded.moved:
        entry = memo.entries.get(adapter.meta.uid)
        if entry is not None and entry.prepare is not None:
            held_at = adapter_status.held_at(adapter, entry, concluded.statuses[adapter.meta.uid].history)
            moments.append(None if held_at is None else now + (held_at - clock.now))
    return min((moment for moment in moments if moment is not None and moment > now), default=None)
