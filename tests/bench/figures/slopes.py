"""What grows with what. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Slope:
    """A line fitted through points."""

    per_unit: float
    error: float
    """Standard error of the slope; too small where neighbouring points depend on each other."""
    points: int


def slope(xs: Sequence[float], ys: Sequence[float]) -> Slope:
    """Least squares; zero of fewer than three points, or of points all at one place."""
    if len(xs) != len(ys):
        raise ValueError(f"{len(xs)} xs for {len(ys)} ys")
    x, y = np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)
    if len(x) < 3 or np.ptp(x) == 0:
        return Slope(0.0, float("nan"), len(x))
    dx = x - x.mean()
    per_unit = float(dx @ (y - y.mean()) / (dx @ dx))
    rest = y - y.mean() - per_unit * dx
    error = float(np.sqrt(rest @ rest / (len(x) - 2) / (dx @ dx)))
    return Slope(per_unit, error, len(x))


def settled(count: int, share: float = 0.25) -> int:
    """From this index on points count: the first share of them is warm-up."""
    return int(count * share)
