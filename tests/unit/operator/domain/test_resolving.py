from datetime import timedelta

from lora_api.runtime_api import ResolveResponse, ResolveState
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_operator.domain import facts, resolving
from lora_operator.domain.actions import ResolveSource
from lora_operator.domain.observed import ObservedAdapter, ObservedPod, Resolution
from support.builders import NOW, a_digest, a_pod, a_refusal, a_snapshot, an_adapter, unreachable

SOON = NOW + timedelta(seconds=5)


def questions(
    adapter: ObservedAdapter,
    *pods: ObservedPod,
    resolution: Resolution | None = None,
    under_way: ObservedAdapter | None = None,
) -> tuple[ResolveSource, ...]:
    uid = adapter.meta.uid
    snapshot = a_snapshot(
        adapter,
        pods=pods or (a_pod(),),
        resolutions={} if resolution is None else {uid: resolution},
        resolving={} if under_way is None else {uid: facts.source_hash(under_way)},
    )
    return resolving.questions(snapshot, (adapter,), NOW)


def test_a_new_source_is_asked_about_with_the_users_pin() -> None:
    adapter = an_adapter(digest=a_digest("x"))

    (question,) = questions(adapter)

    assert question.source_hash == facts.source_hash(adapter)
    assert question.request.source == adapter.spec.source
    assert question.request.digest == a_digest("x")
    assert (question.pod, question.ip, question.attempt) == ("smol-a", "10.0.0.1", 1)
    assert "team/pirate@main" in question.why


def test_one_question_at_a_time() -> None:
    adapter = an_adapter()

    assert questions(adapter, under_way=adapter) == ()


def test_a_corrected_source_does_not_wait_for_the_download_of_the_wrong_one() -> None:
    corrected = an_adapter(source={"huggingFace": {"repo": "team/pirate-small"}})

    (question,) = questions(corrected, under_way=an_adapter())

    assert question.source_hash == facts.source_hash(corrected)


def test_a_final_refusal_is_not_asked_again() -> None:
    adapter = an_adapter()

    assert questions(adapter, resolution=a_refusal(adapter)) == ()


def test_an_edited_source_is_asked_about_although_the_old_one_was_refused() -> None:
    old = an_adapter()
    edited = an_adapter(source={"huggingFace": {"repo": "team/pirate", "revision": "v2"}})

    assert len(questions(edited, resolution=a_refusal(old))) == 1


def test_a_passing_refusal_is_asked_again_when_its_time_has_come() -> None:
    adapter = an_adapter()

    assert questions(adapter, resolution=a_refusal(adapter, retry_at=SOON)) == ()
    (question,) = questions(adapter, resolution=a_refusal(adapter, retry_at=NOW, attempts=3))
    assert question.attempt == 4
    assert "attempt 4" in question.why


def test_a_pod_that_serves_is_asked_before_one_that_is_starting() -> None:
    pods = (a_pod("a", ready=False), a_pod("b"), a_pod("c", ready=False))

    assert questions(an_adapter(), *pods)[0].pod == "b"


def test_a_starting_pod_is_asked_when_no_other_answers() -> None:
    pods = (a_pod("a", ready=False), a_pod("b", inventory=unreachable()), a_pod("c", terminating=True))

    assert questions(an_adapter(), *pods)[0].pod == "a"


def test_without_a_pod_that_answers_nobody_is_asked() -> None:
    assert questions(an_adapter(), a_pod(inventory=unreachable())) == ()


def test_adapters_are_spread_over_the_pods() -> None:
    pods = (a_pod("a"), a_pod("b"))

    assert {questions(an_adapter(f"adapter-{n}"), *pods)[0].pod for n in range(20)} == {"a", "b"}


def test_waiting_doubles_up_to_a_minute() -> None:
    assert [resolving.backoff_seconds(n) for n in (1, 2, 3, 5, 6, 1000)] == [2, 4, 8, 32, 60, 60]


def test_when_to_ask_again_depends_on_the_answer() -> None:
    adapter = an_adapter()
    final = a_refusal(adapter).answer
    passing = a_refusal(adapter, Reason.SOURCE_UNREACHABLE, condition=AdapterCondition.FETCHED, retry_at=NOW).answer

    assert resolving.retry_at(final, "uid", 1, NOW) is None
    assert resolving.retry_at(ResolveResponse(state=ResolveState.FETCHING), "uid", 1, NOW) is None
    assert resolving.retry_at(unreachable(), "uid", 9, NOW) == NOW + timedelta(seconds=1)
    again = resolving.retry_at(passing, "uid", 3, NOW)
    assert again is not None
    assert timedelta(seconds=6) <= again - NOW <= timedelta(seconds=10)


def test_adapters_that_failed_together_are_not_asked_about_together() -> None:
    down = a_refusal(an_adapter(), Reason.SOURCE_UNREACHABLE, retry_at=NOW).answer
    moments = [resolving.retry_at(down, f"uid-{n}", 9, NOW) for n in range(100)]
    assert len(set(moments)) > 90
    assert all(m is not None and timedelta(seconds=45) <= m - NOW <= timedelta(seconds=75) for m in moments)


def test_the_next_question_is_the_earliest_to_come() -> None:
    early, late, past = an_adapter("early"), an_adapter("late"), an_adapter("past")
    snapshot = a_snapshot(
        resolutions={
            early.meta.uid: a_refusal(early, retry_at=SOON),
            late.meta.uid: a_refusal(late, retry_at=SOON + timedelta(seconds=9)),
            past.meta.uid: a_refusal(past, retry_at=NOW - timedelta(seconds=1)),
        }
    )

    assert resolving.next_question_at(snapshot, {a.meta.uid: a for a in (late, early, past)}, NOW) == SOON
    assert resolving.next_question_at(snapshot, {past.meta.uid: past}, NOW) is None
