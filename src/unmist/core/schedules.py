"""The named schedules: cosine, sigmoid, flow, exploding, linear, scaled linear (slide 9)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.core.level import DATA, NOISE, Level
from unmist.core.schedule import (
    Schedule,
    Shifted,
    as_float64,
    exploding,
    inside,
    preserving,
    rectified,
    schedules,
)

__all__ = ["Cosine", "Exploding", "Flow", "Linear", "ScaledLinear", "Sigmoid"]


@schedules("cosine")
@dataclass(frozen=True)
class Cosine:
    """alpha^2 = cos^2(a)/cos^2(b), a = (t + s)/(1 + s)*pi/2, b = a(0) (2102.09672, eq. 17)."""

    s: float = 0.008
    process = staticmethod(preserving)
    top = NOISE
    bottom = DATA

    @property
    def _start(self) -> float:
        return self.s / (1 + self.s) * math.pi / 2

    def __call__(self, t: Tensor | float) -> Level:
        """t (*b) in (0, 1)."""
        start, quarter = self._start, math.pi / 2
        far = (quarter - start) * (1 - inside(t))  # the angle left to pi/2
        near = (quarter - start) * inside(t)
        alpha = torch.sin(far) / math.cos(start)
        # 1 - alpha^2 as a product: no digits are lost next to the data
        sigma = (torch.sin(near) * torch.sin(near + 2 * start)).sqrt() / math.cos(start)
        return Level(alpha, sigma)

    def inverse(self, log_snr: Tensor | float) -> Tensor:
        """From the sine near the data, from the cosine near the noise: exact at both ends."""
        start, quarter = self._start, math.pi / 2
        signal = torch.sigmoid(as_float64(log_snr)) * math.cos(start) ** 2
        rest = torch.sigmoid(-as_float64(log_snr)) * math.cos(start) ** 2 + math.sin(start) ** 2
        angle = torch.atan2(rest.sqrt(), signal.sqrt())
        return ((angle - start) / (quarter - start)).clamp(0, 1)

    def shifted(self, factor: float) -> "Schedule":
        """sigma/alpha times factor."""
        return Shifted(self, factor)


@schedules("sigmoid")
@dataclass(frozen=True)
class Sigmoid:
    """alpha^2 falls from 1 to 0 along a logistic from `start` to `end` (2212.11972, alg. 1)."""

    start: float = -3.0
    end: float = 3.0
    tau: float = 1.0
    process = staticmethod(preserving)
    top = NOISE
    bottom = DATA

    def __call__(self, t: Tensor | float) -> Level:
        """t (*b) in (0, 1)."""
        low, high = as_float64(self.start / self.tau), as_float64(self.end / self.tau)
        at = low + inside(t) * (high - low)
        whole = _rise(low, high)
        return Level((_rise(at, high) / whole).sqrt(), (_rise(low, at) / whole).sqrt())

    def inverse(self, log_snr: Tensor | float) -> Tensor:
        """By the logit, from the nearer end."""
        low, high = as_float64(self.start / self.tau), as_float64(self.end / self.tau)
        log_snr = as_float64(log_snr)
        share = torch.sigmoid(-log_snr) * _rise(low, high)
        value = torch.sigmoid(low) + share
        at = value.log() - torch.log1p(-value)
        return ((at - low) / (high - low)).clamp(0, 1)

    def shifted(self, factor: float) -> "Schedule":
        """sigma/alpha times factor."""
        return Shifted(self, factor)


def _rise(low: Tensor, high: Tensor) -> Tensor:
    """sigmoid(high) - sigmoid(low) without cancellation."""
    half = torch.sinh((high - low) / 2)
    return half / (2 * torch.cosh(low / 2) * torch.cosh(high / 2))


@schedules("flow")
@dataclass(frozen=True)
class Flow:
    """alpha = 1 - t, sigma = t: rectified flow (2209.03003), flow matching (2210.02747)."""

    process = staticmethod(rectified)
    top = NOISE
    bottom = DATA

    def __call__(self, t: Tensor | float) -> Level:
        """t (*b) in (0, 1)."""
        return Level(1 - inside(t), inside(t))

    def inverse(self, log_snr: Tensor | float) -> Tensor:
        """t = sigma/(alpha + sigma)."""
        return torch.sigmoid(-as_float64(log_snr) / 2)

    def shifted(self, factor: float) -> "Schedule":
        """sigma/alpha times factor: the resolution shift of 2403.03206, sec. 5.3.2."""
        return Shifted(self, factor)


@schedules("exploding")
@dataclass(frozen=True)
class Exploding:
    """alpha = 1, log sigma even in t between the two ends: VE (2011.13456), EDM (2206.00364)."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    process = staticmethod(exploding)

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max < math.inf:
            raise BadInput(
                f"sigma_min {self.sigma_min}, sigma_max {self.sigma_max}",
                where="schedule.exploding",
                mend="0 < sigma_min < sigma_max",
            )

    @property
    def top(self) -> Level:
        """(1, sigma_max)."""
        return Level(torch.tensor(1.0), as_float64(self.sigma_max))

    @property
    def bottom(self) -> Level:
        """(1, sigma_min)."""
        return Level(torch.tensor(1.0), as_float64(self.sigma_min))

    def __call__(self, t: Tensor | float) -> Level:
        """t (*b) in (0, 1)."""
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        return exploding(-2 * (low + inside(t) * (high - low)))

    def inverse(self, log_snr: Tensor | float) -> Tensor:
        """Linear in log sigma."""
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        return ((-as_float64(log_snr) / 2 - low) / (high - low)).clamp(0, 1)

    def shifted(self, factor: float) -> "Schedule":
        """sigma times factor."""
        return Shifted(self, factor)


@schedules("linear")
@dataclass(frozen=True)
class Linear:
    """beta(t) linear, the continuous limit of DDPM's table: log alpha^2 = -(b0*t + (b1-b0)*t^2/2).

    b0 and b1 are the betas of the discrete table times its number of steps (2011.13456, eq. 33).
    For the table itself: `unmist.core.table.Table`.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    process = staticmethod(preserving)
    bottom = DATA

    def _area(self, t: Tensor) -> Tensor:
        return self.beta_min * t + (self.beta_max - self.beta_min) * t**2 / 2

    @property
    def top(self) -> Level:
        """Not quite NOISE: alpha^2 = exp(-(b0 + b1)/2)."""
        return _from_area(self._area(as_float64(1.0)))

    def __call__(self, t: Tensor | float) -> Level:
        """t (*b) in (0, 1)."""
        return _from_area(self._area(inside(t)))

    def inverse(self, log_snr: Tensor | float) -> Tensor:
        """The positive root of the quadratic, in its stable form."""
        area = _area_of(log_snr)
        slope = self.beta_max - self.beta_min
        root = (self.beta_min**2 + 2 * slope * area).sqrt() + self.beta_min
        return (2 * area / root).clamp(0, 1)

    def shifted(self, factor: float) -> "Schedule":
        """sigma/alpha times factor."""
        return Shifted(self, factor)


@schedules("scaled_linear")
@dataclass(frozen=True)
class ScaledLinear:
    """sqrt(beta(t)) linear, as latent diffusion uses it (2112.10752), in its continuous limit."""

    beta_min: float = 0.85
    beta_max: float = 12.0
    process = staticmethod(preserving)
    bottom = DATA

    def _ends(self) -> tuple[float, float]:
        return math.sqrt(self.beta_min), math.sqrt(self.beta_max)

    def _area(self, t: Tensor) -> Tensor:
        low, high = self._ends()
        step = high - low
        return low**2 * t + low * step * t**2 + step**2 * t**3 / 3

    @property
    def top(self) -> Level:
        """Not quite NOISE."""
        return _from_area(self._area(as_float64(1.0)))

    def __call__(self, t: Tensor | float) -> Level:
        """t (*b) in (0, 1)."""
        return _from_area(self._area(inside(t)))

    def inverse(self, log_snr: Tensor | float) -> Tensor:
        """((low + step*t)^3 - low^3)/(3*step) = area, solved near 0 by expm1 of logs."""
        low, high = self._ends()
        step = high - low
        grown = torch.log1p(3 * step * _area_of(log_snr) / low**3) / 3
        return (low * torch.expm1(grown) / step).clamp(0, 1)

    def shifted(self, factor: float) -> "Schedule":
        """sigma/alpha times factor."""
        return Shifted(self, factor)


def _from_area(area: Tensor) -> Level:
    """alpha^2 = exp(-area), sigma^2 = 1 - alpha^2 by expm1."""
    return Level(torch.exp(-area / 2), (-torch.expm1(-area)).sqrt())


def _area_of(log_snr: Tensor | float) -> Tensor:
    """-log(alpha^2) of a variance-preserving level."""
    return -torch.nn.functional.logsigmoid(as_float64(log_snr))
