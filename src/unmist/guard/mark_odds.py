"""How likely a mark is to be found where there is none: bounds that hold for any picture.

In both marks the key's secret stream is uniform and independent of a picture that was not marked
with it, so the law of what is counted is known exactly, over the draw of the key, whatever the
picture shows. The bounds below never promise more than that law. Several ways of looking share
their chance by weights that sum to 1 (Bonferroni), so a long search costs what it must.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["LN10", "Odds", "better_of", "cosine_tail", "sign_tail"]

LN10 = math.log(10)
TILTS = np.geomspace(0.01, 300, 160)


@dataclass(frozen=True)
class Odds:
    """Chance that a picture without this mark looks as marked as this one, by powers of ten.

    log10_p <= 0, corrected for all `tried` ways of looking; agreement: -1 … 1, 0 expected of
    unmarked and 1 of untouched marked pictures; bits: how many places were counted; how: the way
    of looking that found most.
    """

    log10_p: float
    agreement: float
    bits: int
    tried: int
    how: str

    def holds(self, rate: float = 1e-6) -> bool:
        """Whether it is a finding at this rate of false alarms (0 < rate < 1)."""
        return self.log10_p <= math.log10(rate)

    def __str__(self) -> str:
        if self.log10_p >= 0:
            return f"no sign of the mark ({self.tried} ways of looking)"
        return (
            f"1 in 10^{-self.log10_p:.1f} that an unmarked picture looks like this "
            f"({self.agreement:.0%} agreement in {self.bits} places, {self.how}, "
            f"{self.tried} ways of looking)"
        )


def better_of(found: Sequence[Odds]) -> Odds:
    """The strongest of some, all corrected already for being some of many."""
    return min(found, key=lambda odds: odds.log10_p)


def cosine_tail(total: float, sizes: Tensor) -> float:
    """log10 of a bound on P(sum of sizes_k*cos(theta_k) >= total), theta_k uniform, independent.

    Chernoff: the moment function of cos is the Bessel function I0, so that ln P <= sum of
    ln I0(t*sizes_k) - t*total for every t > 0; the least over a list of t. sizes (n,) >= 0.
    """
    values, counts = np.unique(sizes.double().numpy().round(6), return_counts=True)
    scale = float(np.sqrt((values**2 * counts).sum() / counts.sum()))
    if not total > 0 or not scale > 0:
        return 0.0
    tilts = torch.from_numpy(TILTS / scale)
    inside = tilts[:, None] * torch.from_numpy(values + 1e-6)  # rounded down at most by half of it
    logs = (torch.special.i0e(inside).log() + inside) @ torch.from_numpy(counts).double()
    return min(0.0, float((logs - tilts * total).min()) / LN10)


def sign_tail(total: float, sizes: Tensor) -> float:
    """log10 of a bound on P(sum of sizes_k*s_k >= total), s_k = ±1 fair and independent.

    Chernoff with the moment function cosh; sizes (n,) >= 0.
    """
    x = sizes.double()
    scale = float(x.square().mean().sqrt())
    if not total > 0 or not scale > 0:
        return 0.0
    tilts = torch.from_numpy(TILTS / scale)
    inside = tilts[:, None] * x
    logs = (inside + torch.log1p(torch.exp(-2 * inside)) - math.log(2)).sum(1)
    return min(0.0, float((logs - tilts * total).min()) / LN10)
