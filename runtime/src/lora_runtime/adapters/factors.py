"""What blends do to one module: low-rank effects that are summed, merged and cut. Pure functions on tensors."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lora_api.v1alpha1.blend import BlendMethod

_EXACT_SIDE = 1024
"""Dense matrices up to this many rows or columns are decomposed in full; it takes time with the third power."""
_SPARE = 16
_ITERATIONS = 6
"""Of the randomised decomposition of larger ones: what it keeps beyond the best is below what float32 tells."""


@dataclass(frozen=True, slots=True)
class Factors:
    """An effect on one module: scale * B @ A, in float32."""

    a: torch.Tensor
    """`[rank, in]`."""
    b: torch.Tensor
    """`[out, rank]`."""
    scale: float = 1.0

    @property
    def dense(self) -> torch.Tensor:
        """The whole matrix, `[out, in]`."""
        return (self.b @ self.a) * self.scale

    def scaled(self, weight: float) -> "Factors":
        """The effect times a weight; nothing is rounded yet."""
        return Factors(self.a, self.b, weight * self.scale)


@dataclass(frozen=True, slots=True)
class Energy:
    """Squared singular values, summed: how much of an effect there was, and how much was kept."""

    kept: float = 0.0
    total: float = 0.0

    def __add__(self, other: "Energy") -> "Energy":
        return Energy(self.kept + other.kept, self.total + other.total)

    @property
    def share(self) -> float:
        """From 0 to 1; nothing is lost of nothing."""
        return min(1.0, self.kept / self.total) if self.total else 1.0


def concat(terms: Sequence[Factors]) -> Factors:
    """The exact sum: A matrices stacked, and B matrices, times their scales, side by side."""
    return Factors(torch.cat([term.a for term in terms], dim=0), torch.cat([t.b * t.scale for t in terms], dim=1))


def svd(summed: Factors, rank: int) -> tuple[Factors, Energy]:
    """The best approximation of at most this rank, computed through the factors: the dense matrix is never made.

    With B = Q R and A' = P S, the singular values of B A are those of the small R S'.
    """
    q, r = torch.linalg.qr(summed.b.double() * summed.scale)
    p, s = torch.linalg.qr(summed.a.double().T)
    u, values, vh = torch.linalg.svd(r @ s.T, full_matrices=False)
    return _cut(q @ u, values, vh @ p.T, rank, float(values.square().sum()))


def merge(
    method: BlendMethod,
    terms: Sequence[Factors],
    weights: Sequence[float],
    *,
    density: float,
    seed: int,
    rank: int,
) -> tuple[Factors, Energy]:
    """PEFT's merge of dense effects, then the best approximation of at most this rank.

    Equal to PEFT's combinations ties_svd and dare_linear_svd; large matrices are decomposed faster than PEFT does it, to
    the same energy. Holds several dense matrices for each term in memory. What DARE drops depends on the seed and the
    order of the terms alone.
    """
    # slow to import, and needed by these methods only
    from peft.utils import merge_utils

    deltas = [term.dense for term in terms]
    with warnings.catch_warnings():
        # PEFT warns of density 1, which is a wish like any other
        warnings.simplefilter("ignore", UserWarning)
        if method is BlendMethod.TIES:
            merged = merge_utils.ties(deltas, torch.tensor(weights), density)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                merged = merge_utils.dare_linear(deltas, torch.tensor(weights), density)
    del deltas
    return _best(merged, rank, seed)


def seed_of(seed: int, module: str) -> int:
    """The seed for one module: what is dropped in one says nothing about another."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{module}".encode()).digest()[:7])


def _best(dense: torch.Tensor, rank: int, seed: int) -> tuple[Factors, Energy]:
    if min(dense.shape) <= max(_EXACT_SIDE, 4 * rank):
        u, values, vh = torch.linalg.svd(dense, full_matrices=False)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            u, values, v = torch.svd_lowrank(dense, q=rank + _SPARE, niter=_ITERATIONS)
        vh = v.T
    return _cut(u, values, vh, rank, float(dense.double().square().sum()))


def _cut(u: torch.Tensor, values: torch.Tensor, vh: torch.Tensor, rank: int, total: float) -> tuple[Factors, Energy]:
    u, values, vh = u[:, :rank], values[:rank], vh[:rank]
    # the sign of a pair of singular vectors is free: the largest value of each column of U is made positive
    peaks = u.gather(0, u.abs().argmax(dim=0, keepdim=True))
    signs = torch.where(peaks < 0, -1.0, 1.0)
    energy = Energy(float(values.double().square().sum()), total)
    return Factors((vh * signs.T).float(), (u * values * signs).float()), energy
