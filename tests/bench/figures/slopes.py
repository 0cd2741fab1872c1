"""What grows with what. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

_Column: TypeAlias = "NDArray[np.float64]"


@dataclass(frozen=True, slots=True)
class Slope:
    """A line fitted through points."""

    per_unit: float
    error: float
    """Standard error of the slope; too small where neighbouring points depend on each other."""
    points: int


def slope(xs: Sequence[float], ys: Sequence[float], *, beside: Sequence[float]) -> Slope:
    """How much y grows with x, where it also grows with `beside`.

    Least squares on both, by way of what `beside` leaves of x and y (Frisch and Waugh, 1933). Zero of fewer than four
    points, or where x says nothing that `beside` does not.
    """
    if not len(xs) == len(ys) == len(beside):
        raise ValueError(f"{len(xs)} xs and {len(beside)} beside them for {len(ys)} ys")
    z = _centred(beside)
    x, y = _rest(_centred(xs), z), _rest(_centred(ys), z)
    spread = float(x @ x)
    if len(xs) < 4 or spread <= 1e-9 * float(_centred(xs) @ _centred(xs)):
        return Slope(0.0, float("nan"), len(xs))
    per_unit = float(x @ y) / spread
    rest = y - per_unit * x
    return Slope(per_unit, float(np.sqrt(rest @ rest / (len(xs) - 3) / spread)), len(xs))


def settled(count: int, share: float = 0.25) -> int:
    """From this index on points count: the first share of them is warm-up."""
    return int(count * share)


def _centred(values: Sequence[float]) -> _Column:
    column = np.asarray(values, dtype=np.float64)
    return column - column.mean() if len(column) else column


def _rest(column: _Column, beside: _Column) -> _Column:
    spread = float(beside @ beside)
    return column - beside * float(beside @ column) / spread if spread else column
