"""Who may hold the Lease, and for how long its holder may write."""

from dataclasses import replace

import pytest

from lora_operator.domain import leadership
from lora_operator.domain.leadership import Claim, Lease, Renew, Sighting, Terms, Wait

TERMS = Terms(lease=15, write=10, renew=5, retry=1)
HELD = Lease(holder="other_1", seconds=15, renewed="12:00:00", transitions=3)


def test_a_lease_that_does_not_exist_is_claimed() -> None:
    assert leadership.candidate_step(Sighting(None, since=100), now=100) == Claim(transitions=0)


def test_a_lease_that_was_given_back_is_claimed_at_once() -> None:
    given_back = replace(HELD, holder="")
    assert leadership.candidate_step(Sighting(given_back, since=100), now=100) == Claim(transitions=4)


def test_a_lease_is_nobodys_once_it_has_looked_the_same_for_as_long_as_its_holder_asked_for() -> None:
    seen = Sighting(HELD, since=100)
    assert leadership.candidate_step(seen, now=114.5) == Wait(0.5)
    assert leadership.candidate_step(seen, now=115) == Claim(transitions=4)


def test_a_lease_of_a_process_of_the_own_container_is_claimed_at_once_since_that_process_is_dead() -> None:
    seen = Sighting(replace(HELD, holder="pod_uid_1"), since=100)
    assert leadership.candidate_step(seen, now=100, container="pod_uid_") == Claim(transitions=4)
    assert leadership.candidate_step(seen, now=100, container="pod_other_") == Wait(15)
    assert leadership.candidate_step(seen, now=100, container="") == Wait(15)


def test_a_lease_that_looks_the_same_is_as_old_as_when_it_was_seen_first_and_a_renewed_one_is_new() -> None:
    first = leadership.sighted(None, HELD, now=100)
    assert leadership.sighted(first, HELD, now=110) == Sighting(HELD, since=100)
    # The holder's clock went back: that its word differs is enough.
    renewed = replace(HELD, renewed="11:00:00")
    assert leadership.sighted(first, renewed, now=110) == Sighting(renewed, since=110)


@pytest.mark.parametrize(
    ("tried", "now", "step"),
    [
        (100, 100, Wait(5)),
        (100, 105, Renew(2.5)),
        (105, 105.5, Wait(0.5)),
        (105, 106, Renew(2.5)),
        (109.5, 109.75, Wait(0.75)),
        (500, 501, Renew(2.5)),
    ],
)
def test_a_holder_renews_in_good_time_and_tries_again_soon(tried: float, now: float, step: Renew | Wait) -> None:
    assert leadership.holder_step(100, tried, now, TERMS) == step


def test_a_lease_is_lost_to_somebody_else_and_to_nobody() -> None:
    assert leadership.is_lost(HELD, "me_2")
    assert leadership.is_lost(replace(HELD, holder=""), "me_2")
    assert not leadership.is_lost(HELD, "other_1")
    assert not leadership.is_lost(None, "me_2")


def test_no_write_begins_late_and_each_ends_before_anybody_else_can_hold_the_lease() -> None:
    assert leadership.seconds_to_write(100, 100, TERMS) == 15
    assert leadership.seconds_to_write(100, 109, TERMS) == 6
    assert leadership.seconds_to_write(100, 110, TERMS) == 0
    assert leadership.seconds_to_write(100, 500, TERMS) == 0
