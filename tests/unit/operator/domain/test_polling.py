"""A moved branch is noticed when the user asks, once or regularly, and what is served stays while that fails."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_api import labels
from lora_api.runtime_api import AdapterFacts, Desired, ResolveResponse, ResolveState, RevisionState
from lora_api.v1alpha1.adapter import AdapterSource
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_operator.domain import conditions, facts, plan, polling
from lora_operator.domain.acceptance import Policy
from lora_operator.domain.actions import Plan, PushDesired, ResolveSource, WriteAdapterStatus, WriteDesired
from lora_operator.domain.observed import ObservedAdapter, Resolution, Unreachable
from support.builders import (
    NOW,
    a_model,
    a_pod,
    a_refusal,
    a_report,
    a_resolution,
    a_snapshot,
    an_adapter,
    an_inventory,
    some_facts,
    unreachable,
)

EVERY = 60
DAY = timedelta(days=1)


def asking_for(seconds: int | None = EVERY, **rest: Any) -> ObservedAdapter:
    return an_adapter(source={"huggingFace": {"repo": "team/pirate"}, "pollSeconds": seconds}, **rest)


class World:
    """One adapter that one pod serves, over time. Passes carry out what they plan, but for the questions."""

    def __init__(self, adapter: ObservedAdapter) -> None:
        self.adapter = adapter
        self.since = NOW - DAY
        self.desired: Desired | None = None
        self.stored: Desired | None = None
        self.resolution: Resolution | None = a_resolution(adapter)
        self.under_way = False
        self.served: list[str] = []
        self.settle(NOW)

    def settle(self, now: datetime) -> None:
        """Until there is nothing more to write."""
        for _ in range(5):
            found = self.passes(now)
            if not written(found):
                return
        raise AssertionError(found)

    def passes(self, now: datetime) -> Plan:
        uid = self.adapter.meta.uid
        report = a_report("pirate", **{f"r_{revision}": RevisionState.SERVING for revision in self.served})
        snapshot = a_snapshot(
            self.adapter,
            model=a_model(),
            pods=(a_pod(inventory=an_inventory(report, document=self.desired)),),
            desired=self.desired,
            stored=self.stored,
            resolutions={} if self.resolution is None else {uid: self.resolution},
            asking_since=self.since,
            resolving={uid: facts.source_hash(self.adapter)} if self.under_way else {},
        )
        found = plan.make_plan(snapshot, Policy(), now)
        for action in found.actions:
            if isinstance(action, WriteAdapterStatus):
                self.adapter = replace(self.adapter, status=action.status)
            elif isinstance(action, WriteDesired):
                self.stored = action.document
            elif isinstance(action, PushDesired):
                self.desired = action.document
                specs = (action.document.adapters[0].serve, action.document.adapters[0].prepare)
                self.served = [spec.revision for spec in specs if spec is not None][-1:]
        return found

    def is_asked(self, now: datetime) -> bool:
        return any(isinstance(action, ResolveSource) for action in self.passes(now).actions)

    def answer(self, now: datetime, answer: ResolveResponse | Unreachable, retry_at: datetime | None = None) -> None:
        self.resolution = Resolution(facts.source_hash(self.adapter), answer, 1, retry_at, asked_at=now)

    def finds(self, now: datetime, found: AdapterFacts) -> None:
        self.answer(now, ResolveResponse(state=ResolveState.RESOLVED, facts=found))

    def condition(self, kind: AdapterCondition) -> tuple[str, str, str]:
        found = conditions.find(self.adapter.status.conditions, kind)
        assert found is not None
        return found.status, found.reason, found.message


def written(found: Plan) -> list[object]:
    return [action for action in found.actions if isinstance(action, WriteAdapterStatus | WriteDesired | PushDesired)]


def moment(adapter: ObservedAdapter, after: datetime) -> datetime:
    """The adapter's first moment after a time."""
    due = polling.next_due_at((adapter,), after)
    assert due is not None
    return due


REFUSED = a_refusal(an_adapter(), Reason.SOURCE_UNREACHABLE, condition=AdapterCondition.FETCHED, retry_at=NOW).answer


def test_without_poll_seconds_nothing_is_asked_however_long_it_takes() -> None:
    world = World(asking_for(None))
    found = world.passes(NOW + 365 * DAY)
    assert not world.is_asked(NOW + 365 * DAY)
    assert found.look_again_at is None


def test_the_refresh_annotation_asks_once() -> None:
    world = World(asking_for(None))
    world.adapter = replace(world.adapter, meta=replace(world.adapter.meta, annotations={labels.REFRESH: "today"}))
    assert world.is_asked(NOW)
    world.finds(NOW, some_facts())
    world.settle(NOW)
    assert not world.is_asked(NOW + DAY)


def test_a_source_is_asked_about_once_in_each_interval() -> None:
    world = World(asking_for())
    first = moment(world.adapter, NOW)
    world.finds(first - timedelta(seconds=1), some_facts())
    assert not world.is_asked(first - timedelta(seconds=1))
    assert world.passes(first - timedelta(seconds=1)).look_again_at == first
    assert world.is_asked(first)
    world.under_way = True
    assert not world.is_asked(first)
    world.under_way = False
    world.finds(first, some_facts())
    assert not world.is_asked(first + timedelta(seconds=EVERY - 1))
    assert world.is_asked(first + timedelta(seconds=EVERY))


def test_the_question_is_that_of_the_user_without_how_often_it_is_asked() -> None:
    world = World(asking_for(digest=some_facts().digest))
    (question,) = [a for a in world.passes(NOW + DAY).actions if isinstance(a, ResolveSource)]
    assert question.request.source == an_adapter().spec.source
    assert question.request.digest == some_facts().digest
    assert "whether team/pirate@main holds other files by now" in question.why


def test_how_often_is_asked_is_no_part_of_the_question() -> None:
    assert facts.source_hash(asking_for(10)) == facts.source_hash(asking_for(None)) == facts.source_hash(an_adapter())


def test_an_unchanged_answer_writes_nothing() -> None:
    world = World(asking_for())
    world.finds(NOW + DAY, some_facts())
    assert written(world.passes(NOW + DAY)) == []


def test_a_moved_branch_becomes_an_ordinary_update() -> None:
    world = World(asking_for())
    before = world.adapter.status
    world.finds(NOW + DAY, some_facts("newer"))
    world.settle(NOW + DAY)
    assert world.adapter.status.digest == some_facts("newer").digest
    assert world.adapter.status.resolved_source == some_facts("newer").source
    assert world.adapter.status.revision != before.revision
    assert [entry.revision for entry in world.adapter.status.history][1:] == [before.revision]
    assert world.condition(AdapterCondition.READY)[0] == "True"


@pytest.mark.parametrize("reason", [Reason.SOURCE_UNREACHABLE, Reason.DIGEST_MISMATCH, Reason.SHAPE_MISMATCH])
def test_a_look_that_fails_leaves_the_adapter_ready_and_says_so_once(reason: Reason) -> None:
    world = World(asking_for())
    before = (world.desired, world.adapter.status.digest, world.adapter.status.revision)
    world.answer(NOW + DAY, a_refusal(world.adapter, reason).answer)
    assert len(written(world.passes(NOW + DAY))) == 1
    assert world.condition(AdapterCondition.READY)[0] == "True"
    status, is_, message = world.condition(AdapterCondition.FETCHED)
    assert (status, is_) == ("True", Reason.RESOLVED)
    assert f"the last look for newer ones failed: {reason}: it does not fit" in message
    assert (world.desired, world.adapter.status.digest, world.adapter.status.revision) == before

    world.answer(NOW + 2 * DAY, a_refusal(world.adapter, reason).answer)
    assert written(world.passes(NOW + 2 * DAY)) == []

    world.finds(NOW + 3 * DAY, some_facts())
    world.settle(NOW + 3 * DAY)
    assert "failed" not in world.condition(AdapterCondition.FETCHED)[2]


def test_a_failed_look_is_repeated_at_the_next_moment_and_no_sooner() -> None:
    world = World(asking_for())
    first = moment(world.adapter, NOW)
    world.answer(first, REFUSED, retry_at=first + timedelta(seconds=2))
    assert not world.is_asked(first + timedelta(seconds=30))
    assert world.is_asked(first + timedelta(seconds=EVERY))


def test_a_pod_that_does_not_answer_is_no_answer_and_changes_nothing() -> None:
    world = World(asking_for())
    later = NOW + DAY
    world.answer(later, unreachable(), retry_at=later + timedelta(seconds=1))
    assert written(world.passes(later)) == []
    assert not world.is_asked(later)
    assert world.is_asked(later + timedelta(seconds=1))


def test_while_it_is_asked_everything_stays() -> None:
    world = World(asking_for())
    world.under_way = True
    world.answer(NOW + DAY, ResolveResponse(state=ResolveState.FETCHING, bytes_done=1, bytes_total=2))
    assert written(world.passes(NOW + DAY)) == []


def test_a_restarted_operator_keeps_to_the_moments_and_asks_nothing_at_its_start() -> None:
    world = World(asking_for())
    start = moment(world.adapter, NOW) + timedelta(seconds=7)
    world.resolution, world.since = None, start
    assert not world.is_asked(start)
    assert world.passes(start).look_again_at == start + timedelta(seconds=EVERY - 7)
    assert world.is_asked(start + timedelta(seconds=EVERY - 7))


def test_a_find_that_is_not_stored_yet_is_not_lost_to_the_next_look() -> None:
    world = World(asking_for())
    old = world.adapter
    world.finds(NOW + DAY, some_facts("newer"))
    world.passes(NOW + DAY)
    world.adapter = old  # the status was not written
    assert not world.is_asked(NOW + 2 * DAY)


def test_a_place_whose_name_is_too_long_for_its_column_is_looked_at_again_too() -> None:
    place: dict[str, Any] = {"http": {"url": "https://example.com/" + "x" * 1100}}
    world = World(an_adapter(source={**place, "pollSeconds": EVERY}))
    world.finds(NOW, some_facts().model_copy(update={"source": AdapterSource.model_validate(place)}))
    world.settle(NOW)
    assert world.is_asked(NOW + DAY)


@given(st.integers(10, 31_536_000), st.text(min_size=1), st.floats(0, 4e9))
def test_the_next_moment_is_later_and_within_one_interval(seconds: int, uid: str, when: float) -> None:
    now = datetime.fromtimestamp(when, UTC)
    due = moment(asking_for(seconds, uid=uid), now)
    assert now < due <= now + timedelta(seconds=seconds)
    assert moment(asking_for(seconds, uid=uid), due) == due + timedelta(seconds=seconds)


def test_adapters_are_not_asked_about_all_at_once() -> None:
    assert len({moment(asking_for(uid=f"uid-{n}"), NOW) for n in range(50)}) > 20
