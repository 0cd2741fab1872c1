"""What the control benchmark changes, and what it makes of what its observers saw."""

import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from bench.control.changes import EDITED, FIRST, WEIGHTS, Change, Kind, plan, source
from bench.control.flips import Flips
from bench.control.observer import Sighting
from bench.control.results import Observed, judge, key_figures
from bench.control.settings import Settings, settings
from bench.control.traces import Trace
from bench.served.recipes import Recipe, recipe
from bench.served.reference import Expected, References

OLD, NEW = recipe(pirate=1.0), recipe(pirate=0.4)
REFERENCES = {OLD: (Expected((1,), 1.0),), NEW: (Expected((2,), 1.0),)}
CHANGE = Change(Kind.WEIGHT, EDITED, OLD, NEW, 0)
DELETION = Change(Kind.DELETE, "new-0", OLD, None, 0)


def every_recipe_of(wanted: Settings) -> list[Recipe]:
    names = map(source, range(wanted.most_sources))
    return [recipe(**{name: weight}) for name in names for weight in WEIGHTS]


def every_answer_its_own(wanted: Settings) -> References:
    return {each: (Expected((index,), 1.0),) for index, each in enumerate(every_recipe_of(wanted))}


def seen(*tokens: int, begin: float = 10.0, step: float = 0.1) -> list[Sighting]:
    """Answers of one token after another, each of which takes one step; from 400 on it is the status of an error."""
    answers = [(200, (token,)) if token < 400 else (token, ()) for token in tokens]
    return [Sighting(begin + i * step, begin + (i + 1) * step, *answer) for i, answer in enumerate(answers)]


def observed(change: Change = CHANGE, **pods: list[Sighting]) -> Observed:
    return Observed(change, ("uid", 2), asked=10.0, asked_at=1000.0, ready=10.5, sightings=pods)


def traced(**stages: float) -> Trace:
    return Trace(begun=1000.02, name="edited", revision="abcd", stages=stages)


def logged(seconds: float, revision: str = "abcd") -> str:
    """What a pod logs so many seconds after the change was asked for, 3 ms after it began to go over."""
    time = datetime.fromtimestamp(1000 + seconds, UTC).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
    return f"INFO {time} lora_runtime.adapter_loop serving adapter=edited revision={revision} took_ms=3.0\n"


def test_it_is_served_when_the_last_pod_has_answered_with_it() -> None:
    judged = judge(observed(a=seen(1, 2, 2), b=seen(1, 1, 1, 2)), None, REFERENCES)

    assert judged.served == pytest.approx(0.4)
    assert judged.seen_split == pytest.approx(0.3)
    assert judged.ready == pytest.approx(0.5)
    assert judged.wrong == 0


@pytest.mark.parametrize("answers", [(1, 2, 1), (1, 3, 2), (1, 503, 2)], ids=["old after new", "neither", "an error"])
def test_what_no_client_may_see_is_counted(answers: tuple[int, ...]) -> None:
    assert judge(observed(a=seen(*answers)), None, REFERENCES).wrong == 1


def test_before_a_name_is_created_an_error_is_right() -> None:
    created = Change(Kind.CREATE, "new-0", None, NEW, 0)

    assert judge(observed(created, a=seen(404, 503, 2)), None, REFERENCES).wrong == 0


def test_a_deleted_name_is_gone_when_the_last_pod_does_not_know_it() -> None:
    judged = judge(observed(DELETION, a=seen(1, 404), b=seen(1, 1, 1, 404)), None, REFERENCES)

    assert judged.served == pytest.approx(0.4)
    assert judged.wrong == 0


@pytest.mark.parametrize("answers", [(1, 404, 1), (1, 2, 404), (1, 503, 404)], ids=["back", "of another", "an error"])
def test_a_deleted_name_is_served_as_it_was_and_then_unknown(answers: tuple[int, ...]) -> None:
    assert judge(observed(DELETION, a=seen(*answers)), None, REFERENCES).wrong == 1


def test_a_name_that_one_pod_serves_for_ever_is_not_forgotten() -> None:
    edited = judge(observed(a=seen(1, 2), b=seen(1, 2)), None, REFERENCES)
    deleted = judge(observed(DELETION, a=seen(1, 404), b=seen(1, 1)), None, REFERENCES)

    assert key_figures([edited, deleted], pods=2)["never"] == 1


def test_what_is_counted_is_what_the_figures_are_of() -> None:
    edited = judge(observed(a=seen(1, 2)), None, REFERENCES)
    deletions = [judge(observed(DELETION, a=seen(*answers)), None, REFERENCES) for answers in ((404,), (1, 1, 404))]

    key = key_figures([edited, *deletions], pods=1)

    assert (key["changes"], key["p50_ms"]) == (1, 200)
    assert (key["deletions"], key["delete_p50_ms"]) == (2, 200)
    assert key["unready"] == 0


def test_a_pod_that_never_serves_it_is_not_forgotten() -> None:
    judged = judge(observed(a=seen(1, 2), b=seen(1, 1)), None, REFERENCES)

    assert math.isnan(judged.served)
    assert key_figures([judged], pods=2)["never"] == 1


def test_one_that_is_never_said_to_be_ready_is_not_forgotten() -> None:
    judged = judge(replace(observed(a=seen(1, 2), b=seen(1, 2)), ready=None), None, REFERENCES)

    assert key_figures([judged], pods=2)["unready"] == 1


def test_the_stages_begin_with_the_request() -> None:
    judged = judge(observed(a=seen(2)), traced(load=0.05), REFERENCES)

    assert judged.stages == pytest.approx({"request": 0.02, "load": 0.05})


def test_it_has_flipped_when_the_last_pod_says_so() -> None:
    before = logged(-5.0)
    flips = Flips({"a": before + logged(0.05, "other") + logged(0.1), "b": before + logged(0.12) + logged(0.9)})

    judged = judge(observed(a=seen(1, 2), b=seen(1, 2)), traced(), REFERENCES, flips)

    assert judged.flipped == pytest.approx(0.121)
    assert judged.split == pytest.approx(0.024)
    assert judged.wrong == 0


def test_without_a_word_of_one_pod_nobody_knows_when_it_flipped() -> None:
    judged = judge(observed(a=seen(2), b=seen(2)), traced(), REFERENCES, Flips({"a": logged(0.1), "b": ""}))

    assert math.isnan(judged.flipped)


@pytest.mark.parametrize("seconds", [0.05, 0.35], ids=["an old answer after it", "a new answer before it"])
def test_a_pod_that_did_not_flip_when_it_says_so_is_wrong(seconds: float) -> None:
    judged = judge(observed(a=seen(1, 1, 2)), traced(), REFERENCES, Flips({"a": logged(seconds)}))

    assert judged.wrong == 1


def test_a_plan_has_what_was_asked_for_and_each_change_begins_where_the_last_one_ended() -> None:
    wanted = settings(seed=0, changes=7, quick=False)

    changes = list(plan(wanted, every_answer_its_own(wanted), Random(1)))

    assert Counter(c.kind for c in changes) == {
        Kind.WEIGHT: 7,
        Kind.SOURCE: 7,
        Kind.CREATE: 7,
        Kind.DELETE: 7,
        Kind.SLOW: 5,
    }
    now = FIRST
    for change in (c for c in changes if c.name == EDITED):
        assert change.before == now
        assert change.after is not None
        assert (_source(change.after) != _source(now)) is (change.kind is Kind.SOURCE)
        now = change.after


def test_no_pod_has_made_before_what_a_change_leads_to_and_what_is_new_is_of_other_files() -> None:
    wanted = settings(seed=0, changes=30, quick=False)

    led = [c for c in plan(wanted, every_answer_its_own(wanted), Random(1)) if c.after is not None]

    after = [FIRST, *(c.after for c in led)]
    assert len(set(after)) == len(after)
    files = [_source(FIRST), *(_source(c.after) for c in led if c.after and c.kind in (Kind.SOURCE, Kind.CREATE))]
    assert len(set(files)) == len(files) == wanted.most_sources


def test_what_is_created_is_deleted_next() -> None:
    wanted = settings(seed=0, changes=7, quick=False)

    others = [c for c in plan(wanted, every_answer_its_own(wanted), Random(1)) if c.name != EDITED]

    for created, deleted in zip(others[::2], others[1::2], strict=True):
        assert (created.kind, deleted.kind) == (Kind.CREATE, Kind.DELETE)
        assert (deleted.name, deleted.before, deleted.after) == (created.name, created.after, None)


def test_no_change_is_made_whose_revisions_answer_alike() -> None:
    wanted = settings(seed=0, changes=3, quick=False)
    alike = {each: (Expected((0,), 1.0), Expected((i,), 1.0)) for i, each in enumerate(every_recipe_of(wanted))}

    changes = plan(wanted, alike, Random(1))

    assert {c.prompt for c in changes if c.name == EDITED} == {1}


def _source(of: Recipe) -> str:
    [(name, _)] = of.parts
    return name
