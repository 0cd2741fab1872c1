"""Which runs are good."""

from dataclasses import replace

import pytest

from chaos.checker import Verdict
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
