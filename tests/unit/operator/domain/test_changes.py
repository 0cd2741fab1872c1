"""A change is followed from its event to the status that says that every pod serves it."""

from datetime import timedelta

import pytest

from lora_api.runtime_api import RevisionState
from lora_api.v1alpha1.adapter import LoRAAdapterStatus
from lora_api.v1alpha1.common import Condition
from lora_operator.domain.actions import Plan, WriteAdapterStatus
from lora_operator.domain.changes import Change, Pass, Stage, advanced
from lora_operator.domain.memo import Memo
from lora_operator.domain.observed import ModelKey, ObservedPod
from support.builders import NAMESPACE, NOW, a_pod, a_report, a_snapshot, an_adapter, an_inventory

PREPARED, SERVING = RevisionState.PREPARED, RevisionState.SERVING
OLD, NEW = "0000000a", "0000000b"
SEEN = Change(ModelKey(NAMESPACE, "smol"), "uid-pirate", "pirate", 2, seen=NOW)


def a_pass(
    second: float, *pods: ObservedPod, wanted: str | None = NEW, generation: int = 2, ready: bool = False
) -> Pass:
    """A pass whose look ends at this second, and whose acts end half a second later."""
    looked = NOW + timedelta(seconds=second)
    said = Condition(
        type="Ready",
        status="True",
        observed_generation=generation,
        reason="Serving",
        message="",
        last_transition_time="",
    )
    written = (WriteAdapterStatus("pirate", "uid-pirate", LoRAAdapterStatus(conditions=(said,))),) if ready else ()
    adapter = an_adapter(generation=generation)
    memo = Memo(adapters={adapter.meta.uid: adapter})
    plan = Plan(written, wanted={} if wanted is None else {"uid-pirate": wanted}, memo=memo)
    snapshot = a_snapshot(adapter, pods=pods)
    return Pass(snapshot, plan, looked, looked + timedelta(seconds=0.5))


def pod(name: str, **states: RevisionState) -> ObservedPod:
    named = {"old": OLD, "new": NEW}
    return a_pod(name, inventory=an_inventory(a_report("pirate", **{f"r_{named[k]}": v for k, v in states.items()})))


def after(*passes: Pass, change: Change = SEEN) -> Change | None:
    now: Change | None = change
    for one in passes:
        assert now is not None
        now = advanced(now, one)
    return now


def seconds(change: Change | None) -> dict[Stage, float]:
    assert change is not None
    return {stage: (end - begin).total_seconds() for stage, begin, end in change.stages()}


def test_each_stage_lasts_from_one_mark_to_the_next() -> None:
    arrived = after(
        a_pass(1, pod("a", old=SERVING), pod("b", old=SERVING), wanted=None),
        a_pass(3, pod("a", old=SERVING), pod("b", old=SERVING)),
        a_pass(5, pod("a", old=SERVING, new=PREPARED), pod("b", old=SERVING)),
        a_pass(6, pod("a", old=SERVING, new=PREPARED), pod("b", old=SERVING, new=PREPARED)),
        a_pass(8, pod("a", new=SERVING), pod("b", new=PREPARED)),
        a_pass(9, pod("a", new=SERVING), pod("b", new=SERVING), ready=True),
    )

    assert seconds(arrived) == {
        Stage.WATCH: 1, Stage.FETCH: 2, Stage.DECIDE: 0.5, Stage.LOAD: 2.5, Stage.FLIP: 3, Stage.REPORT: 0.5,
    }  # fmt: skip
    assert arrived is not None
    assert arrived.reported == NOW + timedelta(seconds=9.5)


def test_a_pod_that_has_not_loaded_it_holds_the_change() -> None:
    held = after(a_pass(1, pod("a", old=SERVING)), a_pass(2, pod("a", new=SERVING), pod("b", old=SERVING)))

    assert list(seconds(held)) == [Stage.WATCH, Stage.FETCH, Stage.DECIDE]


def test_it_has_not_arrived_before_the_status_says_so() -> None:
    unsaid = after(a_pass(1, pod("a", old=SERVING)), a_pass(2, pod("a", new=SERVING)))

    assert unsaid is not None
    assert unsaid.reported is None


def test_an_edit_that_leads_to_what_is_served_already_is_no_change() -> None:
    assert after(a_pass(1, pod("a", new=SERVING))) is None


def test_without_a_pod_nothing_arrives() -> None:
    waiting = after(a_pass(1), a_pass(2, ready=True))

    assert waiting is not None
    assert waiting.reported is None


def test_another_revision_of_the_same_generation_begins_anew() -> None:
    """As when a golden answer or a member of a blend changes in the middle."""
    other = after(
        a_pass(1, pod("a", old=SERVING)), a_pass(2, pod("a", old=SERVING, new=PREPARED)),
        a_pass(3, pod("a", old=SERVING), wanted="0000000c"),
    )  # fmt: skip

    assert other is not None
    assert (other.revision, other.loaded) == ("0000000c", None)


@pytest.mark.parametrize(("generation", "kept"), [(1, True), (3, False)], ids=["older look", "newer generation"])
def test_a_newer_generation_overtakes_it_and_an_older_look_does_not(generation: int, kept: bool) -> None:
    assert (after(a_pass(1, pod("a", old=SERVING), generation=generation)) is not None) is kept


def test_a_deleted_adapter_ends_it() -> None:
    gone = Pass(a_snapshot(), Plan(()), NOW, NOW)

    assert advanced(SEEN, gone) is None
