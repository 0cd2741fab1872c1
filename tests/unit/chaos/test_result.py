"""Which runs are good."""

from dataclasses import replace

import pytest

from chaos.checker import Verdict
from chaos.looks import Looks
from chaos.play import Result

GOOD = Result(seed=0, steps=300)


def test_a_run_that_found_nothing_is_good() -> None:
    assert GOOD.is_good


@pytest.mark.parametrize(
    "result",
    [
        replace(GOOD, verdicts=[Verdict(1.0, "lost", "a in p0")]),
        replace(GOOD, unsettled="after step 30: p0 does not answer"),
        replace(GOOD, operator_deaths=1),
    ],
    ids=["a verdict", "a quiet point that did not come", "an operator that ended by itself"],
)
def test_a_run_that_found_something_is_not(result: Result) -> None:
    assert not result.is_good


def test_the_last_line_says_how_closely_it_was_watched() -> None:
    looks = Looks(count=9, answered=5, gaps=[0.1, 0.1, 0.2, 4.0])
    key = replace(GOOD, silent_share=0.25, excused_share=0.05, looks=looks).key_figures()
    assert (key["claims_silent_pct"], key["claims_excused_pct"]) == (25.0, 5.0)
    assert (key["looks"], key["looks_answered"], key["gap_median_s"], key["gap_longest_s"]) == (9, 5, 0.2, 4.0)
