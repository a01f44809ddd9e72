"""What training minimises: a draw of levels, a target, a weight (slide 4)."""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from unmist.base.kinds import Kinds
from unmist.core.condition import Cond
from unmist.core.denoiser import Network
from unmist.core.level import Level, lift, noised
from unmist.core.prediction import Prediction, mean_of, target_of
from unmist.core.schedule import Schedule
from unmist.core.variance import Fixed, Variance

__all__ = [
    "Draw",
    "EdmWeight",
    "Lesson",
    "LogNormal",
    "LogitNormal",
    "MinSnr",
    "Objective",
    "Simple",
    "UniformTime",
    "Weighting",
    "draws",
    "weightings",
]


class Draw(Protocol):
    """u (b,) float64, even in (0, 1) -> levels (b,) of a schedule."""

    def __call__(self, u: Tensor, schedule: Schedule) -> Level:
        """(b,) levels; monotone in u, so that stratified u make stratified levels."""
        ...


class Weighting(Protocol):
    """(b,) levels -> the weight of the squared error of the prediction, float64 (b,)."""

    def __call__(self, level: Level, prediction: Prediction) -> Tensor:
        """(b,)."""
        ...


class Lesson(Protocol):
    """What a training loop minimises: `Objective`, or what a student is taught."""

    def levels(self, u: Tensor) -> Level:
        """The levels (b,) of u (b,) float64 in (0, 1)."""
        ...

    def __call__(
        self, net: Network, x0: Tensor, eps: Tensor, level: Level, cond: Cond | None = None
    ) -> Tensor:
        """Loss a row (b,)."""
        ...


UNMEASURED = (-0.4, 1.2)  # mean and std of the logarithm

draws: Kinds[Draw] = Kinds("draw")
weightings: Kinds[Weighting] = Kinds("weighting")


@draws("uniform")
@dataclass(frozen=True)
class UniformTime:
    """t even in (0, 1) (DDPM 2006.11239, alg. 1)."""

    def __call__(self, u: Tensor, schedule: Schedule) -> Level:
        """schedule(u)."""
        return schedule(u)


@draws("lognormal")
@dataclass(frozen=True)
class LogNormal:
    """log(sigma/alpha) normal (2206.00364, table 1), held inside the schedule's ends.

    EDM's -1.2 and 1.2 are for photographs of spread 0.5; ours are for data whitened to spread 1.
    Left out, a run measures both on its data (`unmist.run.settled`); elsewhere UNMEASURED.
    """

    mean: float | None = None
    std: float | None = None

    def __call__(self, u: Tensor, schedule: Schedule) -> Level:
        """(b,) levels."""
        mean, std = UNMEASURED
        mean, std = (mean if self.mean is None else self.mean), (self.std or std)
        log_ratio = mean + std * torch.special.ndtri(u)
        low, high = (float(end.log_ratio) for end in (schedule.bottom, schedule.top))
        return schedule.process(-2 * log_ratio.clamp(low, high))


@draws("logitnormal")
@dataclass(frozen=True)
class LogitNormal:
    """logit t normal: rectified flow's draw in SD3 (2403.03206, sec. 3.1)."""

    mean: float = 0.0
    std: float = 1.0

    def __call__(self, u: Tensor, schedule: Schedule) -> Level:
        """(b,) levels."""
        t = torch.sigmoid(self.mean + self.std * torch.special.ndtri(u))
        return schedule(t.clamp(1e-9, 1 - 1e-9))


@weightings("simple")
@dataclass(frozen=True)
class Simple:
    """1 on whatever is predicted."""

    def __call__(self, level: Level, prediction: Prediction) -> Tensor:
        """Ones."""
        return torch.ones_like(level.alpha)


@weightings("min_snr")
@dataclass(frozen=True)
class MinSnr:
    """min(SNR, gamma) on x0's error (2303.09556), carried over to the prediction by out^2."""

    gamma: float = 5.0

    def __call__(self, level: Level, prediction: Prediction) -> Tensor:
        """min(SNR, gamma)*out^2."""
        return level.log_snr.exp().clamp(max=self.gamma) * prediction.out(level) ** 2


@weightings("edm")
@dataclass(frozen=True)
class EdmWeight:
    """(r^2 + s^2)/(r*s)^2 on x0's error (2206.00364, table 1); 1 on EDM's own prediction."""

    sigma_data: float = 1.0

    def __call__(self, level: Level, prediction: Prediction) -> Tensor:
        """(1/s^2 + 1/r^2)*out^2."""
        inverse = level.alpha / level.sigma
        return (self.sigma_data**-2 + inverse**2) * prediction.out(level) ** 2


@dataclass(frozen=True)
class Objective:
    """Denoising score matching in the chosen prediction."""

    schedule: Schedule
    prediction: Prediction
    draw: Draw = field(default=LogNormal())
    weighting: Weighting = field(default=Simple())
    variance: Variance = field(default=Fixed())

    def levels(self, u: Tensor) -> Level:
        """The levels (b,) of u (b,) float64 in (0, 1)."""
        return self.draw(u, self.schedule)

    def __call__(
        self, net: Network, x0: Tensor, eps: Tensor, level: Level, cond: Cond | None = None
    ) -> Tensor:
        """Loss a row (b,), mean over the sample's elements, in x0's dtype."""
        x = noised(x0, level, eps)
        clock = self.prediction.clock(level.rows(len(x))).to(x)
        answer = net(lift(self.prediction.scale(level), x) * x, clock, cond)
        output, said = answer[:, : x.shape[1]], answer[:, x.shape[1] :]
        error = (output - target_of(self.prediction, x0, eps, level)) ** 2
        weight = self.weighting(level, self.prediction)
        loss = (lift(weight, error) * error).flatten(1).mean(1)
        if not self.variance.learned:
            return loss
        off = x0 - mean_of(self.prediction, x, output.detach(), level)
        return loss + self.variance.loss(said, off, level, self.schedule)
