import dataclasses
import math

import pytest

from lora_api.runtime_api import DesiredAdapter, Part, RevisionSpec
from lora_api.v1alpha1.adapter import AdapterSource, Precision
from lora_api.v1alpha1.blend import BlendMethod
from lora_api.v1alpha1.common import VolumeSource
from lora_runtime.plan import Discard, Flip, Local, Prepare, Recheck, Rest, Withdraw, next_step

SOURCE = AdapterSource(volume=VolumeSource(name="shared", path="a"))


def a_spec(weight: float = 1.0) -> RevisionSpec:
    part = Part(source=SOURCE, digest="sha256:" + "a" * 64, weight=weight)
    return RevisionSpec.of((part,), BlendMethod.CONCAT, Precision.AUTO)


OLD, NEW = a_spec(1.0), a_spec(0.4)


def wanted(serve: RevisionSpec | None = None, prepare: RevisionSpec | None = None, uid: str = "u1") -> DesiredAdapter:
    return DesiredAdapter(name="a", uid=uid, serve=serve, prepare=prepare)


def local(
    serving: RevisionSpec | None = None,
    prepared: tuple[RevisionSpec, ...] = (),
    failed: dict[str, float] | None = None,
    uid: str = "u1",
) -> Local:
    return Local(
        uid=uid,
        serving=serving.revision if serving else None,
        prepared=frozenset(p.revision for p in prepared),
        failed=failed or {},
    )


def test_a_new_name_is_prepared_and_then_served() -> None:
    assert next_step(wanted(serve=OLD), local(uid=""), 0) == Prepare(OLD)
    assert next_step(wanted(serve=OLD), local(uid="", prepared=(OLD,)), 0) == Flip(OLD.revision, "u1")


def test_a_prepared_update_stays_invisible_until_it_is_committed() -> None:
    assert next_step(wanted(serve=OLD, prepare=NEW), local(serving=OLD), 0) == Prepare(NEW)
    assert next_step(wanted(serve=OLD, prepare=NEW), local(serving=OLD, prepared=(NEW,)), 0) == Rest()
    assert next_step(wanted(serve=NEW), local(serving=OLD, prepared=(NEW,)), 0) == Flip(NEW.revision, "u1")


def test_the_served_revision_stays_while_the_next_one_fails() -> None:
    failed = {NEW.revision: math.inf}
    assert next_step(wanted(serve=NEW), local(serving=OLD, failed=failed), 0) == Rest()


def test_a_failure_is_tried_again_when_its_time_has_come() -> None:
    failed = {NEW.revision: 8.0}
    assert next_step(wanted(serve=NEW), local(failed=failed), 7.9) == Rest(until=8.0)
    assert next_step(wanted(serve=NEW), local(failed=failed), 8.0) == Prepare(NEW)


def test_what_should_be_served_is_prepared_before_what_should_only_be_ready() -> None:
    assert next_step(wanted(serve=OLD, prepare=NEW), local(), 0) == Prepare(OLD)


def test_a_prepared_revision_that_nobody_wants_any_more_is_discarded() -> None:
    assert next_step(wanted(serve=OLD), local(serving=OLD, prepared=(NEW,)), 0) == Discard(NEW.revision)
    assert next_step(None, local(prepared=(NEW,)), 0) == Discard(NEW.revision)


def test_room_is_made_before_the_next_revision_is_loaded() -> None:
    third = a_spec(0.7)
    goal = wanted(serve=OLD, prepare=third)
    assert next_step(goal, local(serving=OLD, prepared=(NEW,)), 0) == Discard(NEW.revision)


@pytest.mark.parametrize("goal", [None, wanted(serve=None)], ids=["let go", "declared but not ready"])
def test_a_name_that_should_not_be_served_is_withdrawn(goal: DesiredAdapter | None) -> None:
    assert next_step(goal, local(serving=OLD), 0) == Withdraw()


def test_a_re_created_object_inherits_nothing_from_the_one_before() -> None:
    assert next_step(wanted(serve=NEW, uid="u2"), local(serving=OLD), 0) == Withdraw()
    assert next_step(wanted(serve=OLD, uid="u2"), local(serving=OLD), 0) == Withdraw()


def test_there_is_nothing_to_do_when_all_is_as_wished() -> None:
    assert next_step(wanted(serve=OLD), local(serving=OLD), 0) == Rest()
    assert next_step(None, local(), 0) == Rest()


def test_what_is_in_the_engine_unchecked_is_checked_in_service_and_discarded_before() -> None:
    serving = dataclasses.replace(local(serving=OLD), unchecked={OLD.revision: 0})
    assert next_step(wanted(serve=OLD), serving, 0) == Recheck(OLD)
    prepared = dataclasses.replace(local(serving=OLD, prepared=(NEW,)), unchecked={NEW.revision: 0})
    assert next_step(wanted(serve=NEW), prepared, 0) == Discard(NEW.revision)


def test_what_could_not_be_checked_in_service_is_checked_again_when_its_time_has_come() -> None:
    serving = dataclasses.replace(local(serving=OLD), unchecked={OLD.revision: 8.0})
    assert next_step(wanted(serve=OLD), serving, 7.9) == Rest(until=8.0)
    assert next_step(wanted(serve=OLD), serving, 8.0) == Recheck(OLD)
