"""The kernel distance: how far two laws are apart in all third moments of their features.

Bińkowski et al. 2018 (1801.01403): the unbiased squared maximum mean discrepancy (Gretton et al.
2012, equation 3) with the kernel (x . y / d + 1)^3. Unlike the Fréchet distance it has no bias at
any number of samples, and falls below 0 as often as above where the laws are equal.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.metrics.bounds import squared_bounds
from unmist.metrics.estimate import Estimate

__all__ = ["kernel_distance"]

BLOCK = 1 << 22
"""Kernel values at a time: 32 MB."""


@dataclass(frozen=True, eq=False)
class _Table:
    """What is kept of a table of kernel values (n, m): its sums by row and column, and of squares.

    For rows against themselves the diagonal is left out.
    """

    rows: Tensor
    columns: Tensor
    squares: float

    @property
    def mean(self) -> float:
        n, m = len(self.rows), len(self.columns)
        return float(self.rows.sum()) / (n * m)


def kernel_distance(x: Tensor, y: Tensor, *, features: str) -> Estimate:
    """Between samples (n, d) and real pictures (m, d), at least four rows each; all pairs count.

    Memory O(n + m) beside the features and a block of 32 MB. The interval holds where some tens of
    rows a side are at hand: from the influence of each row, and from that of pairs, which is all
    there is where the laws are equal.
    """
    if x.shape[1] != y.shape[1]:
        raise BadInput(f"{x.shape[1]} features against {y.shape[1]}", mend="use the same features")
    n, m = len(x), len(y)
    if min(n, m) < 4:
        raise BadInput(f"{min(n, m)} pictures tell no kernel distance", mend="give at least four")
    x, y = x.double(), y.double()
    within, between, other = _table(x, x, same=True), _table(x, y), _table(y, y, same=True)
    own, foreign = within.rows / (n - 1), other.rows / (m - 1)
    value = float(own.mean() + foreign.mean()) - 2 * between.mean
    pairs = _square(within), _square_between(between), _square(other)
    influence = (
        own - between.rows / m,
        foreign - between.columns / n,
    )
    single = [
        4 / k * (float(g.var()) - pair / (k - 1) - pairs[1] / j)
        for g, pair, k, j in zip(influence, pairs[::2], (n, m), (m, n), strict=True)
    ]
    quadratic = 2 * pairs[0] / (n * (n - 1)) + 4 * pairs[1] / (n * m) + 2 * pairs[2] / (m * (m - 1))
    bias = _self(x) / n - float(own.mean()) / n + _self(y) / m - float(foreign.mean()) / m
    low, high = squared_bounds(value, sum(single), quadratic, bias, 1.96)
    return Estimate(
        name="KID" if features == "inception" else "kernel distance",
        value=value,
        low=low,
        high=high,
        count=n,
        reference=m,
        features=features,
        method="unbiased over all pairs; 95 % by the influence of rows and of pairs",
    )


def _self(x: Tensor) -> float:
    """The mean kernel of a row with itself."""
    return float(((x.square().sum(1) / x.shape[1] + 1) ** 3).mean())


def _table(x: Tensor, y: Tensor, *, same: bool = False) -> _Table:
    """The sums of the kernel between rows (n, d) and (m, d), a block of rows at a time."""
    size = max(1, BLOCK // len(y))
    rows, columns, squares = [], torch.zeros(len(y)).double(), 0.0
    for start in range(0, len(x), size):
        base = x[start : start + size] @ y.T / x.shape[1] + 1
        block = base * base * base  # a tenth of the time of a power
        if same:
            block.diagonal(start).zero_()
        rows.append(block.sum(1))
        columns += block.sum(0)
        squares += float(block.square().sum())
    return _Table(torch.cat(rows), columns, squares)


def _square(table: _Table) -> float:
    """The mean square of the centred kernel of two different rows, unbiased.

    U-centring, Székely & Rizzo 2014 (1310.2926), from the sums alone.
    """
    n, rows = len(table.rows), table.rows
    total = float(rows.sum()) ** 2 / ((n - 1) * (n - 2))
    return max(0.0, table.squares - 2 * float(rows.square().sum()) / (n - 2) + total) / (
        n * (n - 3)
    )


def _square_between(table: _Table) -> float:
    """The same between rows of two samples."""
    n, m = len(table.rows), len(table.columns)
    lines = float(table.rows.square().sum()) / m + float(table.columns.square().sum()) / n
    rest = table.squares - lines + float(table.rows.sum()) ** 2 / (n * m)
    return max(0.0, rest) / ((n - 1) * (m - 1))
