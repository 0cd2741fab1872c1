"""How closely pods were watched is told of those that were ready."""

from dataclasses import replace

from chaos.looks import Looks
from chaos.sightings import SeenPod
from unit.chaos.moments import POD

OTHER = replace(POD, name="p1")


def looked(*looks: tuple[float, SeenPod]) -> Looks:
    made = Looks()
    for at, pod in looks:
        made.see(at, pod)
    return made


def test_a_gap_is_between_two_answers_of_one_pod() -> None:
    assert looked((0.0, POD), (0.5, OTHER), (1.0, POD), (2.5, OTHER)).gaps == [1.0, 2.0]


def test_a_look_that_a_name_did_not_answer_is_one_and_ends_no_gap() -> None:
    looks = looked((0.0, POD), (1.0, replace(POD, served=None)), (2.0, replace(POD, silent=frozenset("a"))), (3.0, POD))
    assert (looks.count, looks.answered, looks.gaps) == (4, 2, [3.0])


def test_a_gap_ends_when_the_pod_is_not_ready_and_then_nothing_is_missed() -> None:
    silent, unready = replace(POD, served=None), replace(POD, served=None, ready=False)
    looks = looked((0.0, POD), (1.0, silent), (2.0, unready), (5.0, unready), (9.0, POD), (10.0, POD))
    assert (looks.count, looks.answered, looks.gaps) == (4, 3, [2.0, 1.0])


def test_gaps_are_told_by_their_rank() -> None:
    looks = looked((0.0, POD), (1.0, POD), (3.0, POD), (7.0, POD))
    assert (looks.gap(0.5), looks.gap(1.0)) == (2.0, 4.0)
    assert Looks().gap(0.99) == 0.0
