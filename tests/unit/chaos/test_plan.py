"""The steps follow from the seed alone, and make sense one after the other."""

from collections import Counter

from chaos.plan import plan
from chaos.scenes import STAND_INS
from chaos.steps import KILLS, WRITES, Kind
from chaos.wishes import Flaw, Wish, content


def test_the_same_seed_gives_the_same_steps_and_another_one_others() -> None:
    assert list(plan(STAND_INS, 1, 200)) == list(plan(STAND_INS, 1, 200))
    assert list(plan(STAND_INS, 1, 200)) != list(plan(STAND_INS, 2, 200))


def test_a_short_run_is_the_beginning_of_a_long_one() -> None:
    short, long = list(plan(STAND_INS, 3, 100)), list(plan(STAND_INS, 3, 200))
    assert short[:-1] == long[:99]


def test_every_kind_of_step_happens_and_many_are_kills() -> None:
    count = Counter(step.kind for step in plan(STAND_INS, 0, 5000))
    assert set(count) == set(Kind)
    assert sum(count[kind] for kind in KILLS) >= 100


def test_only_what_is_there_is_edited_and_only_what_is_not_is_created() -> None:
    there: set[str] = set()
    for step in plan(STAND_INS, 5, 2000):
        if step.kind is Kind.CREATE:
            assert step.name not in there
        elif step.name:
            assert step.name in there
        if step.kind in WRITES:
            there.add(step.name)
        elif step.kind is Kind.DELETE:
            there.remove(step.name)


def test_all_comes_to_rest_now_and_then_and_at_the_end() -> None:
    quiet = [number for number, step in enumerate(plan(STAND_INS, 5, 100), start=1) if step.quiet]
    assert quiet == [40, 80, 100]


def test_no_operator_begins_between_the_same_two_rests_as_an_attack_on_the_document() -> None:
    starts, attacks = {Kind.KILL_OPERATOR, Kind.KILL_API_SERVER}, {Kind.DELETE_DOCUMENT, Kind.RESTORE_DOCUMENT}
    happened: set[Kind] = set()
    for step in plan(STAND_INS, 7, 5000):
        happened.add(step.kind)
        assert not (happened & starts and happened & attacks)
        if step.quiet:
            happened.clear()


def test_a_blend_is_made_of_what_its_members_are_made_of_at_their_weights() -> None:
    wishes = {"a": Wish("s", 0.5), "b": Wish("t"), "c": Wish(weight=2.0, members=(("a", 0.5), ("b", 1.0)))}
    assert content("c", wishes) == (("s", 0.5), ("t", 2.0))


def test_what_is_made_of_something_that_cannot_be_had_cannot_be_had() -> None:
    wishes = {"a": Wish("s", flaw=Flaw.MISSING), "c": Wish(members=(("a", 0.5),)), "d": Wish(members=(("x", 1.0),))}
    assert content("a", wishes) is None
    assert content("c", wishes) is None
    assert content("d", wishes) is None
