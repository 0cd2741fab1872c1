"""A quiet point is one at which statuses, pods and wishes are the same."""

from dataclasses import replace

import pytest

from chaos.rest import complaints
from chaos.sightings import Moment, Status
from unit.chaos.moments import FOREIGN, NEW, OLD, POD, READY, a_moment, a_pod, a_wish

MODEL = Status("uid-model", ready=True)
UNREADY = replace(READY, ready=False, updated=0)
BAD = a_wish(content=None)


def about(moment: Moment, *, model: Status = MODEL, kept: tuple[str, ...] = ()) -> str:
    return "; ".join(complaints(moment, 1, model, kept))


def test_all_is_well_when_every_pod_serves_what_is_wanted_and_the_status_says_so() -> None:
    assert about(a_moment()) == ""


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (a_moment(pod=a_pod(OLD)), "p0 serves"),
        (a_moment(pod=a_pod(), status=replace(READY, available=False)), "p0 serves None"),
        (a_moment(status=UNREADY), "a is not Ready"),
        (a_moment(status=replace(READY, updated=0)), "a is not Ready: 0/1"),
        (a_moment(status=replace(READY, observed_generation=0)), "not of generation 1"),
        (a_moment(status=replace(READY, uid="another object")), "not of generation 1"),
        (a_moment(status=replace(READY, available=False)), "Available is False"),
        (a_moment(pod=replace(POD, ready=False)), "0 of 1 pods are ready"),
        (a_moment(others=[replace(POD, name="p1")]), "2 of 2 pods are ready, wanted 1"),
        (a_moment(pod=replace(POD, served=None)), "p0 does not answer"),
        (a_moment(wish=BAD), "Ready although it cannot be had"),
        (replace(a_moment(), adapters={}), "p0 serves a, which does not exist"),
        (replace(a_moment(pod=a_pod(failing=frozenset("a"))), adapters={}), "p0 serves a, which does not exist"),
        (a_moment(pod=a_pod(failing=frozenset("a"))), "p0 serves None"),
        (a_moment(pod=a_pod(silent=frozenset("a"))), "p0 serves None"),
    ],
)
def test_what_is_not_so_is_named(moment: Moment, words: str) -> None:
    assert words in about(moment)


def test_a_model_that_is_not_ready_is_named() -> None:
    assert "Unschedulable" in about(a_moment(), model=Status("uid-model", reason="Unschedulable"))


def test_what_was_served_stays_while_what_is_wanted_cannot_be_had() -> None:
    served = a_moment(wish=BAD, status=UNREADY)
    given_up = a_moment(pod=a_pod(), wish=BAD, status=replace(UNREADY, available=False))
    assert about(served, kept=("uid-a",)) == ""
    assert about(given_up) == ""
    assert "gave up" in about(given_up, kept=("uid-a",))
    assert "gave up" in about(replace(served, pods=(a_pod(FOREIGN),)), kept=("uid-a",))
    assert NEW in BAD.ever
