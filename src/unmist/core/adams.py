"""Adams: predict, and with the same call correct, in a coordinate that is bounded at both ends."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from math import asinh, hypot, prod, sinh

import numpy as np
import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.core.level import Level, Number, blend, lift
from unmist.core.solver import Asking, Seen, euler_parts, mean_at, solvers

__all__ = ["Adams"]


@solvers("adams")
@dataclass(frozen=True)
class Adams:
    """Adams-Bashforth-Moulton on the exact exponential integral, one call a step.

    Between levels x' = keep*x + alpha'/u' * integral of D du with u = alpha/sigma. D is replaced by
    the polynomial through the last `order` means, in tau = s*alpha/hypot(s*alpha, sigma), and that
    is integrated exactly. For data of standard deviation s, D itself is linear in tau; tau is
    linear in u next to NOISE and in sigma^2 next to DATA, as every D is. So, unlike polynomials in
    log-SNR (DPM-Solver++ 2211.01095, UniPC 2302.04867), it neither overshoots on long first steps
    nor has to fall back to Euler at an end. As in UniPC, the mean asked for at `here` first
    corrects the step that led there.
    """

    order: int = 3
    scale: float = 1.0
    stochastic = False

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3):  # more would need a better first step than Euler's
            raise BadInput(f"order {self.order}", where="solver.adams", mend="1, 2 or 3")
        if not self.scale > 0:
            raise BadInput(f"scale {self.scale}", where="solver.adams", mend="above 0")

    @property
    def memory(self) -> int:
        """What the corrector starts from counts too."""
        return max(self.order - 1, 1)

    def __call__(
        self,
        x: Tensor,
        here: Level,
        there: Level,
        past: tuple[Seen, ...],
        noise: Callable[[Tensor], Tensor],
    ) -> Asking:
        """Correct, then predict."""
        mean = yield from mean_at(x, here, there)
        nodes = [(here, mean), *((old.level, old.mean) for old in past[::-1])][: self.order]
        if past and self.order > 1 and not here.is_data:  # what is finished stays
            better = self._advance(past[-1].x, past[-1].level, here, nodes)
            done = here.sigma == 0
            x = torch.where(lift(done, x).bool(), x, better) if bool(done.any()) else better
        return self._advance(x, here, there, nodes), Seen(here, x, mean)

    def _advance(
        self, x: Tensor, here: Level, there: Level, means: list[tuple[Level, Tensor]]
    ) -> Tensor:
        """keep*x + sum of c_j*D_j."""
        keep, take = euler_parts(here, there)
        first, *others = _rest(self.scale, [here, there, *(level for level, _ in means)])
        shares = (take + first, *others)
        return blend(x, keep, *zip(shares, (mean for _, mean in means), strict=True))


# Coefficients are worked out level by level, in plain numbers, and kept: in the usual case all rows
# share theirs, and tensors of one element cost more than the network's smallest layers.

Pair = tuple[float, float]


def _rest(scale: float, levels: list[Level]) -> list[Number]:
    """What each mean counts beyond Euler's, from levels[0] to levels[1]; the others are theirs."""
    if not any(level.shape for level in levels):
        return list(_beyond(scale, *((float(a), float(s)) for a, s in (x.parts for x in levels))))
    alphas = torch.broadcast_tensors(*(level.alpha for level in levels))
    sigmas = torch.broadcast_tensors(*(level.sigma for level in levels))
    pairs = torch.stack([torch.stack(alphas), torch.stack(sigmas)], -1)  # (levels, *shape, 2)
    rows = pairs.flatten(1, -2).transpose(0, 1).tolist()
    found = [_beyond(scale, *map(tuple, row)) for row in rows]
    columns = torch.tensor(found, dtype=torch.float64).T
    return [column.reshape(alphas[0].shape) for column in columns]


@lru_cache(maxsize=1 << 14)
def _beyond(scale: float, here: Pair, there: Pair, *nodes: Pair) -> tuple[float, ...]:
    """For levels (alpha, sigma) of one sample: Newton's polynomial written out.

    The divided difference of order k is the sum over j <= k of D_j/prod_(i != j)(tau_j - tau_i);
    it is left out where two of its nodes are one level, as where a frame waits its turn.
    """
    taus = [_tau(node, scale) for node in nodes]
    counts = [0.0] * len(nodes)
    for order, share in enumerate(_integrals(taus[:-1], here, there, scale), start=1):
        met = taus[: order + 1]
        gaps = [prod(one - two for i, two in enumerate(met) if i != j) for j, one in enumerate(met)]
        if all(gaps):
            for j, gap in enumerate(gaps):
                counts[j] += share / gap
    return tuple(there[0] * count for count in counts)


def _tau(level: Pair, scale: float) -> float:
    """0 at NOISE, 1 at DATA."""
    return scale * level[0] / hypot(scale * level[0], level[1])


def _integrals(taus: list[float], here: Pair, there: Pair, scale: float) -> Iterator[float]:
    """For k = 1, 2, …: 1/u' * the integral over [u, u'] of (tau - tau_1)*…*(tau - tau_k) du.

    By Gauss-Legendre in z = asinh(s*u), where u = sinh(z)/s and tau = tanh(z) are analytic to
    |Im z| < pi/2: 24 places give 1e-9 over the whole of [0.002, 80] and rounding on usual steps.
    At DATA the average over [u, inf) is the value at tau = 1; from DATA on nothing is left, and
    NOISE is not arrived at by means.
    """
    if not (here[1] and there[0]):
        yield from [0.0] * len(taus)
    elif not there[1]:
        yield from (prod(1 - node for node in taus[:count]) for count in range(1, len(taus) + 1))
    else:
        low, high = (asinh(scale * alpha / sigma) for alpha, sigma in (here, there))
        places, weights = _gauss(24)
        half = (high - low) / 2
        z = low + half * (1 + places)
        tau, density = np.tanh(z), np.cosh(z) * weights * (half / sinh(high))
        for node in taus:
            density = density * (tau - node)
            yield float(density.sum())


@cache
def _gauss(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Places in (-1, 1) and their weights; kept, as finding them costs more than a step."""
    return np.polynomial.legendre.leggauss(count)
