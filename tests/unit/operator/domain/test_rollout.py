from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_api.recipes import revisions
from lora_api.recipes.outcome import Blocked, Outcome, Rejected, Wanted
from lora_api.runtime_api import Desired, DesiredAdapter, Inventory, RevisionSpec, RevisionState
from lora_api.v1alpha1.adapter import Verify
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_operator.domain import rollout
from lora_operator.domain.observed import ObservedAdapter, ObservedPod
from lora_operator.domain.replicas import serving_replicas
from support.builders import a_pod, a_report, an_adapter, an_inventory, some_facts, unreachable

BLOCKED = Blocked(AdapterCondition.COMPATIBLE, Reason.SHAPE_MISMATCH, "it does not fit")
REJECTED = Rejected(Reason.VOLUME_NOT_MOUNTED, "add it")
PREPARED, SERVING, LOADING = RevisionState.PREPARED, RevisionState.SERVING, RevisionState.LOADING
FAILED, DRAINING = RevisionState.FAILED, RevisionState.DRAINING


def a_wish(weight: float, adapter: ObservedAdapter | None = None) -> Wanted:
    """The revision of the adapter's files at a weight."""
    adapter = adapter or an_adapter()
    wish = an_adapter(adapter.meta.name, weight=weight)
    outcome = revisions.outcomes((wish,), {}, {wish.meta.uid: some_facts(adapter.meta.name)}, 64)[wish.meta.uid]
    assert isinstance(outcome, Wanted)
    return outcome


OLD, NEW = a_wish(1.0), a_wish(0.4)


def a_document(
    *, serve: Wanted | None = None, prepare: Wanted | None = None, uid: str = "uid-pirate", sequence: int = 7
) -> Desired:
    entry = DesiredAdapter(name="pirate", uid=uid, serve=serve and serve.spec, prepare=prepare and prepare.spec)
    return Desired(sequence=sequence, adapters=(entry,))


def a_pod_with(name: str, document: Desired, **states: RevisionState) -> ObservedPod:
    """A serving pod that has `old` and `new` in these states."""
    named = {"old": OLD.spec.revision, "new": NEW.spec.revision}
    report = a_report("pirate", **{f"r_{named[key]}": state for key, state in states.items()})
    return a_pod(name, inventory=an_inventory(report, document=document))


def after(
    previous: Desired | None,
    outcome: Outcome,
    pods: Iterable[ObservedPod] = (),
    adapter: ObservedAdapter | None = None,
) -> Desired:
    adapter = adapter or an_adapter()
    return document_of(previous, (adapter,), {adapter.meta.uid: outcome}, tuple(pods))


def document_of(
    previous: Desired | None,
    adapters: tuple[ObservedAdapter, ...],
    outcomes: dict[str, Outcome],
    pods: tuple[ObservedPod, ...] = (),
) -> Desired:
    entries = rollout.entries(previous, adapters, outcomes, serving_replicas(pods))
    return rollout.next_desired(previous, entries.values(), pods)


def entry_of(document: Desired) -> tuple[RevisionSpec | None, RevisionSpec | None]:
    (entry,) = document.adapters
    return entry.serve, entry.prepare


def test_a_first_revision_is_served_at_once() -> None:
    assert entry_of(after(None, NEW, [a_pod()])) == (NEW.spec, None)


def test_a_declared_name_without_a_revision_is_in_the_document_with_its_uid() -> None:
    document = after(None, BLOCKED)

    assert document.adapters == (DesiredAdapter(name="pirate", uid="uid-pirate"),)


def test_the_loser_of_a_name_conflict_is_not_in_the_document() -> None:
    assert after(None, Rejected(Reason.NAME_CONFLICT, "older wins")).adapters == ()


def test_a_name_that_is_no_longer_declared_leaves_the_document() -> None:
    document = document_of(a_document(serve=OLD), (), {})

    assert document.adapters == ()
    assert document.sequence == 8


@pytest.mark.parametrize("bad", [BLOCKED, REJECTED])
def test_a_bad_wish_leaves_the_served_revision_alone(bad: Outcome) -> None:
    previous = a_document(serve=OLD)

    assert after(previous, bad, [a_pod_with("a", previous, old=SERVING)]) is previous


def test_a_bad_wish_ends_the_preparation_of_the_one_before() -> None:
    previous = a_document(serve=OLD, prepare=NEW)

    assert entry_of(after(previous, BLOCKED)) == (OLD.spec, None)


def test_an_object_that_was_created_anew_inherits_nothing() -> None:
    previous = a_document(serve=OLD, uid="uid-of-the-deleted-one")

    assert entry_of(after(previous, BLOCKED)) == (None, None)
    assert entry_of(after(previous, NEW, [a_pod()])) == (NEW.spec, None)


def test_an_update_is_prepared_first_and_the_old_revision_serves_on() -> None:
    previous = a_document(serve=OLD)

    document = after(previous, NEW, [a_pod_with("a", previous, old=SERVING)])

    assert entry_of(document) == (OLD.spec, NEW.spec)
    assert document.sequence == 8


@pytest.mark.parametrize("state", [LOADING, FAILED, DRAINING, None])
def test_an_update_waits_while_one_serving_pod_has_not_prepared_it(state: RevisionState | None) -> None:
    previous = a_document(serve=OLD, prepare=NEW)
    late = {} if state is None else {"new": state}
    pods = [a_pod_with("a", previous, old=SERVING, new=PREPARED), a_pod_with("b", previous, old=SERVING, **late)]

    assert after(previous, NEW, pods) is previous


def test_an_update_waits_for_a_serving_pod_that_does_not_answer() -> None:
    previous = a_document(serve=OLD, prepare=NEW)
    pods = [a_pod_with("a", previous, new=PREPARED), a_pod("b", inventory=unreachable())]

    assert after(previous, NEW, pods) is previous


def test_an_update_does_not_wait_for_pods_that_no_request_can_reach() -> None:
    previous = a_document(serve=OLD, prepare=NEW)
    pods = [
        a_pod_with("a", previous, old=SERVING, new=PREPARED),
        a_pod("starting", ready=False, inventory=unreachable()),
        a_pod("leaving", terminating=True),
    ]

    assert entry_of(after(previous, NEW, pods)) == (NEW.spec, None)


def test_an_update_is_committed_when_every_serving_pod_has_prepared_it() -> None:
    previous = a_document(serve=OLD, prepare=NEW)
    pods = [a_pod_with("a", previous, new=PREPARED), a_pod_with("b", previous, old=DRAINING, new=SERVING)]

    document = after(previous, NEW, pods)

    assert entry_of(document) == (NEW.spec, None)
    assert document.sequence == 8


def test_a_report_of_a_revision_that_no_pod_was_asked_to_prepare_does_not_commit_it() -> None:
    previous = a_document(serve=OLD)

    document = after(previous, NEW, [a_pod_with("a", previous, old=SERVING, new=PREPARED)])

    assert entry_of(document) == (OLD.spec, NEW.spec)


def test_a_report_about_an_earlier_document_does_not_commit_a_revision_that_is_wanted_once_more() -> None:
    """Wanted, given up for another, wanted again: the pod has discarded it, and its news are late."""
    first = a_document(serve=OLD, prepare=NEW, sequence=7)
    previous = a_document(serve=OLD, prepare=NEW, sequence=9)
    heard = a_pod_with("a", previous, old=SERVING, new=PREPARED)
    missed_the_push = a_pod_with("b", first, old=SERVING, new=PREPARED)

    assert after(previous, NEW, [heard, missed_the_push]) is previous
    heard_too = a_pod_with("b", previous, old=SERVING, new=PREPARED)
    assert entry_of(after(previous, NEW, [heard, heard_too])) == (NEW.spec, None)


def test_without_serving_pods_the_old_revision_is_kept_until_a_pod_has_the_new_one() -> None:
    previous = a_document(serve=OLD)

    waiting = after(previous, NEW, [a_pod(ready=False)])
    assert entry_of(waiting) == (OLD.spec, NEW.spec)
    assert after(waiting, NEW, []) is waiting, "nobody says that it can be loaded"

    assert entry_of(after(waiting, NEW, [a_pod_with("a", waiting, old=SERVING, new=PREPARED)])) == (NEW.spec, None)


ROLLING = an_adapter(update={"strategy": "Rolling"})


def test_rolling_keeps_the_old_revision_the_one_to_begin_with_until_the_first_pod_has_the_new_one() -> None:
    previous = a_document(serve=OLD)
    waiting = after(previous, NEW, [a_pod_with("a", previous, old=SERVING)], ROLLING)
    assert entry_of(waiting) == (OLD.spec, NEW.spec)

    loading = [a_pod_with(name, waiting, old=SERVING, new=LOADING) for name in ("a", "b")]
    assert after(waiting, NEW, loading, ROLLING) is waiting

    one = [a_pod_with("a", waiting, old=SERVING, new=PREPARED), loading[1]]
    assert entry_of(after(waiting, NEW, one, ROLLING)) == (NEW.spec, None)


@pytest.mark.parametrize("last", [
    a_pod_with("b", a_document(serve=OLD, prepare=NEW), old=SERVING, new=FAILED),
    a_pod_with("b", a_document(serve=OLD), old=SERVING),
    a_pod("b", inventory=unreachable()),
])  # fmt: skip
def test_rolling_waits_for_no_pod_that_is_late(last: ObservedPod) -> None:
    previous = a_document(serve=OLD, prepare=NEW)
    pods = [a_pod_with("a", previous, old=SERVING, new=PREPARED), last]
    assert entry_of(after(previous, NEW, pods, ROLLING)) == (NEW.spec, None)


def test_rolling_never_displaces_a_good_revision_by_one_that_no_pod_can_load() -> None:
    previous = a_document(serve=OLD, prepare=NEW)
    pods = [a_pod_with(name, previous, old=SERVING, new=FAILED) for name in ("a", "b")]
    assert after(previous, NEW, pods, ROLLING) is previous


def test_rolling_believes_no_report_about_an_earlier_document() -> None:
    previous = a_document(serve=OLD, prepare=NEW, sequence=9)
    late = a_pod_with("a", a_document(serve=OLD, prepare=NEW, sequence=7), old=SERVING, new=PREPARED)
    assert after(previous, NEW, [late], ROLLING) is previous


def test_a_wish_taken_back_ends_its_preparation() -> None:
    previous = a_document(serve=OLD, prepare=NEW)

    assert entry_of(after(previous, OLD, [a_pod_with("a", previous, old=SERVING, new=LOADING)])) == (OLD.spec, None)


def test_nothing_new_is_the_same_document() -> None:
    previous = a_document(serve=OLD)

    assert after(previous, OLD, [a_pod_with("a", previous, old=SERVING)]) is previous


def test_adapters_are_sorted_by_served_name() -> None:
    adapters = (an_adapter("b"), an_adapter("c", servedName="a"))
    document = document_of(None, adapters, {"uid-b": BLOCKED, "uid-c": BLOCKED})

    assert [entry.name for entry in document.adapters] == ["a", "b"]


def test_a_lost_document_is_made_again_above_what_the_pods_know() -> None:
    known = a_document(serve=OLD, sequence=41)

    document = after(None, OLD, [a_pod_with("a", known, old=SERVING)])

    assert entry_of(document) == (OLD.spec, None)
    assert document.sequence == 42


def test_a_document_from_a_backup_is_raised_above_what_the_pods_know() -> None:
    stored, known = a_document(serve=OLD, sequence=7), a_document(serve=OLD, sequence=41)

    document = after(stored, OLD, [a_pod_with("a", known, old=SERVING)])

    assert document.adapters == stored.adapters
    assert document.sequence == 42


def test_an_old_document_that_was_put_back_takes_no_pod_back_from_what_is_wanted() -> None:
    put_back, known = a_document(serve=OLD, sequence=7), a_document(serve=NEW, sequence=41)
    flipped, late = a_pod_with("a", known, new=SERVING), a_pod_with("b", known, old=SERVING, new=PREPARED)

    assert entry_of(after(put_back, NEW, [flipped, a_pod_with("b", known, new=SERVING)])) == (NEW.spec, None)
    assert entry_of(after(put_back, NEW, [flipped, late])) == (OLD.spec, NEW.spec), "nobody knows that all have it"


def test_what_pods_served_before_they_heard_of_the_document_does_not_commit_it() -> None:
    heard_of, previous = a_document(serve=NEW, sequence=7), a_document(serve=OLD, sequence=8)
    pods = [a_pod_with("a", heard_of, new=SERVING)]

    assert entry_of(after(previous, NEW, pods)) == (OLD.spec, NEW.spec)


def test_two_documents_with_one_sequence_are_told_apart() -> None:
    stored, known = a_document(serve=OLD), a_document(serve=NEW)

    assert after(stored, OLD, [a_pod_with("a", known, new=SERVING)]).sequence == 8


def test_the_first_document_is_made_even_when_it_is_empty() -> None:
    assert document_of(None, (), {}) == Desired(sequence=1)


@pytest.mark.parametrize(
    ("previous", "outcome", "words"),
    [
        (None, NEW, "there is no desired document"),
        (a_document(), NEW, f"pirate: serve {NEW.spec.revision}"),
        (a_document(serve=OLD), NEW, f"pirate: prepare {NEW.spec.revision}"),
    ],
)
def test_a_change_says_what_it_changes(previous: Desired | None, outcome: Outcome, words: str) -> None:
    document = after(previous, outcome, [] if previous is None else [a_pod_with("a", previous)])

    assert rollout.changes(previous, document) == words


def test_of_many_changes_the_first_are_said_and_the_others_counted() -> None:
    document = Desired(sequence=1, adapters=tuple(DesiredAdapter(name=f"a{number}") for number in range(10, 60)))

    words = rollout.changes(Desired(), document)

    assert words.startswith("a10: declared; ")
    assert words.endswith("; and 40 more")


WISHES = [a_wish(weight) for weight in (1.0, 0.4, 0.1)]
STATES = st.sampled_from([*RevisionState, None])


@st.composite
def documents(draw: st.DrawFn) -> Desired:
    wish = st.sampled_from([None, *WISHES])
    return a_document(serve=draw(wish), prepare=draw(wish), uid=draw(st.sampled_from(["uid-pirate", "uid-other"])))


@st.composite
def documents_and_pods(draw: st.DrawFn) -> tuple[Desired, tuple[ObservedPod, ...]]:
    """Up to three pods in any state, that work on the document or not, and say anything about any of the wishes."""
    document = draw(documents())
    pods = []
    for number in range(draw(st.integers(0, 3))):
        states = {f"r_{wish.spec.revision}": draw(STATES) for wish in WISHES}
        report = a_report("pirate", **{name: state for name, state in states.items() if state is not None})
        answers = draw(st.booleans())
        known = draw(st.sampled_from([document, document.model_copy(update={"sequence": 3}), None]))
        pods.append(
            a_pod(
                f"pod-{number}",
                ready=draw(st.booleans()),
                terminating=draw(st.booleans()),
                inventory=an_inventory(report, document=known) if answers else unreachable(),
            )
        )
    return document, tuple(pods)


@settings(deadline=None)
@given(documents_and_pods(), st.sampled_from(WISHES))
def test_no_revision_replaces_another_before_every_serving_pod_has_it(
    seen: tuple[Desired, tuple[ObservedPod, ...]], wish: Wanted
) -> None:
    previous, pods = seen
    before, _ = entry_of(previous)
    after_, _ = entry_of(after(previous, wish, pods))

    if before is not None and previous.adapters[0].uid == "uid-pirate" and after_ != before:
        for pod in (pod for pod in pods if pod.serves):
            assert isinstance(pod.inventory, Inventory)
            assert pod.inventory.desired_etag == previous.etag
            report = pod.inventory.adapters[0].report(wish.spec.revision)
            assert report is not None
            assert report.state in {PREPARED, SERVING}


@settings(deadline=None)
@given(documents_and_pods(), st.sampled_from([BLOCKED, REJECTED]))
def test_a_bad_wish_never_changes_what_is_served(seen: tuple[Desired, tuple[ObservedPod, ...]], bad: Outcome) -> None:
    previous, pods = seen
    before, _ = entry_of(previous)
    kept, preparing = entry_of(after(previous, bad, pods))

    assert kept == (before if previous.adapters[0].uid == "uid-pirate" else None)
    assert preparing is None


@settings(deadline=None)
@given(documents_and_pods(), st.sampled_from([*WISHES, BLOCKED]))
def test_deciding_twice_on_the_same_look_decides_the_same(
    seen: tuple[Desired, tuple[ObservedPod, ...]], outcome: Outcome
) -> None:
    previous, pods = seen
    decided = after(previous, outcome, pods)

    assert decided is previous or decided.sequence > previous.sequence
    # a commit follows the request to prepare; nothing else moves without news
    again = after(decided, outcome, pods)
    assert again is decided or entry_of(again) == (entry_of(decided)[1], None)


def test_an_update_that_was_prepared_for_another_golden_output_is_prepared_again() -> None:
    wanted = replace(NEW, spec=NEW.spec.model_copy(update={"verify": Verify(prompt="Hello", contains="Ahoy")}))
    before = a_document(serve=OLD, prepare=NEW)
    pod = a_pod_with("a", before, old=SERVING, new=PREPARED)
    assert entry_of(after(before, wanted, [pod])) == (OLD.spec, wanted.spec)
