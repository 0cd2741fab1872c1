"""When the next pass over a model is due although nothing rings."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from lora_api.v1alpha1.engine import AcceleratorType
from lora_operator.clients.certificates import Authority
from lora_operator.clients.metrics import Metrics
from lora_operator.domain import acceptance, render
from lora_operator.domain.actions import IssueCertificate, Plan
from lora_operator.domain.observed import ModelKey, ObjectMeta, Snapshot
from lora_operator.reconcile.certificates import Certificates
from lora_operator.reconcile.changes import Changes
from lora_operator.reconcile.model_pass import ModelPass
from support.builders import a_snapshot

ISSUED = datetime(2026, 1, 1, tzinfo=UTC)
LIFETIME = timedelta(days=30)
RENEWAL = ISSUED + timedelta(days=20)
"""After two thirds of its life."""
SECOND = timedelta(seconds=1)
CHECK = timedelta(minutes=5)
MODEL = a_snapshot()
CONFIG = render.RenderConfig(
    images=dict.fromkeys(AcceleratorType, "registry.example/lora-runtime:1"),
    image_pull_policy="Never",
    operator_namespace="lora-system",
    operator_pod_labels={},
)


@dataclass
class SetClock:
    """A clock that is as it was set."""

    time: datetime

    def now(self) -> datetime:
        return self.time

    def steady(self) -> datetime:
        return self.time


@dataclass
class Hands:
    """Carry out nothing, which takes a while."""

    clock: SetClock
    takes: timedelta
    told: Plan | None = None

    async def __call__(self, key: ModelKey, model: ObjectMeta | None, plan: Plan) -> None:
        self.told = plan
        self.clock.time += self.takes


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.make(ISSUED)


async def a_pass(
    authority: Authority, begins: datetime, takes: timedelta, snapshot: Snapshot = MODEL
) -> tuple[float | None, bool]:
    """In how many seconds the next one is due, and whether this one renews the certificate that was issued."""
    assert MODEL.model is not None

    async def see(key: ModelKey) -> Snapshot:
        return snapshot

    clock = SetClock(begins)
    certificates = Certificates(authority, LIFETIME, CHECK)
    leaf = certificates.leaf(MODEL.key, MODEL.model.meta.uid, ISSUED)
    certificates.note_written(MODEL.key, MODEL.model.meta, leaf, begins)
    hands = Hands(clock, takes)
    one_pass = ModelPass(
        look=see,
        act=hands,
        certificates=certificates,
        changes=Changes(clock, []),
        clock=clock,
        metrics=Metrics(),
        policy=acceptance.Policy(),
        config=CONFIG,
    )
    due_in = await one_pass(MODEL.key)
    assert hands.told is not None
    return due_in, any(isinstance(action, IssueCertificate) for action in hands.told.actions)


async def test_a_pass_is_due_when_the_certificate_of_the_pods_is(authority: Authority) -> None:
    assert await a_pass(authority, RENEWAL - 3 * SECOND, takes=SECOND) == (2.0, False)


async def test_one_is_due_when_the_secret_that_holds_it_is_made_sure_of(authority: Authority) -> None:
    assert await a_pass(authority, ISSUED, takes=SECOND) == (CHECK.total_seconds() - 1, False)


async def test_one_is_due_at_once_if_the_certificate_became_due_while_a_pass_was_under_way(
    authority: Authority,
) -> None:
    assert await a_pass(authority, RENEWAL - SECOND, takes=2 * SECOND) == (0.0, False)


async def test_a_certificate_that_nobody_may_write_makes_no_pass_follow_another(authority: Authority) -> None:
    taken = replace(MODEL, conflicting={"Service/smol": "nobody"})
    due_in, renews = await a_pass(authority, RENEWAL + SECOND, takes=SECOND, snapshot=taken)
    assert not renews
    assert due_in is not None
    assert due_in > 1
