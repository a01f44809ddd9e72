"""What a network predicts: four functions of a level, mean = skip*x + out*net(scale*x, clock).

skip is homogeneous of degree -1 in the level, out of degree 0 and scale of degree -1, so that every
denoiser is scale-free: D(c*x, c*level) = D(x, level).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.kinds import Kinds
from unmist.core.level import Level, Number, blend, lift
from unmist.core.table import Table

__all__ = [
    "X0",
    "Clock",
    "Edm",
    "Eps",
    "FlowVelocity",
    "LogRatio",
    "Prediction",
    "TableIndex",
    "Velocity",
    "coefficient",
    "mean_of",
    "predictions",
    "target_of",
]


class Clock(Protocol):
    """A level -> the bounded number a network is told."""

    def __call__(self, level: Level) -> Tensor:
        """The clock, float64, shape of the level."""
        ...


@dataclass(frozen=True)
class LogRatio:
    """log(sigma/alpha), held to +-limit so that the ends NOISE and DATA are finite."""

    limit: float = 10.0

    def __call__(self, level: Level) -> Tensor:
        """Shape of the level."""
        return level.log_ratio.clamp(-self.limit, self.limit)


@dataclass(frozen=True)
class TableIndex:
    """The fractional index in a table: what networks trained on discrete steps expect."""

    table: Table

    def __call__(self, level: Level) -> Tensor:
        """Shape of the level; in [0, count - 1]."""
        return self.table.index(level.log_snr)


class Prediction(Protocol):
    """Four functions of a level, each float64 of the level's shape."""

    @property
    def clock(self) -> Clock:
        """What the network is told of the level."""
        ...

    @property
    def at_noise(self) -> bool:
        """Whether it still tells the mean at NOISE."""
        ...

    def skip(self, level: Level) -> Tensor:
        """How much of x_t goes into the mean."""
        ...

    def out(self, level: Level) -> Tensor:
        """How much of the network's output goes into the mean."""
        ...

    def scale(self, level: Level) -> Tensor:
        """What x_t is multiplied by before the network sees it."""
        ...


predictions: Kinds[Prediction] = Kinds("prediction")


def unit(level: Level) -> Tensor:
    """1/hypot(alpha, sigma): brings x_t of unit-variance data back to unit variance."""
    return 1 / torch.hypot(level.alpha, level.sigma)


@predictions("eps")
@dataclass(frozen=True)
class Eps:
    """The noise (DDPM 2006.11239). Refused at alpha = 0, where it says nothing about x0."""

    clock: Clock = field(default=LogRatio(), repr=False, metadata={"plain": False})
    at_noise = False

    def skip(self, level: Level) -> Tensor:
        """1/alpha."""
        if bool((level.alpha == 0).any()):
            raise BadInput(
                "eps cannot be predicted at zero signal",
                where="prediction",
                mend="predict v, flow, x0 or edm, or start at the schedule's top",
            )
        return 1 / level.alpha

    def out(self, level: Level) -> Tensor:
        """-sigma/alpha."""
        return -level.sigma / level.alpha

    def scale(self, level: Level) -> Tensor:
        """1/hypot(alpha, sigma)."""
        return unit(level)


@predictions("x0")
@dataclass(frozen=True)
class X0:
    """The clean sample itself."""

    clock: Clock = field(default=LogRatio(), repr=False, metadata={"plain": False})
    at_noise = True

    def skip(self, level: Level) -> Tensor:
        """0."""
        return torch.zeros_like(level.alpha)

    def out(self, level: Level) -> Tensor:
        """1."""
        return torch.ones_like(level.alpha)

    def scale(self, level: Level) -> Tensor:
        """1/hypot(alpha, sigma)."""
        return unit(level)


@predictions("v")
@dataclass(frozen=True)
class Velocity:
    """(alpha*eps - sigma*x0)/hypot(alpha, sigma) (2202.00512, app. D), of unit size everywhere."""

    clock: Clock = field(default=LogRatio(), repr=False, metadata={"plain": False})
    at_noise = True

    def skip(self, level: Level) -> Tensor:
        """alpha/(alpha^2 + sigma^2)."""
        return level.alpha * unit(level) ** 2

    def out(self, level: Level) -> Tensor:
        """-sigma/hypot(alpha, sigma)."""
        return -level.sigma * unit(level)

    def scale(self, level: Level) -> Tensor:
        """1/hypot(alpha, sigma)."""
        return unit(level)


@predictions("flow")
@dataclass(frozen=True)
class FlowVelocity:
    """eps - x0, the velocity of the straight path (2209.03003)."""

    clock: Clock = field(default=LogRatio(), repr=False, metadata={"plain": False})
    at_noise = True

    def skip(self, level: Level) -> Tensor:
        """1/(alpha + sigma)."""
        return 1 / (level.alpha + level.sigma)

    def out(self, level: Level) -> Tensor:
        """-sigma/(alpha + sigma)."""
        return -level.sigma / (level.alpha + level.sigma)

    def scale(self, level: Level) -> Tensor:
        """1/hypot(alpha, sigma)."""
        return unit(level)


@predictions("edm")
@dataclass(frozen=True)
class Edm:
    """EDM's preconditioning for data of standard deviation sigma_data (2206.00364, table 1)."""

    sigma_data: float = 1.0
    clock: Clock = field(default=LogRatio(), repr=False, metadata={"plain": False})
    at_noise = True

    def __post_init__(self) -> None:
        if not self.sigma_data > 0:
            raise BadInput(f"sigma_data {self.sigma_data}", where="prediction.edm", mend="above 0")

    def skip(self, level: Level) -> Tensor:
        """alpha*s^2/(alpha^2*s^2 + sigma^2)."""
        return level.alpha * (self.sigma_data * self.scale(level)) ** 2

    def out(self, level: Level) -> Tensor:
        """s*sigma/hypot(alpha*s, sigma)."""
        return self.sigma_data * level.sigma * self.scale(level)

    def scale(self, level: Level) -> Tensor:
        """1/hypot(alpha*s, sigma)."""
        return 1 / torch.hypot(level.alpha * self.sigma_data, level.sigma)


def mean_of(prediction: Prediction, x: Tensor, output: Tensor, level: Level) -> Tensor:
    """E[x0 | x_t] from a network's output: skip*x + out*output."""
    skip, out = (coefficient(part, level) for part in (prediction.skip, prediction.out))
    return blend(x, skip, (out, output))


def coefficient(part: Callable[[Level], Tensor], level: Level) -> Number:
    """A function of the level, such as a method of a prediction; plain and kept where shared."""
    return part(level) if level.shape else _kept(part, float(level.alpha), float(level.sigma))


@lru_cache(maxsize=1 << 12)
def _kept(part: Callable[[Level], Tensor], alpha: float, sigma: float) -> float:
    """Every walk of a plan asks for the same: a step's would cost as much as its noise."""
    return float(part(Level(*torch.tensor([alpha, sigma], dtype=torch.float64))))


def target_of(prediction: Prediction, x0: Tensor, eps: Tensor, level: Level) -> Tensor:
    """What the network should answer: ((1 - skip*alpha)*x0 - skip*sigma*eps)/out."""
    skip, out = prediction.skip(level), prediction.out(level)
    clean, noise = (1 - skip * level.alpha) / out, -skip * level.sigma / out
    return lift(clean, x0) * x0 + lift(noise, x0) * eps
