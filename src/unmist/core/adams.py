"""Adams: predict, and with the same call correct, in a coordinate that is bounded at both ends."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.core.level import Level, lift
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
        if past and self.order > 1:
            better = self._advance(past[-1].x, past[-1].level, here, nodes)
            done = here.sigma == 0  # what is finished stays
            x = torch.where(lift(done, x).bool(), x, better) if bool(done.any()) else better
        return self._advance(x, here, there, nodes), Seen(here, x, mean)

    def _advance(
        self, x: Tensor, here: Level, there: Level, means: list[tuple[Level, Tensor]]
    ) -> Tensor:
        """keep*x + sum of c_j*D_j."""
        keep, take = euler_parts(here, there)
        rest = _newton([self._tau(level) for level, _ in means], here, there, self.scale)
        shares = [torch.from_numpy(np.asarray(share)) * there.alpha for share in rest]
        shares[0] = shares[0] + take
        ahead = lift(keep, x) * x
        for share, (_, mean) in zip(shares, means, strict=True):
            ahead = torch.addcmul(ahead, lift(share, x), mean)
        return ahead

    def _tau(self, level: Level) -> np.ndarray:
        """0 at NOISE, 1 at DATA."""
        signal = self.scale * level.alpha.numpy()
        return signal / np.hypot(signal, level.sigma.numpy())


# Coefficients are NumPy's: on arrays this small an operation costs a fifth of torch's.


def _newton(taus: list[np.ndarray], here: Level, there: Level, scale: float) -> list[np.ndarray]:
    """What each mean counts beyond Euler's, over alpha'; Newton's polynomial written out.

    The divided difference of order k is the sum over j <= k of D_j/prod_(i != j)(tau_j - tau_i);
    it is left out where two of its nodes are one level, as where a frame waits its turn.
    """
    counts = [np.zeros(here.shape) for _ in taus]
    if len(taus) == 1:
        return counts
    shares = _shares(taus[:-1], here, there, scale)
    for order, share in enumerate(shares, start=1):
        products = []
        for j in range(order + 1):
            others = [taus[j] - taus[i] for i in range(order + 1) if i != j]
            products.append(np.multiply.reduce(others))
        distinct = np.minimum.reduce(np.abs(products)) > 0
        for j, product in enumerate(products):
            counts[j] = counts[j] + np.where(distinct, share / np.where(distinct, product, 1.0), 0)
    return counts


def _shares(taus: list[np.ndarray], here: Level, there: Level, scale: float) -> list[np.ndarray]:
    """For k = 1, 2, …: 1/u' * the integral over [u, u'] of (tau - tau_1)*…*(tau - tau_k) du.

    By Gauss-Legendre in z = asinh(s*u), where u = sinh(z)/s and tau = tanh(z) are analytic to
    |Im z| < pi/2: 24 places give 1e-9 over the whole of [0.002, 80] and rounding on usual steps.
    At DATA the average over [u, inf) is the value at tau = 1; from DATA on nothing is left.
    """
    low, high = (np.arcsinh(_bounded(level, scale))[..., None] for level in (here, there))
    places, weights = _gauss(24)
    half = (high - low) / 2
    z = low + half * (1 + places)
    density = np.cosh(z) / np.sinh(np.where(high == 0, 1.0, high)) * half * weights
    tau, at_data, shares = np.tanh(z), 1.0, []
    to_data, from_data = there.sigma.numpy() == 0, here.sigma.numpy() == 0
    for node in taus:
        density, at_data = density * (tau - node[..., None]), at_data * (1 - node)
        share = np.where(to_data, at_data, density.sum(-1))
        shares.append(np.where(from_data, 0.0, share))
    return shares


@cache
def _gauss(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Places in (-1, 1) and their weights; kept, as finding them costs more than a step."""
    return np.polynomial.legendre.leggauss(count)


def _bounded(level: Level, scale: float) -> np.ndarray:
    """s*alpha/sigma, held where DATA would be infinite."""
    alpha, sigma = level.alpha.numpy(), level.sigma.numpy()
    return np.where(sigma > 0, scale * alpha / np.where(sigma > 0, sigma, 1.0), 1.0)
