"""The checker sees what is wrong: each kind of wrong response is caught, and nothing else is."""

import math

import pytest

from bench.checking.timeline import Timeline
from bench.checking.verdicts import Verdict, judge, tally
from bench.load.arrivals import Ask
from bench.load.responses import Response
from bench.served.recipes import recipe
from bench.served.reference import Expected

OLD, NEW, FOREIGN = recipe(pirate=1.0), recipe(pirate=0.5), recipe(json=1.0)
OUTPUTS = {OLD: (1, 2, 3), NEW: (1, 5, 6), FOREIGN: (7, 8, 9)}
REFERENCES = {made: (Expected(tokens, math.inf),) for made, tokens in OUTPUTS.items()}


def a_response(
    tokens: tuple[int, ...] = OUTPUTS[OLD],
    *,
    started: float = 0.0,
    ended: float = 1.0,
    status: int | None = 200,
    model: str = "x",
    token_times: tuple[float, ...] = (),
    length: int = 3,
) -> Response:
    ask = Ask(started, "x", 0, bool(token_times), length)
    return Response(ask, started, started, ended, status, tokens, model, token_times=token_times)


def a_swap(*, wanted_at: float = 10.0, acknowledged_at: float | None = 11.0) -> Timeline:
    timeline = Timeline(OLD, at=-100.0)
    timeline.want(NEW, wanted_at)
    if acknowledged_at is not None:
        timeline.acknowledge(acknowledged_at)
    return timeline


def a_deletion() -> Timeline:
    """Deleted from 10 to 11, made again with other bytes from 20 to 21."""
    timeline = Timeline(OLD, at=-100.0)
    timeline.want(None, 10.0)
    timeline.acknowledge(11.0)
    timeline.want(NEW, 20.0)
    timeline.acknowledge(21.0)
    return timeline


def verdict(response: Response, timeline: Timeline) -> Verdict:
    return judge(response, timeline, REFERENCES).verdict


def test_the_output_of_the_recipe_that_serves_is_good() -> None:
    assert verdict(a_response(), a_swap()) is Verdict.GOOD


def test_who_asks_for_less_gets_the_beginning_of_it() -> None:
    assert verdict(a_response((1, 2), length=2), a_swap()) is Verdict.GOOD
    assert verdict(a_response((1, 2), length=3), a_swap()) is Verdict.FAILED
    assert verdict(a_response((1, 5), length=2), a_swap()) is Verdict.STALE


@pytest.mark.parametrize("tokens", [OUTPUTS[OLD], OUTPUTS[NEW]])
def test_while_a_swap_is_not_acknowledged_both_outputs_are_good(tokens: tuple[int, ...]) -> None:
    assert verdict(a_response(tokens, started=10.5, ended=12.0), a_swap()) is Verdict.GOOD


def test_a_request_sent_before_the_acknowledgement_may_end_on_the_old_recipe_much_later() -> None:
    assert verdict(a_response(started=10.9, ended=60.0), a_swap()) is Verdict.GOOD


def test_half_of_the_old_and_half_of_the_new_output_is_torn() -> None:
    assert verdict(a_response((1, 2, 6), started=10.5), a_swap()) is Verdict.TORN


def test_the_output_of_another_name_s_recipe_is_torn() -> None:
    assert verdict(a_response(OUTPUTS[FOREIGN]), a_swap()) is Verdict.TORN


def test_the_old_output_for_a_request_sent_after_the_acknowledgement_is_stale() -> None:
    judged = judge(a_response(started=11.1, ended=12.0), a_swap(), REFERENCES)
    assert judged.verdict is Verdict.STALE
    assert judged.why == "answered as pirate 1 when pirate 0.5 could be served"


def test_the_new_output_before_anybody_asked_for_it_is_stale_too() -> None:
    assert verdict(a_response(OUTPUTS[NEW], started=8.0, ended=9.0), a_swap()) is Verdict.STALE


def test_a_stream_s_adapter_was_chosen_before_its_first_token() -> None:
    timeline = a_swap(wanted_at=10.0)
    streamed = a_response(OUTPUTS[NEW], started=8.0, ended=12.0, token_times=(9.0, 11.0, 12.0))
    whole = a_response(OUTPUTS[NEW], started=8.0, ended=12.0)
    assert verdict(streamed, timeline) is Verdict.STALE
    assert verdict(whole, timeline) is Verdict.GOOD


def test_an_unacknowledged_swap_makes_nothing_stale() -> None:
    assert verdict(a_response(started=500.0, ended=501.0), a_swap(acknowledged_at=None)) is Verdict.GOOD


def test_a_recipe_that_comes_back_is_good_again() -> None:
    timeline = a_swap()
    timeline.want(OLD, 30.0)
    timeline.acknowledge(31.0)
    assert verdict(a_response(started=20.0, ended=21.0), timeline) is Verdict.STALE
    assert verdict(a_response(started=40.0, ended=41.0), timeline) is Verdict.GOOD


@pytest.mark.parametrize("response", [
    a_response(status=500),
    a_response(status=None),
    a_response(OUTPUTS[OLD][:2]),
    a_response(model="y"),
    a_response(status=404),
    a_response(status=503),
], ids=["an error", "a broken connection", "too few tokens", "another model's name", "not found", "not ready"])  # fmt: skip
def test_no_complete_answer_in_the_name_s_own_right_is_failed(response: Response) -> None:
    assert verdict(response, a_swap()) is Verdict.FAILED


@pytest.mark.parametrize("status", [404, 503])
@pytest.mark.parametrize("started", [10.5, 15.0, 20.5])
def test_a_refusal_while_the_name_is_deleted_is_no_failure(status: int, started: float) -> None:
    assert verdict(a_response((), started=started, ended=started, status=status), a_deletion()) is Verdict.ABSENT


@pytest.mark.parametrize("started", [9.0, 21.5])
def test_a_refusal_before_or_after_that_is_one(started: float) -> None:
    assert verdict(a_response((), started=started, ended=started, status=404), a_deletion()) is Verdict.FAILED


@pytest.mark.parametrize("started", [15.0, 25.0])
def test_bytes_that_outlive_their_deletion_are_stale(started: float) -> None:
    assert verdict(a_response(started=started, ended=started + 1), a_deletion()) is Verdict.STALE


def test_the_tally_names_every_verdict() -> None:
    judged = [judge(a_response(), a_swap(), REFERENCES), judge(a_response(status=500), a_swap(), REFERENCES)]
    assert tally(judged) == {
        Verdict.GOOD: 1, Verdict.ABSENT: 0, Verdict.FAILED: 1, Verdict.TORN: 0, Verdict.STALE: 0,
    }  # fmt: skip
