"""The steps follow from the seed alone, and make sense one after the other."""

from collections import Counter
from dataclasses import replace

import pytest

from chaos.plan import Scene, plan
from chaos.scenes import NODE, STAND_INS
from chaos.steps import KILLS, WRITES, Kind
from chaos.wishes import Flaw, Wish, content


def test_the_same_seed_gives_the_same_steps_and_another_one_others() -> None:
    assert list(plan(STAND_INS, 1, 200)) == list(plan(STAND_INS, 1, 200))
    assert list(plan(STAND_INS, 1, 200)) != list(plan(STAND_INS, 2, 200))


@pytest.mark.parametrize("scene", [STAND_INS, NODE], ids=["stand-ins", "node"])
def test_a_short_run_is_the_beginning_of_a_long_one(scene: Scene) -> None:
    short, long = list(plan(scene, 3, 100)), list(plan(scene, 3, 200))
    assert short[:-1] == long[:99]


def test_every_kind_of_step_happens_and_many_are_kills() -> None:
    count = Counter(step.kind for step in plan(STAND_INS, 0, 5000))
    assert set(count) == set(Kind)
    assert sum(count[kind] for kind in KILLS) >= 100


def test_a_run_on_a_node_has_every_kind_of_step_of_its_scene_and_ten_kills() -> None:
    count = Counter(step.kind for step in plan(NODE, 0, 300))
    assert set(count) == NODE.kinds == set(Kind) - {Kind.SLOW}
    assert sum(count[kind] for kind in KILLS) >= 10


def test_a_run_on_a_node_replaces_all_pods_often_enough_to_matter_and_seldom_enough_to_end() -> None:
    count = Counter(step.kind for step in plan(NODE, 0, 300))
    assert 2 <= count[Kind.ROLL] + count[Kind.RECREATE_MODEL] <= 6


@pytest.mark.parametrize("seed", range(20))
def test_what_chance_may_leave_out_of_a_short_run_happens_with_every_seed_in_its_turn(seed: int) -> None:
    rests = 300 // NODE.quiet_every
    steps = list(plan(NODE, seed, 300))
    assert rests >= len(NODE.certain) - 1
    for rest, certain in zip(range(rests), NODE.certain, strict=False):
        phase = steps[rest * NODE.quiet_every : (rest + 1) * NODE.quiet_every]
        assert any(replace(step, pause_seconds=0.0, quiet=False) == certain for step in phase)


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


@pytest.mark.parametrize("scene", [STAND_INS, NODE], ids=["stand-ins", "node"])
def test_no_operator_begins_between_the_same_two_rests_as_an_attack_on_the_document(scene: Scene) -> None:
    starts, attacks = {Kind.KILL_OPERATOR, Kind.KILL_API_SERVER}, {Kind.DELETE_DOCUMENT, Kind.RESTORE_DOCUMENT}
    happened: set[Kind] = set()
    for step in plan(scene, 7, 5000):
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
