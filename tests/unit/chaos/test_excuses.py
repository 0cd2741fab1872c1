"""Who cannot know is not held to it, and is again a while later."""

from chaos.excuses import Excuses


def test_a_fault_excuses_while_it_lasts_and_for_a_while_after() -> None:
    excuses = Excuses()
    excuses.begin("p0", "cut")
    assert excuses.holds("p0", 1e9)
    excuses.end("p0", "cut", 10.0, 5.0)
    assert excuses.holds("p0", 14.9)
    assert not excuses.holds("p0", 15.0)


def test_without_a_while_it_excuses_no_longer_than_it_lasts() -> None:
    excuses = Excuses()
    excuses.begin("operator", "death")
    excuses.end("operator", "death", 10.0)
    assert not excuses.holds("operator", 10.0)


def test_the_end_of_one_fault_is_not_the_end_of_another() -> None:
    excuses = Excuses()
    excuses.begin("p0", "cut")
    excuses.begin("p0", "pause")
    excuses.end("p0", "pause", 10.0, 1.0)
    assert excuses.holds("p0", 100.0)


def test_nobody_is_excused_for_the_trouble_of_another() -> None:
    excuses = Excuses()
    excuses.begin("p0", "cut")
    assert not excuses.holds("p1", 0.0)
