"""The load: seeded, open-loop, mixed as it was asked."""

from collections import Counter
from itertools import islice, pairwise
from random import Random
from statistics import fmean, stdev

import pytest

from bench.load.arrivals import Mix, arrivals, asks, zipf

MIX = Mix(prompts={"base": [0, 1], "x": [2]}, weights={"base": 1.0, "x": 3.0}, lengths=(3, 5), streams=0.5)


def test_the_same_seed_gives_the_same_arrivals() -> None:
    assert arrivals(MIX, 10, 20, Random("a")) == arrivals(MIX, 10, 20, Random("a"))
    assert arrivals(MIX, 10, 20, Random("a")) != arrivals(MIX, 10, 20, Random("b"))


def test_arrivals_come_at_the_rate_in_order_and_within_the_time() -> None:
    schedule = arrivals(MIX, 50, 100, Random(1))
    assert len(schedule) == pytest.approx(5000, rel=0.05)
    assert [ask.at for ask in schedule] == sorted(ask.at for ask in schedule)
    assert 0 < schedule[0].at < schedule[-1].at < 100


def test_shares_prompts_and_streams_are_as_the_mix_says() -> None:
    found = list(islice(asks(MIX, Random(2)), 4000))
    assert Counter(ask.model for ask in found)["x"] == pytest.approx(3000, rel=0.05)
    assert sum(ask.stream for ask in found) == pytest.approx(2000, rel=0.05)
    assert {(ask.model, ask.prompt) for ask in found} == {("base", 0), ("base", 1), ("x", 2)}
    assert {ask.tokens for ask in found} == {3, 5}


def test_zipf_falls_by_rank() -> None:
    assert zipf(["a", "b", "c", "d"]) == {"a": 1.0, "b": 0.5, "c": pytest.approx(1 / 3), "d": 0.25}


def test_more_burstiness_gives_more_even_times_between_arrivals() -> None:
    def spread(burstiness: float) -> float:
        times = [ask.at for ask in arrivals(MIX, 50, 100, Random(1), burstiness=burstiness)]
        between = [later - earlier for earlier, later in pairwise(times)]
        return stdev(between) / fmean(between)

    assert spread(1.0) == pytest.approx(1.0, rel=0.05)
    assert spread(25.0) == pytest.approx(0.2, rel=0.05)
