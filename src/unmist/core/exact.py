"""Closed-form denoisers: the ground truth of the tests and of the chapters.

Data drawn from a Gaussian, from a mixture of Gaussians or from a finite set stay in the same family
under noise, so posterior mean, score, log-likelihood and samples are known exactly.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from unmist.base.noise import keyed
from unmist.core.condition import Cond
from unmist.core.level import DATA, Level, lift
from unmist.core.variance import reverse

__all__ = ["Gaussian", "Mixture", "Points"]


@dataclass(frozen=True, eq=False)
class Mixture:
    """sum_k weights[k]*N(means[k], covs[k]) over flattened samples of d numbers.

    weights (k,), brought to sum 1, means (k, d), covs (k, d, d) positive semi-definite. Computed in
    float64, answered in x's dtype. Levels of shape () or (b,).
    """

    weights: Tensor
    means: Tensor
    covs: Tensor

    def __post_init__(self) -> None:
        for name in ("weights", "means", "covs"):
            object.__setattr__(self, name, vars(self)[name].double())
        # float32 weights such as 0.6 and 0.4 miss 1 by more than a draw of parts allows
        object.__setattr__(self, "weights", self.weights / self.weights.sum())
        k, d = self.means.shape
        if self.weights.shape != (k,) or self.covs.shape != (k, d, d):
            raise ValueError(f"a mixture of {k} parts in {d} dimensions needs covs ({k}, {d}, {d})")

    @cached_property
    def _axes(self) -> tuple[Tensor, Tensor]:
        """Variances (k, d) along the principal axes (k, d, d)."""
        values, vectors = torch.linalg.eigh(self.covs)
        return values.clamp(min=0), vectors

    def _parts(self, x: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """Log weight of each part given x (b, k) and its posterior mean (b, k, d)."""
        flat, at = x.flatten(1).double(), level.rows(len(x))
        alpha, sigma = at.alpha[:, None, None], at.sigma[:, None, None]
        variances, vectors = self._axes
        off = torch.einsum("kde,bkd->bke", vectors, flat[:, None] - alpha * self.means)
        total = alpha**2 * variances + sigma**2
        fit = -(off**2 / total + total.log() + math.log(2 * math.pi)).sum(-1) / 2
        pull = torch.einsum("kde,bke->bkd", vectors, alpha * variances / total * off)
        return self.weights.log() + fit, self.means + pull

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """E[x0 | x_t], shape of x."""
        del cond, there
        fit, means = self._parts(x, here)
        mean = torch.einsum("bk,bkd->bd", fit.softmax(1), means)
        return mean.reshape(x.shape).to(x)

    def variance(self, x: Tensor, level: Level) -> Tensor:
        """Var[x0 | x_t] of each element, shape of x; sigma > 0."""
        fit, means = self._parts(x, level)
        at, (variances, vectors) = level.rows(len(x)), self._axes
        alpha, sigma = at.alpha[:, None, None], at.sigma[:, None, None]
        left = variances * sigma**2 / (alpha**2 * variances + sigma**2)
        inner = torch.einsum("kde,bke->bkd", vectors**2, left)
        weight = fit.softmax(1)[:, :, None]
        centre = (weight * means).sum(1, keepdim=True)
        spread = (weight * (inner + (means - centre) ** 2)).sum(1)
        return spread.reshape(x.shape).to(x)

    def spread(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level
    ) -> tuple[Tensor, Tensor]:
        """The mean and the best gain of the step's std: by Var[x0 | x_t] (2201.06503, thm. 1)."""
        step = reverse(here, there)
        more = torch.where(step.std > 0, step.take / step.std, 0.0)
        gain = (1 + lift(more**2, x) * self.variance(x, here)).sqrt()
        return self(x, here, cond), gain

    def log_prob(self, x: Tensor, level: Level = DATA) -> Tensor:
        """log p_t(x), (b,) float64, in nats."""
        return self._parts(x, level)[0].logsumexp(1)

    def responsibilities(self, x: Tensor, level: Level = DATA) -> Tensor:
        """p(part | x_t), (b, k) float64."""
        return self._parts(x, level)[0].softmax(1)

    def score(self, x: Tensor, level: Level) -> Tensor:
        """grad log p_t(x) = (alpha*D - x)/sigma^2 (Tweedie), shape of x; sigma > 0."""
        at = level.like(x)
        return (at.alpha * self(x, level) - x) / at.sigma**2

    def given(self, operator: Tensor, y: Tensor, sigma: float = 0.0) -> "Mixture":
        """The exact law of x given y (m,) = operator (m, d) @ x + sigma*noise: a mixture again.

        Raises ValueError where sigma = 0 and a part already knows a combination of y (its
        covariance is singular there).
        """
        operator, y = operator.double(), y.double()
        seen = torch.einsum("md,kde->kme", operator, self.covs)
        inner = seen @ operator.T + sigma**2 * torch.eye(len(y), dtype=torch.float64)
        factor, wrong = torch.linalg.cholesky_ex(inner)
        if bool(wrong.any()):
            raise ValueError("y holds a combination that a part of the mixture has no spread in")
        off = y - self.means @ operator.T
        gain = torch.cholesky_solve(seen, factor)
        white = torch.linalg.solve_triangular(factor, off[:, :, None], upper=False)[:, :, 0]
        size = factor.diagonal(dim1=1, dim2=2).log().sum(1)
        weights = (self.weights.log() - size - (white**2).sum(1) / 2).softmax(0)
        covs = self.covs - gain.transpose(1, 2) @ seen
        means = self.means + torch.einsum("kmd,km->kd", gain, off)
        return Mixture(weights, means, (covs + covs.transpose(1, 2)) / 2)

    def sample(self, count: int, level: Level = DATA, seed: int = 0) -> Tensor:
        """(count, d) float64 exact draws of x_t at one level ()."""
        draw = keyed(seed, "exact samples")
        k, d = self.means.shape
        part = torch.from_numpy(draw.choice(k, size=count, p=self.weights.numpy()))
        z = torch.from_numpy(draw.standard_normal((2, count, d)))
        variances, vectors = self._axes
        data = torch.einsum("bde,be->bd", vectors[part], variances[part].sqrt() * z[0])
        return level.alpha * (self.means[part] + data) + level.sigma * z[1]


def Gaussian(mean: Tensor, cov: Tensor) -> Mixture:
    """N(mean (d,), cov (d, d)): a mixture of one part."""
    return Mixture(torch.ones(1), mean[None], cov[None])


@dataclass(frozen=True, eq=False)
class Points:
    """The empirical distribution of a finite data set (n, ...): the ideal denoiser memorises.

    Levels of shape () or (b,). Memory n*b; float64 inside.
    """

    data: Tensor

    def _fit(self, x: Tensor, level: Level) -> Tensor:
        at, data = level.rows(len(x)), self.data.flatten(1).double()
        alpha, sigma = at.alpha[:, None], at.sigma[:, None]
        flat = x.flatten(1).double()
        # |x - alpha*d|^2 with the part that all points share left out of the product
        far = (flat**2).sum(1, keepdim=True) - 2 * alpha * flat @ data.T
        return -(far + alpha**2 * (data**2).sum(1)) / (2 * sigma**2)

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """E[x0 | x_t], shape of x; a weighted mean of the points."""
        del cond, there
        mean = self._fit(x, here).softmax(1) @ self.data.flatten(1).double()
        return mean.reshape(x.shape).to(x)

    def log_prob(self, x: Tensor, level: Level) -> Tensor:
        """log p_t(x), (b,) float64; sigma > 0."""
        d, sigma = x[0].numel(), level.rows(len(x)).sigma
        norm = d * (sigma * math.sqrt(2 * math.pi)).log() + math.log(len(self.data))
        return self._fit(x, level).logsumexp(1) - norm

    def score(self, x: Tensor, level: Level) -> Tensor:
        """grad log p_t(x), shape of x; sigma > 0."""
        at = level.like(x)
        return (at.alpha * self(x, level) - x) / at.sigma**2

    def sample(self, count: int, level: Level = DATA, seed: int = 0) -> Tensor:
        """(count, ...) float64 exact draws of x_t at one level ()."""
        draw = keyed(seed, "exact samples")
        picked = self.data[torch.from_numpy(draw.integers(len(self.data), size=count))].double()
        return level.alpha * picked + level.sigma * torch.from_numpy(
            draw.standard_normal(tuple(picked.shape))
        )
