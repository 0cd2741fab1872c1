"""Quantiles, ratios and slopes."""

import math
from itertools import accumulate
from random import Random

import pytest

from bench.figures.quantiles import MEDIAN, P99, mean, paired_ratio, pooled, quantile
from bench.figures.slopes import settled, slope


def noisy(random: Random, scale: float, count: int = 200) -> list[float]:
    return [scale * random.lognormvariate(0, 0.3) for _ in range(count)]


def test_quantiles_interpolate_between_neighbours() -> None:
    assert quantile(0.5)(pooled([[1.0, 2.0], [4.0, 3.0]])) == 2.5
    assert P99(pooled([list(range(101))])) == 99


def test_a_quantile_of_nothing_is_not_a_number() -> None:
    assert math.isnan(MEDIAN(pooled([])))
    assert math.isnan(mean(pooled([[]])))


def test_equal_arms_have_ratio_1_and_an_interval_around_it() -> None:
    random = Random(1)
    ratio = paired_ratio([noisy(random, 1) for _ in range(10)], [noisy(random, 1) for _ in range(10)], MEDIAN, seed=0)
    assert ratio.low < 1 < ratio.high
    assert ratio.value == pytest.approx(1, abs=0.05)


def test_a_slower_arm_is_seen() -> None:
    random = Random(2)
    ratio = paired_ratio([noisy(random, 1.3) for _ in range(10)], [noisy(random, 1) for _ in range(10)], MEDIAN, seed=0)
    assert 1.2 < ratio.low < 1.3 < ratio.high < 1.4


def test_the_interval_comes_from_the_seed_alone() -> None:
    blocks = [noisy(Random(n), 1) for n in range(4)]
    first, second = (paired_ratio(blocks, blocks[::-1], P99, seed=5) for _ in range(2))
    assert first == second


def test_drift_that_hits_both_of_a_pair_does_not_widen_the_interval() -> None:
    blocks = [[float(scale)] * 10 for scale in range(1, 11)]
    slower = [[1.1 * value for value in block] for block in blocks]
    ratio = paired_ratio(slower, blocks, mean, seed=0)
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((1.1, 1.1, 1.1))


def test_one_pair_has_no_interval() -> None:
    ratio = paired_ratio([[2.0]], [[1.0]], MEDIAN, seed=0)
    assert ratio.value == 2
    assert math.isnan(ratio.low)


def test_blocks_without_a_partner_are_refused() -> None:
    with pytest.raises(ValueError, match="2 treated blocks cannot be paired with 1 control blocks"):
        paired_ratio([[1.0], [1.0]], [[1.0]], MEDIAN, seed=0)


def test_a_leak_is_found_in_noise_and_told_from_what_grows_with_time_alone() -> None:
    random = Random(3)
    seconds = [float(n) for n in range(200)]
    # swaps are made in every other ten seconds
    swaps = list(accumulate(float(n // 10 % 2) for n in range(200)))
    memory = [1000 + 0.05 * n + 0.3 * t + random.gauss(0, 1) for n, t in zip(swaps, seconds, strict=True)]
    leak, drift = slope(swaps, memory, beside=seconds), slope(seconds, memory, beside=swaps)
    assert leak.per_unit == pytest.approx(0.05, abs=2 * leak.error)
    assert drift.per_unit == pytest.approx(0.3, abs=2 * drift.error)
    assert leak.error < 0.05


def test_flat_memory_has_no_slope() -> None:
    assert slope([1, 2, 3, 4], [7, 7, 7, 7], beside=[1, 1, 2, 2]).per_unit == 0
    assert slope([1, 2, 3], [1, 2, 4], beside=[1, 1, 2]).per_unit == 0, "three points say nothing"
    assert slope([5, 5, 5, 5], [1, 2, 3, 4], beside=[1, 1, 2, 2]).per_unit == 0, "nothing was swapped"
    assert slope([1, 2, 3, 4], [1, 2, 3, 5], beside=[2, 4, 6, 8]).per_unit == 0, "swaps and time cannot be told apart"


def test_the_first_quarter_is_warm_up() -> None:
    assert settled(100) == 25
    assert settled(0) == 0
