"""Adams: predict, and with the same call correct, in a coordinate that is bounded at both ends."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.core.level import Level, lift
from unmist.core.solver import Asking, Seen, euler_step, mean_at, solvers

__all__ = ["Adams"]

Node = tuple[Tensor, Tensor]  # tau of a level (its shape), the mean there (shape of x)


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
        if past and self.order > 1:
            better = self._advance(past[-1].x, past[-1].level, here, nodes)
            x = torch.where(lift(here.sigma, x) > 0, better, x)  # what is finished stays
        return self._advance(x, here, there, nodes), Seen(here, x, mean)

    def _advance(
        self, x: Tensor, here: Level, there: Level, means: list[tuple[Level, Tensor]]
    ) -> Tensor:
        """Euler with the first mean, and the rest of Newton's polynomial."""
        ahead = euler_step(x, means[0][1], here, there)
        nodes = [(self._tau(level), mean) for level, mean in means]
        shares = _shares([tau for tau, _ in nodes[:-1]], here, there, self.scale)
        for share, slope in zip(shares, _differences(nodes), strict=True):
            ahead = ahead + lift(there.alpha * share, x) * slope
        return ahead

    def _tau(self, level: Level) -> Tensor:
        """0 at NOISE, 1 at DATA."""
        signal = self.scale * level.alpha
        return signal / torch.hypot(signal, level.sigma)


def _differences(nodes: list[Node]) -> list[Tensor]:
    """Newton's divided differences of order 1, 2, …; 0 where two nodes are one level."""
    row, found = [mean for _, mean in nodes], []
    for gap in range(1, len(nodes)):
        spans = [nodes[i][0] - nodes[i + gap][0] for i in range(len(nodes) - gap)]
        slopes = [
            lift(torch.where(span == 0, 0.0, 1 / span), row[0]) * (row[i] - row[i + 1])
            for i, span in enumerate(spans)
        ]
        found.append(slopes[0])
        row = slopes
    return found


def _shares(taus: list[Tensor], here: Level, there: Level, scale: float) -> list[Tensor]:
    """For k = 1, 2, …: 1/u' * the integral over [u, u'] of (tau - tau_1)*…*(tau - tau_k) du.

    By Gauss-Legendre in z = asinh(s*u), where u = sinh(z)/s and tau = tanh(z) are analytic to
    |Im z| < pi/2: 24 places give 1e-9 over the whole of [0.002, 80] and rounding on usual steps.
    At DATA the average over [u, inf) is the value at tau = 1; from DATA on nothing is left.
    """
    low, high = (torch.asinh(_bounded(level, scale)) for level in (here, there))
    places, weights = _gauss(24)
    half = ((high - low) / 2)[..., None]
    z = low[..., None] + half * (1 + places)
    safe = torch.where(high == 0, 1.0, high)[..., None]
    density = torch.cosh(z) / torch.sinh(safe) * half * weights
    tau, at_data, shares = torch.tanh(z), torch.ones(()).double(), []
    to_data, from_data = there.sigma == 0, here.sigma == 0
    for node in taus:
        density, at_data = density * (tau - node[..., None]), at_data * (1 - node)
        share = torch.where(to_data, at_data, density.sum(-1))
        shares.append(torch.where(from_data, 0.0, share))
    return shares


@cache
def _gauss(count: int) -> tuple[Tensor, Tensor]:
    """Places in (-1, 1) and their weights; kept, as finding them costs more than a step."""
    places, weights = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy(places), torch.from_numpy(weights)


def _bounded(level: Level, scale: float) -> Tensor:
    """s*alpha/sigma, held where DATA would be infinite."""
    safe = torch.where(level.sigma > 0, level.sigma, 1.0)
    return torch.where(level.sigma > 0, scale * level.alpha / safe, 1.0)
