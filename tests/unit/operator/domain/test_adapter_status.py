from datetime import timedelta

import pytest

from lora_api.recipes import revisions
from lora_api.recipes.outcome import Blocked, Outcome, Rejected, Wanted
from lora_api.runtime_api import (
    AdapterFacts,
    AdapterReport,
    DesiredAdapter,
    RevisionReport,
    RevisionState,
)
from lora_api.v1alpha1.adapter import HistoryEntry, LoRAAdapterStatus
from lora_api.v1alpha1.common import Condition
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_operator.domain import adapter_status, conditions, facts
from lora_operator.domain.adapter_status import Fleet
from lora_operator.domain.observed import ObservedAdapter, ObservedPod
from lora_operator.domain.replicas import serving_replicas
from support.builders import NOW, a_blend, a_digest, a_pod, a_report, an_adapter, an_inventory, some_facts, unreachable

PREPARED, SERVING, LOADING = RevisionState.PREPARED, RevisionState.SERVING, RevisionState.LOADING
FETCHING = Blocked(AdapterCondition.FETCHED, Reason.FETCHING, "a pod is fetching the files", waiting=True)
NOT_FOUND = Blocked(AdapterCondition.FETCHED, Reason.SOURCE_NOT_FOUND, "no such repository")
MISFIT = Blocked(AdapterCondition.COMPATIBLE, Reason.SHAPE_MISMATCH, "it does not fit")
REJECTED = Rejected(Reason.VOLUME_NOT_MOUNTED, "add it")


def a_wish(weight: float) -> Wanted:
    wish = an_adapter(weight=weight)
    outcome = revisions.outcomes((wish,), {}, {wish.meta.uid: some_facts()}, 64)[wish.meta.uid]
    assert isinstance(outcome, Wanted)
    return outcome


OLD, NEW = a_wish(1.0), a_wish(0.4)
SERVE_NEW = DesiredAdapter(name="pirate", uid="uid-pirate", serve=NEW.spec)
PREPARE_NEW = DesiredAdapter(name="pirate", uid="uid-pirate", serve=OLD.spec, prepare=NEW.spec)
SERVE_OLD = DesiredAdapter(name="pirate", uid="uid-pirate", serve=OLD.spec)


def a_pod_with(name: str, *, ready: bool = True, **states: RevisionState) -> ObservedPod:
    """A pod that has `old` and `new` in these states."""
    named = {"old": OLD.spec.revision, "new": NEW.spec.revision}
    report = a_report("pirate", **{f"r_{named[key]}": state for key, state in states.items()})
    return a_pod(name, ready=ready, inventory=an_inventory(report))


def a_failing_pod(name: str, message: str = "it does not fit") -> ObservedPod:
    failed = RevisionReport(
        revision=NEW.spec.revision, state=RevisionState.FAILED, reason=Reason.SHAPE_MISMATCH, message=message
    )
    return a_pod(name, inventory=an_inventory(AdapterReport(name="pirate", revisions=(failed,))))


def status_of(
    outcome: Outcome,
    *pods: ObservedPod,
    entry: DesiredAdapter | None = SERVE_NEW,
    adapter: ObservedAdapter | None = None,
    known: AdapterFacts | Blocked | None = None,
    replicas: int = 2,
    seconds: int = 0,
) -> LoRAAdapterStatus:
    """The status some seconds after NOW."""
    fleet = Fleet(serving_replicas(pods), replicas)
    known = some_facts() if known is None and isinstance(outcome, Wanted) else known
    now = NOW + timedelta(seconds=seconds)
    return adapter_status.status_of(adapter or an_adapter(), outcome, known, entry, fleet, now)


def condition(status: LoRAAdapterStatus, kind: AdapterCondition) -> Condition:
    found = conditions.find(status.conditions, kind)
    assert found is not None
    return found


def ready(status: LoRAAdapterStatus) -> Condition:
    return condition(status, AdapterCondition.READY)


def in_words(status: LoRAAdapterStatus) -> dict[str, str]:
    return {c.type: f"{c.status} {c.reason}" for c in status.conditions}


def test_an_adapter_that_every_pod_serves_is_ready() -> None:
    status = status_of(NEW, a_pod_with("a", new=SERVING), a_pod_with("b", new=SERVING))

    assert in_words(status) == {
        "Accepted": "True Accepted",
        "Fetched": "True Resolved",
        "Compatible": "True Validated",
        "Available": "True Serving",
        "Ready": "True Serving",
    }
    assert ready(status).message == f"revision {NEW.spec.revision} is served by 2/2 pods"
    assert status.summary.loaded == "2/2"
    assert (status.pods.desired, status.pods.updated, status.pods.available) == (2, 2, 2)
    assert status.failures == ()


@pytest.mark.parametrize("outcome", [NOT_FOUND, MISFIT, REJECTED])
def test_of_a_wish_that_cannot_be_had_it_is_told_how_many_pods_serve_the_revision_that_stays(outcome: Outcome) -> None:
    status = status_of(outcome, a_pod_with("a", old=SERVING), a_pod_with("b"), entry=SERVE_OLD)
    assert (status.revision, status.summary.loaded, status.pods.updated) == (OLD.spec.revision, "1/2", 0)
    assert status_of(outcome, a_pod_with("a"), entry=None).summary.loaded == "0/2"


def test_every_condition_tells_the_generation_it_was_decided_for() -> None:
    status = status_of(NEW, adapter=an_adapter(generation=7))

    assert {c.observed_generation for c in status.conditions} == {7}
    assert status.observed_generation == 7


def test_the_facts_of_the_source_are_remembered() -> None:
    status = status_of(NEW)

    assert status.digest == a_digest("pirate")
    assert status.resolved_source == some_facts().source
    assert status.source_hash == facts.source_hash(an_adapter())
    assert (status.rank, status.size_bytes) == (8, 1000)
    assert status.summary.resolved == some_facts().source.describe()


def test_a_remembered_source_is_known_again() -> None:
    adapter = an_adapter(status=status_of(NEW))

    assert adapter_status.status_of(adapter, NEW, some_facts(), SERVE_NEW, Fleet((), 2), NOW) == adapter.status


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (REJECTED, ["False VolumeNotMounted", "Unknown Pending", "Unknown Pending"]),
        (FETCHING, ["True Accepted", "Unknown Fetching", "Unknown Pending"]),
        (NOT_FOUND, ["True Accepted", "False SourceNotFound", "Unknown Pending"]),
        (MISFIT, ["True Accepted", "True Resolved", "False ShapeMismatch"]),
    ],
)
def test_steps_after_the_first_that_fails_are_unknown_and_ready_repeats_it(
    outcome: Rejected | Blocked, expected: list[str]
) -> None:
    status = status_of(outcome)

    assert list(in_words(status).values())[:3] == expected
    assert (ready(status).status, ready(status).reason) == ("False", outcome.reason)
    assert ready(status).message == outcome.message


def test_a_bad_update_leaves_the_old_revision_available_and_its_facts_in_the_status() -> None:
    served = an_adapter(status=status_of(OLD, entry=SERVE_OLD))
    edited = an_adapter(source={"huggingFace": {"repo": "team/broken"}}, generation=2, status=served.status)

    pods = (a_pod_with("a", old=SERVING), a_pod_with("b", old=SERVING))
    status = status_of(MISFIT, *pods, entry=SERVE_OLD, adapter=edited, known=MISFIT)

    assert in_words(status)["Available"] == "True Serving"
    assert in_words(status)["Ready"] == "False ShapeMismatch"
    assert status.revision == OLD.spec.revision
    assert (status.digest, status.source_hash) == (served.status.digest, facts.source_hash(served))
    assert (status.pods.updated, status.pods.available) == (0, 2)


def test_the_revision_is_the_one_that_clients_get() -> None:
    assert status_of(NEW, entry=PREPARE_NEW).revision == OLD.spec.revision
    assert status_of(FETCHING, entry=DesiredAdapter(name="pirate", uid="uid-pirate")).revision is None


def test_a_name_whose_earlier_owner_is_still_served_does_not_make_the_new_object_available() -> None:
    status = status_of(NEW, a_pod_with("a", old=SERVING))

    assert in_words(status)["Available"] == "False Loading"


def test_the_very_revision_of_a_name_s_earlier_owner_does_not_make_the_new_object_ready() -> None:
    """A pod takes it out of service first: who was told Ready would be refused in between."""
    report = a_report("pirate", **{f"r_{NEW.spec.revision}": SERVING})
    earlier, own = (report.model_copy(update={"uid": uid}) for uid in ("uid-earlier", "uid-pirate"))

    status = status_of(NEW, a_pod("a", inventory=an_inventory(earlier)), a_pod("b", inventory=an_inventory(own)))

    assert in_words(status)["Ready"] == "False Loading"
    assert (status.pods.updated, status.pods.available) == (1, 1)


def test_the_loser_of_a_name_conflict_is_not_available_although_the_name_is_served() -> None:
    status = status_of(Rejected(Reason.NAME_CONFLICT, "older wins"), a_pod_with("a", old=SERVING), entry=None)

    assert in_words(status)["Available"] == "False NameConflict"
    assert status.revision is None


def test_an_update_in_preparation_is_loading_and_names_who_is_late() -> None:
    served = an_adapter(status=status_of(OLD, entry=SERVE_OLD))
    pods = (a_pod_with("a", old=SERVING, new=PREPARED), a_pod_with("b", old=SERVING, new=LOADING))

    status = status_of(NEW, *pods, entry=PREPARE_NEW, adapter=served)

    assert in_words(status)["Available"] == "True Serving"
    assert ready(status).reason == Reason.LOADING
    assert ready(status).message == (
        f"0 of 2 pods serve revision {NEW.spec.revision}; an earlier revision is served meanwhile; pod b has it Loading"
    )
    assert status.failures == ()


def test_an_update_that_waits_longer_than_its_author_allowed_is_held_and_the_late_pod_named() -> None:
    adapter = an_adapter(update={"timeoutSeconds": 30})
    pods = (a_pod_with("a", old=SERVING, new=PREPARED), a_pod_with("b", old=SERVING, new=LOADING))
    begun = an_adapter(update={"timeoutSeconds": 30}, status=status_of(NEW, *pods, entry=PREPARE_NEW, adapter=adapter))

    early = status_of(NEW, *pods, entry=PREPARE_NEW, adapter=begun, seconds=29)
    late = status_of(NEW, *pods, entry=PREPARE_NEW, adapter=begun, seconds=30)

    assert ready(early).reason == Reason.LOADING
    assert ready(late).reason == Reason.UPDATE_HELD
    assert "held back after 30 s" in ready(late).message
    assert "pod b has it Loading" in ready(late).message
    assert [(failure.pod, failure.reason) for failure in late.failures] == [("b", "UpdateHeld")]
    assert adapter_status.held_at(begun, PREPARE_NEW, early.history) == NOW + timedelta(seconds=30)


def test_a_failing_pod_comes_before_an_unreachable_one_in_ready() -> None:
    status = status_of(NEW, a_failing_pod("b"), a_pod("a", inventory=unreachable()))

    assert ready(status).reason == Reason.LOAD_FAILED
    assert ready(status).message == "pod b cannot load it: ShapeMismatch: it does not fit"
    assert [(failure.pod, failure.reason) for failure in status.failures] == [
        ("a", "PodUnreachable"),
        ("b", "ShapeMismatch"),
    ]


def test_a_pod_that_does_not_understand_its_document_holds_back_what_is_new_in_its_own_words() -> None:
    served = an_adapter(status=status_of(OLD, entry=SERVE_OLD))
    pod = a_pod("a", inventory=a_pod_with("a", old=SERVING).inventory, refusal="422: SVD is unknown")

    late = status_of(NEW, pod, entry=PREPARE_NEW, adapter=served)

    assert in_words(late)["Available"] == "True Serving"
    assert (ready(late).reason, ready(status_of(OLD, pod, entry=SERVE_OLD, replicas=1)).status) == (
        Reason.LOADING,
        "True",
    )
    assert "pod a does not understand what it is told: 422: SVD is unknown" in ready(late).message


def test_a_pod_that_does_not_answer_is_not_counted_as_serving() -> None:
    status = status_of(NEW, a_pod_with("a", new=SERVING), a_pod("b", inventory=unreachable("timed out")))

    assert ready(status).reason == Reason.POD_UNREACHABLE
    assert "pod b does not answer: timed out" in ready(status).message
    assert status.summary.loaded == "1/2"


def test_at_most_five_failing_pods_are_listed_and_their_messages_are_cut() -> None:
    status = status_of(NEW, *(a_failing_pod(f"pod-{n}", "x" * 2000) for n in range(7)))

    assert [failure.pod for failure in status.failures] == [f"pod-{n}" for n in range(5)]
    assert {len(failure.message) for failure in status.failures} == {1024}
    assert "and 2 more" in ready(status).message


def test_an_adapter_waits_until_as_many_pods_as_wanted_are_ready() -> None:
    status = status_of(NEW, a_pod_with("a", new=SERVING), a_pod_with("b", ready=False, new=SERVING))

    assert ready(status).reason == Reason.LOADING
    assert ready(status).message == f"1 of 2 pods serve revision {NEW.spec.revision}; only 1 is ready"


def test_more_pods_than_wanted_must_all_serve_it() -> None:
    status = status_of(NEW, a_pod_with("a", new=SERVING), a_pod_with("b", old=SERVING), replicas=1)

    assert ready(status).reason == Reason.LOADING


@pytest.mark.parametrize(
    ("replicas", "words"),
    [(2, "none of the model's 2 pods is ready"), (1, "the model's only pod is not ready"), (0, "scaled to zero")],
)
def test_without_a_ready_pod_nothing_is_available(replicas: int, words: str) -> None:
    status = status_of(NEW, replicas=replicas)

    assert in_words(status)["Available"] == "False NoReadyPods"
    assert in_words(status)["Ready"] == "False NoReadyPods"
    assert words in ready(status).message


def test_a_new_revision_goes_to_the_front_of_the_history_once() -> None:
    first = an_adapter(status=status_of(OLD, entry=SERVE_OLD))

    second = an_adapter(status=status_of(NEW, adapter=first, seconds=60))
    again = status_of(NEW, adapter=second, seconds=120)

    assert [(entry.revision, entry.digest, entry.time) for entry in again.history] == [
        (NEW.spec.revision, a_digest("pirate"), "2026-01-01T12:01:00Z"),
        (OLD.spec.revision, a_digest("pirate"), "2026-01-01T12:00:00Z"),
    ]


def test_the_history_keeps_ten_revisions() -> None:
    past = tuple(HistoryEntry(revision=f"{n:08x}", time="2026-01-01T00:00:00Z") for n in range(10))

    history = status_of(NEW, adapter=an_adapter(status=LoRAAdapterStatus(history=past))).history

    assert len(history) == 10
    assert history[0].revision == NEW.spec.revision
    assert history[-1] == past[8]


def test_a_blend_tells_rank_and_size_of_the_whole_and_no_digest() -> None:
    adapter = a_blend("both", {"pirate": 1})
    entry = DesiredAdapter(name="both", uid="uid-both", serve=NEW.spec)

    status = adapter_status.status_of(adapter, NEW, None, entry, Fleet((), 1), NOW)

    assert (status.rank, status.size_bytes) == (8, 1000)
    assert (status.digest, status.source_hash, status.resolved_source) == (None, None, None)
    assert status.history[0].digest is None


def a_saying_pod(name: str, state: RevisionState, message: str, reason: Reason | None = None) -> ObservedPod:
    report = RevisionReport(revision=NEW.spec.revision, state=state, reason=reason, message=message)
    return a_pod(name, inventory=an_inventory(AdapterReport(name="pirate", revisions=(report,))))


def test_an_update_that_answers_otherwise_is_not_ready_for_that_reason_and_is_told_with_what_it_said() -> None:
    failing = a_saying_pod("b", RevisionState.FAILED, "it answered 'Ahoy'", Reason.VERIFY_FAILED)
    status = status_of(NEW, a_pod_with("a", old=SERVING, new=PREPARED), failing, entry=PREPARE_NEW)
    assert (ready(status).status, ready(status).reason) == ("False", "VerifyFailed")
    assert ready(status).message == "pod b: it answered 'Ahoy'"
    assert [(f.pod, f.reason) for f in status.failures] == [("b", "VerifyFailed")]


@pytest.mark.parametrize("reason", [Reason.OUT_OF_MEMORY, Reason.STORE_FULL])
def test_a_pod_without_room_is_told_apart_from_other_failures(reason: Reason) -> None:
    words = "20 bytes needed, 5 available"
    status = status_of(NEW, a_saying_pod("a", RevisionState.FAILED, words, reason))
    assert ready(status).reason == reason
    assert words in ready(status).message
    assert [failure.reason for failure in status.failures] == [reason]


def test_what_is_in_service_and_does_not_pass_a_later_check_is_available_but_not_ready() -> None:
    pods = [a_saying_pod(name, SERVING, "it answered 'Ahoy'", Reason.VERIFY_FAILED) for name in ("a", "b")]
    status = status_of(NEW, *pods)
    assert in_words(status)["Available"] == "True Serving"
    assert in_words(status)["Ready"] == "False VerifyFailed"


def test_what_is_in_service_and_could_not_be_checked_is_not_ready_and_says_why() -> None:
    status = status_of(NEW, a_saying_pod("a", SERVING, "the engine is busy", Reason.LOAD_FAILED))
    assert in_words(status)["Available"] == "True Serving"
    assert in_words(status)["Ready"] == "False LoadFailed"
    assert ready(status).message == "pod a: the engine is busy"


def test_what_pods_have_to_say_of_a_sound_adapter_stands_behind_the_message_of_ready() -> None:
    status = status_of(NEW, a_saying_pod("a", SERVING, "it changes nothing"), a_pod_with("b", new=SERVING))
    assert in_words(status)["Ready"] == "True Serving"
    assert ready(status).message == f"revision {NEW.spec.revision} is served by 2/2 pods; it changes nothing"


def a_pod_that_kept(name: str, revision: str, energy: float | None) -> ObservedPod:
    report = RevisionReport(revision=revision, state=SERVING, energy=energy)
    return a_pod(name, inventory=an_inventory(AdapterReport(name="both", revisions=(report,))))


def test_a_cut_blend_tells_what_the_served_revision_keeps_also_while_no_pod_answers() -> None:
    adapters = an_adapter("a"), a_blend("both", {"a": 1}, how={"method": "SVD", "rank": 4})
    outcome = revisions.outcomes(adapters, {}, {"uid-a": some_facts("a")}, 64)["uid-both"]
    assert isinstance(outcome, Wanted)
    entry = DesiredAdapter(name="both", uid="uid-both", serve=outcome.spec)
    served = outcome.spec.revision

    told = status_of(
        outcome,
        a_pod_that_kept("p1", served, None),
        a_pod_that_kept("p2", served, 0.93),
        entry=entry,
        adapter=adapters[1],
    )
    assert told.kept_energy == 0.93

    silent = a_blend("both", {"a": 1}, how={"method": "SVD", "rank": 4}, status=told)
    assert status_of(outcome, entry=entry, adapter=silent).kept_energy == 0.93
    assert status_of(outcome, a_pod_that_kept("p", "0" * 8, 0.5), entry=entry, adapter=adapters[1]).kept_energy is None


def test_what_cuts_nothing_tells_no_kept_energy() -> None:
    assert status_of(NEW, a_pod_with("p1", new=SERVING)).kept_energy is None


def test_the_history_keeps_what_is_needed_to_go_back_to_a_revision() -> None:
    adapter = an_adapter(weight=0.4, precision="BFloat16")

    [entry] = status_of(NEW, adapter=adapter).history

    assert (entry.revision, entry.digest) == (NEW.spec.revision, some_facts().digest)
    assert entry.source == some_facts().source, "pinned: a branch that moves must not be gone back to"
    assert (entry.weight, entry.precision) == (0.4, "BFloat16")


def test_the_history_of_a_blend_keeps_its_members_and_no_place() -> None:
    blend = a_blend("mix", {"pirate": 0.7})

    [entry] = status_of(NEW, adapter=blend, known=FETCHING).history

    assert entry.blend == blend.spec.blend
    assert (entry.source, entry.digest) == (None, None)
