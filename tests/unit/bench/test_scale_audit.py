"""Which requests the benchmark of scale counts as what a change asks for."""

from collections import Counter

from bench.scale.audit import Requests


def test_what_comes_by_the_clock_is_no_write_of_a_change() -> None:
    asked = Requests(Counter({"patch leases": 2, "patch secrets": 1, "patch configmaps": 3, "get configmaps": 5}))
    assert asked.writes == 3
    assert asked.total == 11


def test_every_other_verb_that_changes_something_is_one() -> None:
    asked = Requests(
        Counter({"create events": 1, "update leases": 1, "delete pods": 1, "list pods": 1, "watch pods": 1})
    )
    assert asked.writes == 3
