"""The checker sees each kind of lie and loss, and nothing else."""

from dataclasses import replace

import pytest

from chaos.checker import Checker
from chaos.sightings import Moment, SeenPod
from unit.chaos.moments import FOREIGN, NEW, OLD, POD, READY, a_moment, a_pod, a_wish

SILENT = replace(POD, served=None)
UNANSWERED = a_pod(silent=frozenset("a"))
LIE = a_pod(OLD, boot="boot-2")


def seen(*moments: Moment) -> Checker:
    checker = Checker()
    for moment in moments:
        checker.see(moment)
    return checker


def verdicts(*moments: Moment) -> list[str]:
    return [verdict.what for verdict in seen(*moments).verdicts]


def test_a_status_that_says_what_the_pods_serve_is_no_lie() -> None:
    checker = seen(a_moment(0.0), a_moment(10.0))
    assert checker.verdicts == []
    assert checker.claims == 2
    assert checker.longest_lie_seconds == 0.0


def test_ready_while_a_pod_serves_something_else_is_a_lie_after_the_bound_and_is_counted_once() -> None:
    lie = a_pod(OLD)
    checker = seen(*(a_moment(at / 10, lie, wish=a_wish(since=9e9)) for at in range(40)))
    assert [verdict.what for verdict in checker.verdicts] == ["false ready"]
    assert checker.longest_lie_seconds == pytest.approx(3.9)


def test_a_lie_is_as_long_as_since_the_last_true_moment() -> None:
    lie = a_moment(1.5, a_pod(OLD), wish=a_wish(since=9e9))
    assert seen(a_moment(0.0), lie).longest_lie_seconds == pytest.approx(1.5)


@pytest.mark.parametrize("silence", [SILENT, UNANSWERED], ids=["of the pod", "of the name"])
def test_a_lie_goes_on_through_silence(silence: SeenPod) -> None:
    checker = seen(a_moment(0.0), a_moment(0.1, LIE), a_moment(1.0, silence), a_moment(2.1, LIE))
    assert [verdict.what for verdict in checker.verdicts] == ["false ready"]
    assert checker.longest_lie_seconds == pytest.approx(2.1)


@pytest.mark.parametrize("silence", [SILENT, UNANSWERED], ids=["of the pod", "of the name"])
def test_silence_alone_is_no_lie_and_makes_none_longer(silence: SeenPod) -> None:
    assert seen(a_moment(0.0), a_moment(1.0, silence), a_moment(5.0)).longest_lie_seconds == 0.0
    caught = seen(a_moment(0.0), a_moment(0.1, LIE), a_moment(1.0, silence), a_moment(5.0))
    assert caught.longest_lie_seconds == pytest.approx(0.1)


@pytest.mark.parametrize("silence", [SILENT, UNANSWERED], ids=["of the pod", "of the name"])
def test_a_lie_that_is_first_seen_after_silence_counts_from_then(silence: SeenPod) -> None:
    moments = [a_moment(0.0), a_moment(1.0, silence), a_moment(5.0, LIE)]
    assert verdicts(*moments, a_moment(6.9, LIE)) == []
    assert verdicts(*moments, a_moment(7.1, LIE)) == ["false ready"]


@pytest.mark.parametrize(
    "end",
    [a_moment(1.0), a_moment(1.0, SILENT, status=replace(READY, ready=False)), a_moment(1.0, operating=False)],
    ids=["it is true", "it is withdrawn, whatever the pod says", "the operator is away"],
)
def test_what_ends_a_lie(end: Moment) -> None:
    assert verdicts(a_moment(0.0), a_moment(0.5, LIE), end, a_moment(2.9, LIE)) == []


def test_a_claim_counts_as_judged_when_the_operator_is_there_and_the_pod_answers_for_the_time_since_the_look_before() -> (
    None
):
    checker = seen(
        a_moment(0.0),
        a_moment(0.5),
        a_moment(1.75, SILENT),
        a_moment(2.0, UNANSWERED),
        a_moment(4.0, operating=False),
        a_moment(9.0, status=replace(READY, ready=False)),
        a_moment(9.0, replace(POD, name="p1")),
    )
    assert (checker.judged_seconds, checker.silent_seconds, checker.excused_seconds) == (0.5, 1.5, 2.0)
    assert checker.claims == 3


def test_a_pod_that_was_asked_before_the_status_said_so_is_not_judged_although_it_answers_later() -> None:
    unready = replace(READY, ready=False)
    late = a_moment(0.5, replace(POD, name="p1", served={"a": frozenset()}), status=unready)
    assert verdicts(a_moment(0.6), late) == []
    assert verdicts(a_moment(0.4), late) == ["wrong"]


@pytest.mark.parametrize(
    "moment",
    [
        a_moment(status=replace(READY, ready=False)),
        a_moment(status=replace(READY, observed_generation=0)),
        a_moment(status=replace(READY, uid="another object")),
        a_moment(operating=False),
    ],
    ids=["not Ready", "of an earlier generation", "of another object", "the operator is away"],
)
def test_who_does_not_say_so_now_does_not_lie(moment: Moment) -> None:
    pods = (a_pod(OLD),)
    assert verdicts(*(replace(moment, at=float(at), pods=pods) for at in range(9))) == []


@pytest.mark.parametrize(
    "pod",
    [replace(a_pod(OLD), ready=False), SILENT, UNANSWERED],
    ids=["no requests reach it", "it does not answer", "it does not answer the name"],
)
def test_nothing_is_said_about_a_pod_that_is_not_ready_or_does_not_answer(pod: SeenPod) -> None:
    assert verdicts(*(a_moment(float(at), pod) for at in range(9))) == []


def test_ready_about_a_pod_that_the_operator_does_not_reach_is_a_lie_like_any_other() -> None:
    assert verdicts(a_moment(0.0), a_moment(5.0, a_pod(OLD, boot="boot-2", connected=False))) == ["false ready"]


def test_a_ready_pod_without_the_name_makes_ready_a_lie() -> None:
    assert verdicts(a_moment(0.0), a_moment(5.0, a_pod(boot="boot-2"))) == ["false ready"]


def test_what_was_served_and_is_wanted_and_is_not_served_any_more_is_lost() -> None:
    assert "lost" in verdicts(a_moment(0.0), a_moment(0.1, a_pod()))


def test_what_an_earlier_start_of_the_engine_served_is_not_lost_by_the_next() -> None:
    assert verdicts(a_moment(0.0), a_moment(0.1, a_pod(boot="boot-2"))) == []


def test_what_another_object_of_the_name_served_is_not_lost_by_this_one() -> None:
    assert verdicts(a_moment(0.0), a_moment(0.1, a_pod(), wish=a_wish(uid="uid-b"))) == []


def test_going_back_from_what_is_wanted_to_what_was_wanted_earlier_is_a_loss() -> None:
    assert "lost" in verdicts(a_moment(0.0), a_moment(0.1, a_pod(OLD)))


def test_who_has_just_changed_his_mind_may_be_served_what_he_wanted_before() -> None:
    just_now = a_wish(since=-1.0)
    assert verdicts(a_moment(0.0, wish=just_now), a_moment(0.1, a_pod(OLD), wish=just_now)) == []


def test_the_good_revision_may_stay_for_as_long_as_what_is_wanted_cannot_be_had() -> None:
    bad = a_wish(content=None)
    unready = replace(READY, ready=False)
    moments = [a_moment(float(at), a_pod(NEW), wish=bad, status=unready) for at in range(1, 9)]
    assert verdicts(a_moment(0.0), *moments) == []


def test_what_nobody_ever_wanted_of_this_object_is_wrong() -> None:
    foreign = a_moment(0.1, a_pod(FOREIGN), wish=a_wish(since=0.0))
    assert verdicts(a_moment(-9.0), a_moment(0.0), foreign) == ["wrong"]


def test_who_has_just_started_may_answer_with_what_a_document_says_that_was_put_back() -> None:
    anew = a_pod(FOREIGN, boot="boot-2")
    wish = a_wish(since=0.0)
    assert verdicts(a_moment(0.0), a_moment(0.1, anew, wish=wish), a_moment(1.9, anew, wish=wish)) == []


def test_a_pod_that_cannot_be_told_of_a_new_object_may_answer_with_the_one_before() -> None:
    assert verdicts(a_moment(0.0), a_moment(0.1, a_pod(FOREIGN, connected=False), wish=a_wish(since=0.0))) == []


def test_an_answer_of_nothing_known_is_wrong() -> None:
    nothing_known = replace(POD, served={"a": frozenset()}, connected=False)
    assert verdicts(a_moment(0.0), a_moment(0.1, nothing_known, wish=a_wish(since=0.0))) == ["wrong"]


def test_a_name_that_is_not_answered_is_not_lost() -> None:
    assert verdicts(a_moment(0.0), a_moment(0.1, UNANSWERED)) == []


def test_what_is_served_before_the_status_ever_said_so_is_not_judged() -> None:
    unready = replace(READY, ready=False)
    assert verdicts(a_moment(0.0, a_pod(FOREIGN), status=unready), a_moment(0.1, a_pod(), status=unready)) == []


def test_an_answer_that_several_contents_give_counts_as_the_wanted_one() -> None:
    assert verdicts(a_moment(0.0), a_moment(9.0, a_pod(OLD, NEW))) == []


def test_an_answer_that_several_contents_give_does_not_show_that_the_wanted_one_was_there() -> None:
    assert verdicts(a_moment(0.0, a_pod(OLD, NEW)), a_moment(0.1, a_pod(OLD))) == []


def test_ready_while_a_pod_answers_the_name_with_an_error_is_a_lie_after_the_bound() -> None:
    failing = a_pod(failing=frozenset("a"))
    checker = seen(a_moment(0.0), a_moment(1.9, failing), a_moment(2.1, failing))
    assert [verdict.what for verdict in checker.verdicts] == ["false ready"]
    assert "answers with an error" in checker.verdicts[0].words


def test_an_error_is_no_loss_and_what_was_served_before_it_is_lost_when_it_does_not_come_back() -> None:
    unready = replace(READY, ready=False)
    failing = a_moment(0.1, a_pod(failing=frozenset("a")), status=unready)
    assert verdicts(a_moment(0.0), failing, a_moment(0.2, status=unready)) == []
    assert verdicts(a_moment(0.0), failing, a_moment(0.2, a_pod(), status=unready)) == ["lost"]
