"""Discrete tables of betas as schedules: DDPM's, latent diffusion's, cosine's, or any list."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean
from unmist.core.level import NOISE, Level
from unmist.core.schedule import (
    Schedule,
    Shifted,
    as_float64,
    inside,
    preserving,
    schedules,
)

__all__ = ["Table", "cosine_betas", "linear_betas", "scaled_linear_betas"]


def linear_betas(steps: int = 1000, low: float = 1e-4, high: float = 0.02) -> Tensor:
    """beta even from low to high (DDPM 2006.11239, sec. 4)."""
    return torch.linspace(low, high, steps, dtype=torch.float64)


def scaled_linear_betas(steps: int = 1000, low: float = 0.00085, high: float = 0.012) -> Tensor:
    """sqrt(beta) even (latent diffusion 2112.10752)."""
    return torch.linspace(math.sqrt(low), math.sqrt(high), steps, dtype=torch.float64) ** 2


def cosine_betas(steps: int = 1000, s: float = 0.008, cap: float = 0.999) -> Tensor:
    """1 - f(i+1)/f(i) with f = cos^2, held below `cap` (2102.09672, eq. 17)."""
    t = torch.arange(steps + 1, dtype=torch.float64) / steps
    curve = torch.cos((t + s) / (1 + s) * math.pi / 2) ** 2
    return (1 - curve[1:] / curve[:-1]).clamp(max=cap)


@schedules("table")
@dataclass(frozen=True)
class Table:
    """A table of betas; time t stands for the index t*(steps - 1), log-SNR linear in between.

    `curve` is linear, scaled_linear or cosine, or `betas` (each in (0, 1)) is given outright.
    `zero_terminal` rescales sqrt(alpha_bar) so that the last level is NOISE (2305.08891, alg. 1);
    eps cannot be predicted there: use v, flow, x0 or EDM.
    """

    curve: str = "linear"
    steps: int = 1000
    beta_min: float = 1e-4
    beta_max: float = 0.02
    zero_terminal: bool = False
    betas: tuple[float, ...] = ()
    process = staticmethod(preserving)

    def __post_init__(self) -> None:
        betas = self._betas
        if len(betas) < 2 or not bool(((betas > 0) & (betas < 1)).all()):
            raise BadInput(
                "a table needs at least two betas, each in (0, 1)",
                where="schedule.table",
                mend="check steps, beta_min, beta_max or betas",
            )

    @cached_property
    def _betas(self) -> Tensor:
        if self.betas:
            return torch.tensor(self.betas, dtype=torch.float64)
        if self.curve == "linear":
            return linear_betas(self.steps, self.beta_min, self.beta_max)
        if self.curve == "scaled_linear":
            return scaled_linear_betas(self.steps, self.beta_min, self.beta_max)
        if self.curve == "cosine":
            return cosine_betas(self.steps)
        raise BadInput(
            f"no table called '{self.curve}'",
            where="schedule.curve",
            mend=did_you_mean(self.curve, ["linear", "scaled_linear", "cosine"]),
        )

    @cached_property
    def levels(self) -> Level:
        """All levels, shape (steps,), cleanest first."""
        log_alpha = torch.log1p(-self._betas).cumsum(0) / 2
        alpha, sigma = log_alpha.exp(), (-torch.expm1(2 * log_alpha)).sqrt()
        if self.zero_terminal:
            first, last = alpha[0], alpha[-1]
            alpha = (alpha - last) * first / (first - last)
            sigma = ((1 - alpha) * (1 + alpha)).sqrt()
        return Level(alpha, sigma)

    @property
    def count(self) -> int:
        """How many levels the table has."""
        return len(self._betas)

    @property
    def top(self) -> Level:
        """The noisiest entry: NOISE itself with `zero_terminal`."""
        return NOISE if self.zero_terminal else self.levels[-1]

    @property
    def bottom(self) -> Level:
        """The cleanest entry."""
        return self.levels[0]

    def at(self, index: Tensor) -> Level:
        """The level of a fractional index in [0, count - 1]."""
        curve, last = self._log_snr, self.count - 1
        low = index.floor().clamp(0, last - 1).long()
        share = index - low
        between = curve[low] + share * (curve[low + 1] - curve[low])
        return self._ended(preserving(between), share, low == last - 1)

    def _ended(self, level: Level, share: Tensor, in_last: Tensor) -> Level:
        """With a zero end log-SNR is -inf: there the angle atan(sigma/alpha) is linear instead."""
        if not self.zero_terminal:
            return level
        start = torch.atan2(self.levels.sigma[-2], self.levels.alpha[-2])
        left = (math.pi / 2 - start) * (1 - share)
        alpha = torch.where(in_last, torch.sin(left), level.alpha)
        return Level(alpha, torch.where(in_last, torch.cos(left), level.sigma))

    @cached_property
    def _log_snr(self) -> Tensor:
        """(steps,) falling; a zero end is stood in for by its neighbour less 1, never used."""
        curve = self.levels.log_snr.clone()
        if self.zero_terminal:
            curve[-1] = curve[-2] - 1
        return curve

    def index(self, log_snr: Tensor | float) -> Tensor:
        """The fractional index of a log-SNR: a table network's clock."""
        wanted, curve = as_float64(log_snr), self._log_snr
        high = torch.searchsorted(-curve, -wanted.contiguous()).clamp(1, self.count - 1)
        step = curve[high] - curve[high - 1]
        share = ((wanted - curve[high - 1]) / step).clamp(0, 1)
        if self.zero_terminal:
            start = torch.atan2(self.levels.sigma[-2], self.levels.alpha[-2])
            angle = torch.atan2(torch.sigmoid(-wanted).sqrt(), torch.sigmoid(wanted).sqrt())
            ended = ((angle - start) / (math.pi / 2 - start)).clamp(0, 1)
            share = torch.where(high == self.count - 1, ended, share)
        return high - 1 + share

    def __call__(self, t: Tensor | float) -> Level:
        """t (*b) in (0, 1)."""
        return self.at(inside(t) * (self.count - 1))

    def inverse(self, log_snr: Tensor | float) -> Tensor:
        """index/(steps - 1)."""
        return self.index(log_snr) / (self.count - 1)

    def shifted(self, factor: float) -> "Schedule":
        """sigma/alpha times factor."""
        return Shifted(self, factor)
