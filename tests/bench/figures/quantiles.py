"""Quantiles, and ratios of them with their uncertainty. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = Sequence[float]
Figure: TypeAlias = Callable[["NDArray[np.float64]"], float]


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure of one arm over that of the other."""

    value: float
    low: float
    """Lower end of the 95 % confidence interval."""
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def quantile(share: float) -> Figure:
    """The function that gives this quantile, interpolated between neighbours; NaN of nothing."""

    def of(values: "NDArray[np.float64]") -> float:
        return float(np.quantile(values, share)) if len(values) else float("nan")

    return of


MEDIAN = quantile(0.5)
P99 = quantile(0.99)


def mean(values: "NDArray[np.float64]") -> float:
    """The mean; NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")


def pooled(blocks: Sequence[Values]) -> "NDArray[np.float64]":
    """All values of all blocks."""
    return np.concatenate([np.asarray(block, dtype=np.float64) for block in blocks]) if blocks else np.empty(0)


def paired_ratio(
    treated: Sequence[Values], control: Sequence[Values], figure: Figure, *, seed: int, resamples: int = 1000
) -> Ratio:
    """The figure over all treated blocks, divided by that over all control blocks.

    Blocks that ran beside each other have the same index. The interval is the percentile bootstrap over pairs of
    blocks: values within a block depend on each other (they queue together), pairs do not.
    """
    if len(treated) != len(control):
        raise ValueError(f"{len(treated)} treated blocks cannot be paired with {len(control)} control blocks")
    value = _divided(figure(pooled(treated)), figure(pooled(control)))
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples if len(treated) > 1 else 0):
        chosen = random.integers(0, len(treated), len(treated))
        above = figure(pooled([treated[index] for index in chosen]))
        below = figure(pooled([control[index] for index in chosen]))
        drawn.append(_divided(above, below))
    if not drawn:
        return Ratio(value, float("nan"), float("nan"))
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Ratio(value, float(low), float(high))


def _divided(above: float, below: float) -> float:
    return above / below if below else float("nan")
