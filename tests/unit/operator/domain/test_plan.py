from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest

from lora_api import labels
from lora_api.runtime_api import Desired, RevisionState
from lora_api.v1alpha1.conditions import Reason
from lora_operator.domain import plan
from lora_operator.domain.acceptance import Policy
from lora_operator.domain.actions import (
    Action,
    ApplyChild,
    IssueCertificate,
    Plan,
    PushDesired,
    ResolveSource,
    WriteAdapterStatus,
    WriteDesired,
    WriteModelStatus,
)
from lora_operator.domain.observed import ObservedAdapter, ObservedPod, Refusal, Snapshot, Unreachable
from support.builders import (
    NOW,
    a_deployment,
    a_model,
    a_pod,
    a_refusal,
    a_report,
    a_snapshot,
    a_snapshot_without_model,
    an_adapter,
    an_inventory,
    resolved,
    unreachable,
)

A = TypeVar("A", bound=Action)

DEPLOYMENT = {"kind": "Deployment", "metadata": {"name": "smol", "annotations": {labels.TEMPLATE_HASH: "h1"}}}
SERVICE = {"kind": "Service", "metadata": {"name": "smol", "annotations": {labels.TEMPLATE_HASH: "h2"}}}
APPLIED = {"Deployment/smol": "h1", "Service/smol": "h2"}


CERTIFICATE = IssueCertificate("the pods need one")


def planned(snapshot: Snapshot, *, allow_host_path: bool = False, **rest: Any) -> Plan:
    return plan.make_plan(snapshot, Policy(allow_host_path), NOW, (DEPLOYMENT, SERVICE), **rest)


def of(kind: type[A], found: Plan) -> list[A]:
    return [action for action in found.actions if isinstance(action, kind)]


def told(found: Plan) -> list[str]:
    """The reasons of all events."""
    written = (action for action in found.actions if isinstance(action, WriteModelStatus | WriteAdapterStatus))
    return [event.reason for action in written for event in action.news]


def document_of(found: Plan) -> Desired:
    (written,) = of(WriteDesired, found)
    return written.document


def with_statuses(snapshot: Snapshot, found: Plan) -> Snapshot:
    """The snapshot after everything that the plan writes has been written."""
    statuses = {action.uid: action.status for action in of(WriteAdapterStatus, found)}
    adapters = tuple(
        replace(adapter, status=statuses.get(adapter.meta.uid, adapter.status)) for adapter in snapshot.adapters
    )
    model = snapshot.model
    for written in of(WriteModelStatus, found):
        assert model is not None
        model = replace(model, status=written.status)
    for stored in of(WriteDesired, found):
        snapshot = replace(snapshot, desired=stored.document)
    return replace(snapshot, adapters=adapters, model=model)


def a_serving_pod(document: Desired, name: str = "smol-a") -> ObservedPod:
    """A pod that does all that the document says."""
    reports = (
        a_report(entry.name, **{f"r_{entry.serve.revision}": RevisionState.SERVING})
        for entry in document.adapters
        if entry.serve is not None
    )
    return a_pod(name, inventory=an_inventory(*reports, document=document))


def settled(*adapters: ObservedAdapter) -> Snapshot:
    """A look at a model with nothing left to do."""
    snapshot = a_snapshot(
        *adapters, pods=(a_pod(),), applied=APPLIED, deployment=a_deployment(), resolutions=resolved(*adapters)
    )
    document = document_of(planned(snapshot))
    snapshot = replace(snapshot, desired=document, stored=document, pods=(a_serving_pod(document),))
    return with_statuses(snapshot, planned(snapshot))


def test_a_settled_model_needs_nothing() -> None:
    assert planned(settled(an_adapter("a"), an_adapter("b"))) == Plan(())


def test_a_new_model_gets_certificate_document_and_children_in_this_order_before_statuses() -> None:
    found = planned(a_snapshot(an_adapter()), certificate=CERTIFICATE)

    assert [type(action) for action in found.actions] == [
        IssueCertificate,
        WriteDesired,
        ApplyChild,
        ApplyChild,
        WriteModelStatus,
        WriteAdapterStatus,
    ]
    assert [action.why for action in of(ApplyChild, found)] == [
        "Deployment/smol does not exist",
        "Service/smol does not exist",
    ]


def test_only_children_that_changed_are_applied() -> None:
    found = planned(a_snapshot(applied=APPLIED | {"Service/smol": "h0"}))

    (applied,) = of(ApplyChild, found)
    assert applied.manifest is SERVICE
    assert applied.why == "Service/smol is not as wanted: h0, wanted h2"


def test_a_child_that_was_changed_by_another_hand_is_applied_again() -> None:
    (applied,) = of(ApplyChild, planned(a_snapshot(applied=APPLIED | {"Service/smol": ""})))

    assert applied.why == "Service/smol is not as wanted: changed by another hand, wanted h2"


def test_what_an_operator_finds_as_it_should_be_is_applied_once_in_case_it_was_edited_and_changes_no_status() -> None:
    found = planned(replace(settled(an_adapter()), inherited=frozenset(APPLIED)))

    assert [(action.manifest["kind"], action.again) for action in of(ApplyChild, found)] == [
        ("Deployment", True),
        ("Service", True),
    ]
    assert len(found.actions) == 2


def test_what_an_operator_finds_otherwise_than_wanted_is_to_be_changed_whoever_made_it() -> None:
    snapshot = replace(settled(), applied=APPLIED | {"Deployment/smol": "h0"}, inherited=frozenset({"Deployment/smol"}))

    (applied,) = of(ApplyChild, planned(snapshot))

    assert not applied.again


def test_a_model_whose_deployment_is_about_to_change_is_not_ready() -> None:
    snapshot = replace(settled(), applied=APPLIED | {"Deployment/smol": "h0"})

    (written,) = of(WriteModelStatus, planned(snapshot))

    assert {c.type: c.status for c in written.status.conditions}["Ready"] == "False"


def test_the_document_is_stored_before_any_pod_is_told() -> None:
    adapter = an_adapter()
    pods = (a_pod("a"), a_pod("b", ready=False), a_pod("deaf", inventory=unreachable()), a_pod("x", terminating=True))

    found = planned(a_snapshot(adapter, pods=pods, resolutions=resolved(adapter), applied=APPLIED))

    kinds = [type(action) for action in found.actions]
    assert kinds.index(WriteDesired) < kinds.index(PushDesired)
    assert [push.pod for push in of(PushDesired, found)] == ["a", "b"]
    assert {push.document for push in of(PushDesired, found)} == {document_of(found)}


def test_a_pod_that_missed_the_document_is_told_again_without_storing_it_again() -> None:
    snapshot = settled(an_adapter())
    late = a_pod("late", inventory=an_inventory())

    found = planned(replace(snapshot, pods=(*snapshot.pods, late)))

    assert of(WriteDesired, found) == []
    assert [push.pod for push in of(PushDesired, found)] == ["late"]


def test_what_is_only_to_be_prepared_is_told_and_not_stored() -> None:
    snapshot = settled(an_adapter())
    heavier = replace(snapshot.adapters[0], spec=an_adapter(weight=2.0).spec)

    found = planned(replace(snapshot, adapters=(heavier,)))

    assert of(WriteDesired, found) == []
    (push,) = of(PushDesired, found)
    assert push.document.adapters[0].prepare is not None
    assert push.document.serves_as(snapshot.stored or Desired())


def test_a_change_that_has_just_been_seen_is_not_told_until_it_has_arrived_or_taken_a_moment() -> None:
    snapshot = settled(an_adapter())
    heavier = replace(snapshot.adapters[0], spec=an_adapter(weight=2.0, generation=2).spec)
    changed = replace(snapshot, adapters=(heavier,), changing={"uid-pirate": NOW})

    fresh, late = planned(changed), planned(replace(changed, changing={"uid-pirate": NOW - timedelta(seconds=1)}))

    assert (of(WriteAdapterStatus, fresh), of(WriteModelStatus, fresh)) == ([], [])
    assert fresh.look_again_at == NOW + timedelta(seconds=0.3)
    assert len(of(WriteAdapterStatus, late)) == 1


def test_a_clock_that_goes_back_holds_no_status() -> None:
    snapshot = settled(an_adapter())
    heavier = replace(snapshot.adapters[0], spec=an_adapter(weight=2.0, generation=2).spec)

    found = planned(replace(snapshot, adapters=(heavier,), changing={"uid-pirate": NOW + timedelta(hours=1)}))

    assert len(of(WriteAdapterStatus, found)) == 1


def test_first_steps_of_a_burst_are_told_in_turn_and_the_plan_knows_when_that_is() -> None:
    burst = replace(settled(), adapters=tuple(an_adapter(name) for name in "abc"))

    begun = waiting(burst, 0, {})
    assert (of(WriteAdapterStatus, begun), of(WriteModelStatus, begun)) == ([], [])
    assert seconds(begun.untold) == {"uid-smol": 1, "uid-a": 1, "uid-b": 1.02, "uid-c": 1.04}
    assert begun.look_again_at == NOW + timedelta(seconds=1)

    later = waiting(burst, 1.01, begun.untold)
    assert [written.name for written in of(WriteAdapterStatus, later)] == ["a"]
    assert len(of(WriteModelStatus, later)) == 1
    assert seconds(later.untold) == {"uid-b": 1.02, "uid-c": 1.04}, "nobody's turn is put off"
    assert later.look_again_at == NOW + timedelta(seconds=1.02)


def waiting(snapshot: Snapshot, after: float, untold: Mapping[str, datetime]) -> Plan:
    """The plan so many seconds later, with what waits since the one before."""
    return plan.make_plan(snapshot, Policy(), NOW, untold=untold, steady=NOW + timedelta(seconds=after))


def seconds(untold: Mapping[str, datetime]) -> dict[str, float]:
    """Until when each waits."""
    return {uid: (until - NOW).total_seconds() for uid, until in untold.items()}


def test_a_document_whose_config_map_is_gone_is_stored_again_and_no_pod_is_bothered() -> None:
    snapshot = settled(an_adapter())

    found = planned(replace(snapshot, stored=None))

    assert document_of(found) == snapshot.desired
    assert of(PushDesired, found) == []


def test_a_new_source_is_resolved_and_nothing_else_told_meanwhile() -> None:
    adapter = an_adapter()

    found = planned(a_snapshot(adapter, pods=(a_pod(),)))

    assert [question.adapter_uid for question in of(ResolveSource, found)] == [adapter.meta.uid]
    assert document_of(found).adapters[0].serve is None


def test_rejected_adapters_are_not_resolved() -> None:
    adapter = an_adapter(source={"volume": {"name": "nowhere"}})

    assert of(ResolveSource, planned(a_snapshot(adapter, pods=(a_pod(),)))) == []


def test_a_changed_weight_is_prepared_then_committed_then_told() -> None:
    snapshot = settled(an_adapter())
    served = snapshot.adapters[0]
    edited = replace(served, spec=served.spec.model_copy(update={"weight": 0.4}))
    snapshot = replace(snapshot, adapters=(edited,))

    preparing = planned(snapshot)
    (push,) = of(PushDesired, preparing)
    document = push.document
    (entry,) = document.adapters
    assert entry.serve is not None
    assert entry.prepare is not None
    states = {f"r_{entry.serve.revision}": RevisionState.SERVING, f"r_{entry.prepare.revision}": RevisionState.PREPARED}
    ready_pod = a_pod(inventory=an_inventory(a_report("pirate", **states), document=document))
    committing = planned(replace(with_statuses(snapshot, preparing), desired=document, pods=(ready_pod,)))
    committed = document_of(committing)
    done = planned(replace(with_statuses(snapshot, committing), pods=(a_serving_pod(committed),)))

    assert committed.adapters[0].serve == entry.prepare
    assert preparing.look_again_at == NOW + timedelta(seconds=120)
    assert told(preparing) == []
    assert told(done) == ["AdapterServed"]


def test_nothing_is_taken_back_before_a_pod_was_heard() -> None:
    snapshot = settled(an_adapter())
    unheard = replace(snapshot, pods=(a_pod(inventory=Unreachable("not asked yet", asked=False)),))
    silent = replace(snapshot, pods=(a_pod(inventory=Unreachable("no answer")),))

    assert of(WriteAdapterStatus, planned(unheard)) == []
    assert len(of(WriteAdapterStatus, planned(silent))) == 1


def test_a_deleted_adapter_leaves_the_document() -> None:
    snapshot = settled(an_adapter("a"), an_adapter("b"))

    found = planned(replace(snapshot, adapters=snapshot.adapters[:1]))

    assert [entry.name for entry in document_of(found).adapters] == ["a"]


def test_without_a_model_adapters_say_so_and_nothing_else_happens() -> None:
    found = planned(a_snapshot_without_model(an_adapter(), pods=(a_pod(),)), certificate=CERTIFICATE)

    assert [type(action) for action in found.actions] == [WriteAdapterStatus]
    (written,) = of(WriteAdapterStatus, found)
    assert written.status.conditions[0].reason == Reason.MODEL_NOT_FOUND


def test_adapters_heal_when_their_model_appears() -> None:
    orphan = a_snapshot_without_model(an_adapter())
    orphan = with_statuses(orphan, planned(orphan))

    found = planned(replace(orphan, model=a_model()))

    (written,) = of(WriteAdapterStatus, found)
    assert written.status.conditions[0].status == "True"


def test_a_model_whose_name_is_taken_touches_nothing_but_statuses() -> None:
    adapter = an_adapter()
    snapshot = a_snapshot(
        adapter, pods=(a_pod(),), resolutions=resolved(adapter), conflicting={"Service/smol": "nobody"}
    )

    found = planned(snapshot, certificate=CERTIFICATE)

    assert {type(action) for action in found.actions} == {WriteModelStatus, WriteAdapterStatus}


@pytest.mark.parametrize(
    ("model", "render_error"),
    [
        (a_model(), "containers must be a list"),
        (a_model(volumes=[{"name": "files", "hostPath": {"path": "/srv"}}]), None),
    ],
)
def test_a_model_that_cannot_be_changed_as_wished_keeps_its_pods_and_their_adapters(
    model: Any, render_error: str | None
) -> None:
    adapter = an_adapter()
    snapshot = a_snapshot(adapter, model=model, pods=(a_pod(),), resolutions=resolved(adapter))

    found = planned(snapshot, render_error=render_error, certificate=CERTIFICATE)

    assert of(ApplyChild, found) == []
    assert of(IssueCertificate, found) == [CERTIFICATE]
    assert document_of(found).adapters[0].serve is not None
    assert [push.pod for push in of(PushDesired, found)] == ["smol-a"]


def test_a_child_that_was_refused_just_as_it_is_wanted_is_told_and_tried_again() -> None:
    found = planned(a_snapshot(refused={"Deployment/smol": Refusal("h1", "replicas: must not be odd")}))

    (written,) = of(WriteModelStatus, found)
    accepted = written.status.conditions[0]
    assert (accepted.status, accepted.reason) == ("False", Reason.INVALID_POD_TEMPLATE)
    assert "replicas: must not be odd" in accepted.message
    assert DEPLOYMENT in [action.manifest for action in of(ApplyChild, found)]
    assert found.look_again_at == NOW


@pytest.mark.parametrize(
    ("refused_hash", "applied"), [("before the edit", {}), ("h1", APPLIED)], ids=["corrected", "taken meanwhile"]
)
def test_a_refusal_of_what_is_not_asked_for_any_more_says_nothing(refused_hash: str, applied: dict[str, str]) -> None:
    refused = {"Deployment/smol": Refusal(refused_hash, "no")}

    (written,) = of(WriteModelStatus, planned(a_snapshot(refused=refused, applied=applied)))

    assert written.status.conditions[0].status == "True"


def test_the_next_look_is_when_a_source_is_to_be_asked_about_again() -> None:
    adapter = an_adapter()
    retry_at = NOW + timedelta(seconds=8)
    snapshot = a_snapshot(
        adapter, pods=(a_pod(),), resolutions={adapter.meta.uid: a_refusal(adapter, retry_at=retry_at)}
    )

    assert planned(snapshot).look_again_at == retry_at
