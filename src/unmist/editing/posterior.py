"""Posterior: a denoiser that also knows a measurement, E[x0 | x_t, y] instead of E[x0 | x_t].

Given x_t, the picture is taken for a Gaussian around the denoiser's mean D. Its covariance is known
exactly, sigma^2/alpha times the derivative of D (Tweedie's second order; 2310.06721, prop. 1), and
products with it are one backward pass each. So with C for it,

    E[x0 | x_t, y] = D + C A^T (A C A^T + sigma_y^2)^-1 (y - A D),

the inverse by a few rounds of conjugate gradients that start as PiGDM (ICLR 2023, eq. 7) does,
whose inner covariance is r^2/(1 + r^2) everywhere, r = sigma/alpha. Exact for Gaussian data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from unmist.core.condition import Cond
from unmist.core.denoiser import Denoiser
from unmist.core.level import Level, lift
from unmist.editing.measure import Measurement

__all__ = ["Posterior", "Told"]


class Told(NamedTuple):
    """The denoiser's mean, the one that knows y, and the log-likelihood of y (b,)."""

    plain: Tensor
    mean: Tensor
    log_p: Tensor


@dataclass(frozen=True, eq=False)
class Posterior:
    """`denoise`, told that the picture was seen as y by `measurement`.

    y has the rows of x, or one row for all. rounds: backward passes a call, each about two calls'
    worth; 0: PiGDM as published, one pass. spread: the data's standard deviation (1 in the space of
    models here). Parameters of a network stay frozen: only x is differentiated.
    """

    denoise: Denoiser
    measurement: Measurement
    y: Tensor
    rounds: int = 3
    spread: float = 1.0

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """Shape of x. D itself where alpha = 0: there x_t says nothing of the picture."""
        if here.is_noise:
            return self.denoise(x, here, cond, there=there)
        return self.told(x, here, cond, there=there).mean

    def told(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> "Told":
        """Both means, and log p(y | x_t) as PiGDM has it, (b,) float64, up to a constant."""
        with torch.enable_grad():
            at = x.detach().requires_grad_(True)
            plain = self.denoise(at, here, cond, there=there)
        level = here.rows(len(x))
        gain = lift(torch.where(level.alpha > 0, level.sigma**2 / level.alpha, 0.0), x)

        def covariance(v: Tensor) -> Tensor:
            (pulled,) = torch.autograd.grad(plain, at, v, retain_graph=True)
            return gain * pulled

        off = self.y.to(x) - self.measurement.forward(plain.detach())
        inner, noise = self._inner(level), self.measurement.sigma**2
        ready = self.measurement.solve(off, inner, noise)
        if self.rounds:
            pull = self._solved(off, inner, covariance)
        else:
            pull = covariance(self.measurement.adjoint(ready))
        return Told(plain.detach(), plain.detach() + pull, -dot(off, ready).flatten().double() / 2)

    def _inner(self, level: Level) -> Tensor:
        """PiGDM's variance of a pixel given x_t, (b,): that of one Gaussian for all."""
        noise, signal = level.sigma**2, (level.alpha * self.spread) ** 2
        return self.spread**2 * noise / (noise + signal)

    def _solved(self, off: Tensor, inner: Tensor, covariance: Callable[[Tensor], Tensor]) -> Tensor:
        """C A^T u with u after a few rounds; a row stops where C is found not to be positive."""
        noise = self.measurement.sigma**2
        left, answer = off, torch.zeros(())
        ready = self.measurement.solve(left, inner, noise)
        way, size = ready, dot(left, ready)
        for _ in range(self.rounds):
            pulled = covariance(self.measurement.adjoint(way))
            seen = self.measurement.forward(pulled) + noise * way
            along = dot(way, seen)
            step = ratio(size, along)
            answer = answer + step * pulled
            left = left - step * seen
            ready = self.measurement.solve(left, inner, noise)
            before, size = size, dot(left, ready)
            way = ready + ratio(size, before) * way
        return answer


def ratio(a: Tensor, b: Tensor) -> Tensor:
    """a/b where b > 0, else 0."""
    return torch.where(b > 0, a / torch.where(b > 0, b, 1.0), 0.0)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Row by row, (b, 1, ...)."""
    return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.ndim - 1))
