"""What is done when part of a plan fails."""

import asyncio
import contextlib
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest

from lora_api import labels
from lora_api.runtime_api import Desired
from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_operator.clients.certificates import Authority, client_context
from lora_operator.clients.clock import SystemClock
from lora_operator.clients.events import Events
from lora_operator.clients.kube import NOT_THERE, Manifest
from lora_operator.clients.metrics import Metrics
from lora_operator.clients.runtime_admin import RuntimeAdmin
from lora_operator.domain.actions import (
    Action,
    Announcement,
    ApplyChild,
    Plan,
    PushDesired,
    WriteAdapterStatus,
    WriteDesired,
)
from lora_operator.domain.observed import ModelKey, Refusal
from lora_operator.reconcile.act import Act
from lora_operator.reconcile.adapters import Adapters
from lora_operator.reconcile.applied import Applied
from lora_operator.reconcile.certificates import Certificates
from lora_operator.reconcile.freshness import Freshness
from lora_operator.reconcile.inventories import Inventories
from lora_operator.reconcile.lately import Lately
from lora_operator.reconcile.pushes import Pushes
from lora_operator.reconcile.queue import Backoff, TryAgain
from lora_operator.reconcile.resolutions import Resolutions
from support.builders import a_model
from support.custom_resources import mutated
from support.recording_kube import RecordingKube

KEY = ModelKey("team", "smol")
DOCUMENT = Desired(sequence=1)
SERVED = Announcement("LoRAAdapter", "pirate", "uid-pirate", "Normal", "AdapterServed", "2/2 pods serve it")
STATUS = WriteAdapterStatus("pirate", "uid-pirate", LoRAAdapterStatus(), (SERVED,))
SERVICE = ApplyChild(
    {
        "kind": "Service",
        "metadata": {"name": "smol", "namespace": "team", "annotations": {labels.TEMPLATE_HASH: "h1"}},
    },
    "it does not exist",
)
AWAY = "127.0.0.254"
"""Nobody listens there."""


async def carry_out(
    kube: RecordingKube, *actions: Action, applied: Applied | None = None, metrics: Metrics | None = None
) -> None:
    clock = SystemClock()
    authority = Authority.make(datetime.now(UTC))
    context = client_context(authority, authority.client("operator", clock.now()))
    events = Events(kube, clock, "operator-0")
    async with RuntimeAdmin(context) as admin:
        inventories = Inventories(
            admin, Backoff(1, 1, lambda: 1.0), asyncio.create_task, lambda key: None, lambda key: None
        )
        act = Act(
            kube=kube,
            events=events,
            certificates=Certificates(authority, timedelta(days=1), timedelta(minutes=5)),
            clock=clock,
            pushes=Pushes(admin, inventories, asyncio.create_task, lambda key: None),
            resolutions=Resolutions(admin, clock, asyncio.create_task, lambda key: None),
            applied=Applied() if applied is None else applied,
            lately=Lately(),
            adapters=Adapters(kube, Freshness()),
            metrics=metrics or Metrics(),
        )
        try:
            await act(KEY, a_model().meta, Plan(actions))
        finally:
            await events.post_waiting()


def counted(metrics: Metrics) -> dict[tuple[str, str], float]:
    """How often each action ended how."""
    return {
        (sample.labels["action"], sample.labels["outcome"]): sample.value
        for family in metrics.actions.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }


def refusing(kind: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> RecordingKube:
    def rule(manifest: Manifest) -> int | None:
        return status if manifest["kind"] == kind else None

    return RecordingKube(rule)


async def test_what_is_written_goes_over_what_it_was_decided_from_and_over_nothing_else() -> None:
    kube = RecordingKube()
    await carry_out(
        kube,
        WriteDesired(DOCUMENT, "first", version="41"),
        replace(SERVICE, version="42"),
        replace(STATUS, version="43", news=()),
    )
    assert [manifest["metadata"]["resourceVersion"] for manifest in kube.sent] == ["41", "42", "43"]


BUDGET = ApplyChild(mutated(SERVICE.manifest, {"kind": "PodDisruptionBudget"}), "edited", version="42")


async def test_what_has_an_apply_over_another_hands_edit_refused_is_taken_away_and_it_is_tried_once_more() -> None:
    def invalid_beside_the_edit(manifest: Manifest) -> int | None:
        return HTTPStatus.UNPROCESSABLE_ENTITY if manifest["metadata"].get("name") and not kube.sent else None

    kube = RecordingKube(invalid_beside_the_edit)
    await carry_out(kube, BUDGET)
    [taken_away, applied] = kube.sent
    assert taken_away["metadata"] == {"resourceVersion": "42"}
    assert taken_away["spec"] == {"minAvailable": None}
    assert applied["metadata"]["resourceVersion"] == "6"


async def test_an_apply_that_is_taken_costs_one_request() -> None:
    kube = RecordingKube()
    await carry_out(kube, BUDGET)
    [applied] = kube.sent
    assert applied["metadata"]["resourceVersion"] == "42"


async def test_a_refusal_of_what_another_hand_made_while_no_operator_was_there_is_told_like_any_other() -> None:
    applied, kube = Applied(), refusing("Service", HTTPStatus.UNPROCESSABLE_ENTITY)
    with pytest.raises(TryAgain):
        await carry_out(kube, replace(SERVICE, version="42", again=True), applied=applied)
    assert kube.kinds == ["Event"]
    assert applied.refused(KEY).keys() == {"Service/smol"}


@pytest.mark.parametrize("status", [HTTPStatus.CONFLICT, HTTPStatus.FORBIDDEN, HTTPStatus.INTERNAL_SERVER_ERROR])
async def test_nothing_is_taken_away_for_a_refusal_that_says_nothing_of_the_fields(status: HTTPStatus) -> None:
    kube = RecordingKube(lambda _: None if kube.sent else status)
    with contextlib.suppress(TryAgain):
        await carry_out(kube, BUDGET)
    assert all(manifest.get("spec") != {"minAvailable": None} for manifest in kube.sent)


async def test_a_new_child_that_is_refused_has_nothing_to_be_taken_away() -> None:
    applied, kube = Applied(), refusing("PodDisruptionBudget", HTTPStatus.UNPROCESSABLE_ENTITY)
    with pytest.raises(TryAgain):
        await carry_out(kube, replace(BUDGET, version=None), applied=applied)
    assert kube.kinds == ["Event"]
    assert applied.refused(KEY).keys() == {"PodDisruptionBudget/smol"}


async def test_what_is_to_be_new_is_written_only_if_there_is_none() -> None:
    kube = RecordingKube()
    await carry_out(kube, WriteDesired(DOCUMENT, "first"), SERVICE)
    assert [manifest["metadata"]["resourceVersion"] for manifest in kube.sent] == [NOT_THERE, NOT_THERE]


async def test_a_child_that_somebody_wrote_meanwhile_is_looked_at_again_before_it_is_written() -> None:
    applied = Applied()
    assert applied.seen(KEY) is None
    applied.note_seen(KEY, {}, None)
    assert applied.seen(KEY) is not None
    with pytest.raises(TryAgain):
        await carry_out(refusing("Service", HTTPStatus.CONFLICT), SERVICE, applied=applied)
    assert applied.seen(KEY) is None


async def test_a_status_that_was_decided_from_an_older_object_is_not_told_and_that_is_no_failure() -> None:
    kube = refusing("LoRAAdapter", HTTPStatus.CONFLICT)
    await carry_out(kube, STATUS)
    assert kube.kinds == []


async def test_an_event_follows_the_status_that_it_tells_of() -> None:
    kube = RecordingKube()
    await carry_out(kube, STATUS)
    assert kube.kinds == ["LoRAAdapter", "Event"]


async def test_a_status_that_cannot_be_stored_is_not_told() -> None:
    kube = refusing("LoRAAdapter")
    with pytest.raises(TryAgain, match="LoRAAdapter refused"):
        await carry_out(kube, STATUS)
    assert kube.kinds == []


async def test_nothing_is_told_of_an_object_that_is_gone_and_that_is_no_failure() -> None:
    kube = refusing("LoRAAdapter", HTTPStatus.NOT_FOUND)
    await carry_out(kube, STATUS)
    assert kube.kinds == []


async def test_no_pod_is_told_a_document_that_could_not_be_stored_and_the_rest_goes_on() -> None:
    kube = refusing("ConfigMap")
    with pytest.raises(TryAgain) as failure:
        await carry_out(
            kube, WriteDesired(DOCUMENT, "first"), PushDesired("pod-0", AWAY, DOCUMENT, "late"), SERVICE, STATUS
        )
    assert str(failure.value) == "ConfigMap refused"
    assert kube.kinds == ["Service", "LoRAAdapter", "Event"]


async def test_a_pod_that_cannot_be_told_is_named() -> None:
    with pytest.raises(TryAgain, match="pod pod-0 was not told"):
        await carry_out(RecordingKube(), PushDesired("pod-0", AWAY, DOCUMENT, "late"))


async def test_a_child_that_the_api_server_refuses_is_told_on_the_users_object() -> None:
    kube = refusing("Service", HTTPStatus.UNPROCESSABLE_ENTITY)
    with pytest.raises(TryAgain):
        await carry_out(kube, SERVICE)
    [event] = kube.sent
    assert event["reason"] == "ChildRefused"
    assert event["regarding"]["name"] == "smol"


async def test_what_is_wrong_with_a_child_is_remembered_for_the_status() -> None:
    applied = Applied()
    with pytest.raises(TryAgain):
        await carry_out(refusing("Service", HTTPStatus.UNPROCESSABLE_ENTITY), SERVICE, applied=applied)
    words = "the API server refuses Service smol: Service refused"
    assert applied.refused(KEY) == {"Service/smol": Refusal("h1", words)}


async def test_a_child_that_is_not_allowed_says_nothing_against_the_spec() -> None:
    applied = Applied()
    with pytest.raises(TryAgain):
        await carry_out(refusing("Service", HTTPStatus.FORBIDDEN), SERVICE, applied=applied)
    assert applied.refused(KEY) == {}


async def test_actions_are_counted_by_how_they_ended() -> None:
    metrics = Metrics()
    with pytest.raises(TryAgain):
        await carry_out(refusing("Service"), SERVICE, STATUS, metrics=metrics)

    assert counted(metrics) == {("ApplyChild", "failed"): 1, ("WriteAdapterStatus", "ok"): 1}


async def test_a_pod_that_was_not_told_counts_as_a_failure_and_is_not_logged_as_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics()
    with caplog.at_level(logging.INFO), pytest.raises(TryAgain):
        await carry_out(RecordingKube(), SERVICE, PushDesired("pod-0", AWAY, DOCUMENT, "late"), metrics=metrics)

    assert counted(metrics) == {("ApplyChild", "ok"): 1, ("PushDesired", "failed"): 1}
    done = [record.getMessage() for record in caplog.records if record.name == "lora_operator.reconcile.act"]
    assert done == ["ApplyChild team/smol: it does not exist"]
