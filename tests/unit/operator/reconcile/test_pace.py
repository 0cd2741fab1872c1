"""A burst is let through at once; what goes on is slowed down to what the operator can bear of one pod."""

from lora_operator.reconcile.pace import Pace


def test_a_burst_waits_for_nothing() -> None:
    pace = Pace()
    assert [pace.pause(100.0) for _ in range(50)] == [0.0] * 50


def test_what_goes_on_without_an_end_comes_twenty_times_a_second() -> None:
    pace, now = Pace(), 100.0
    for _ in range(550):
        now += pace.pause(now)
    assert round(now - 100.0, 2) == 25.0


def test_who_was_quiet_may_burst_again() -> None:
    pace = Pace()
    for _ in range(60):
        pace.pause(100.0)
    assert [pace.pause(110.0) for _ in range(50)] == [0.0] * 50
