"""Spacings: which levels a plan stops at, noisiest first, DATA left out."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.kinds import Kinds, did_you_mean
from unmist.core.level import Level
from unmist.core.schedule import Schedule
from unmist.core.table import Table

__all__ = ["Discrete", "EvenLogSnr", "EvenTime", "Karras", "Logistic", "Spacing", "spacings"]


class Spacing(Protocol):
    """(schedule, steps) -> levels (steps,), noisiest first."""

    def __call__(self, schedule: Schedule, steps: int) -> Level:
        """A falling list of `steps` levels."""
        ...


spacings: Kinds[Spacing] = Kinds("spacing")


def counted(steps: int) -> int:
    """`steps` if it is 1 or more."""
    if steps < 1:
        raise BadInput(f"{steps} steps", mend="ask for 1 or more")
    return steps


def falling(ratios: tuple[float, ...]) -> bool:
    """Whether these can be the sigma/alpha of a plan: some, each less than before, all above 0."""
    return bool(ratios) and ratios[0] > 0 and all(a > b > 0 for a, b in pairwise(ratios))


def ends(schedule: Schedule, low: float, high: float) -> tuple[float, float]:
    """The schedule's own least and greatest sigma/alpha, held inside [low, high]."""
    least = max(low, float(schedule.bottom.ratio))
    most = min(high, float(schedule.top.ratio))
    if not 0 < least < most:
        raise BadInput(
            f"no levels between {least:g} and {most:g}", where="spacing", mend="widen low and high"
        )
    return least, most


def ramp(steps: int) -> Tensor:
    """0 … 1 in `steps` places, 0 alone for one."""
    return torch.linspace(0, 1, counted(steps), dtype=torch.float64)


@spacings("time")
@dataclass(frozen=True)
class EvenTime:
    """Even in the schedule's own time: the top, then t = 1 - i/steps."""

    def __call__(self, schedule: Schedule, steps: int) -> Level:
        """(steps,) levels."""
        t = 1 - torch.arange(1, counted(steps), dtype=torch.float64) / steps
        rest = schedule(t)
        return Level(
            torch.cat([schedule.top.alpha.reshape(1), rest.alpha]),
            torch.cat([schedule.top.sigma.reshape(1), rest.sigma]),
        )


@spacings("log_snr")
@dataclass(frozen=True)
class EvenLogSnr:
    """Even in log-SNR between the schedule's ends, sigma/alpha held inside [low, high]."""

    low: float = 0.002
    high: float = 80.0

    def __call__(self, schedule: Schedule, steps: int) -> Level:
        """(steps,) levels."""
        least, most = ends(schedule, self.low, self.high)
        return schedule.process(
            -2 * (math.log(most) + ramp(steps) * (math.log(least) - math.log(most)))
        )


@spacings("karras")
@dataclass(frozen=True)
class Karras:
    """(sigma/alpha)^(1/rho) even between the ends (2206.00364, eq. 5)."""

    rho: float = 7.0
    low: float = 0.002
    high: float = 80.0

    def __call__(self, schedule: Schedule, steps: int) -> Level:
        """(steps,) levels."""
        least, most = (end ** (1 / self.rho) for end in ends(schedule, self.low, self.high))
        ratio = (most + ramp(steps) * (least - most)) ** self.rho
        return schedule.process(-2 * ratio.log())


@spacings("logistic")
@dataclass(frozen=True)
class Logistic:
    """Even quantiles of a logistic law of log(sigma/alpha), from the schedule's top to DATA.

    q = 1/(1 + (center/r)^(1/width)) falls evenly from the top's (1 at NOISE) to 0 in `steps`
    strides, so levels crowd around r = center, where the mean changes most, and thin out to both
    ends; the last finite level is about center/steps^width and follows the number of steps. r is
    held inside [low, high] (high 0: no limit) and the schedule's ends; a network never trained near
    NOISE is better asked through `unmist.core.denoiser.Within` than started late. With width 1 on
    the flow schedule this is even time.
    """

    center: float = 1.0
    width: float = 1.3
    low: float = 0.002
    high: float = 0.0

    def __call__(self, schedule: Schedule, steps: int) -> Level:
        """(steps,) levels."""
        top, bottom = (
            float(self.quantile(end.log_ratio)) for end in (schedule.top, schedule.bottom)
        )
        most = min(top, 1 / (1 + (self.center / (self.high or math.inf)) ** (1 / self.width)))
        least = max(bottom, 1 / (1 + (self.center / self.low) ** (1 / self.width)))
        if not least < most:
            raise BadInput("no levels", where="spacing.logistic", mend="widen low and high")
        falling = most + ramp(steps) * (max(least, most / steps) - most)
        exact = schedule.top if most == top else None
        inner = falling[1:] if exact else falling
        levels = schedule.process(-2 * self.log_ratio(inner))
        if exact is None:
            return levels
        return Level(
            torch.cat([exact.alpha.reshape(1), levels.alpha]),
            torch.cat([exact.sigma.reshape(1), levels.sigma]),
        )

    def quantile(self, log_ratio: Tensor) -> Tensor:
        """q of log(sigma/alpha): 0 at DATA, 1 at NOISE."""
        return torch.sigmoid((log_ratio - math.log(self.center)) / self.width)

    def log_ratio(self, quantile: Tensor) -> Tensor:
        """Its inverse."""
        return math.log(self.center) + self.width * torch.special.logit(quantile)


@spacings("discrete")
@dataclass(frozen=True)
class Discrete:
    """Whole steps of a DDPM table: 'leading', 'linspace' or 'trailing' (2305.08891, table 2).

    'leading' never reaches the noisiest level (`offset` moves it up); 'trailing' does.
    """

    rule: str = "trailing"
    offset: int = 0

    def indices(self, count: int, steps: int) -> Tensor:
        """(steps,) whole indices into a table of `count`, noisiest first."""
        if counted(steps) > count:
            raise BadInput(f"{steps} steps in a table of {count}", mend=f"at most {count}")
        if self.rule == "leading":
            index = torch.arange(steps) * (count // steps) + self.offset
            return index.flip(0).clamp(max=count - 1)
        if self.rule == "linspace":
            return torch.linspace(0, count - 1, steps, dtype=torch.float64).round().long().flip(0)
        if self.rule == "trailing":
            falling = count - torch.arange(steps, dtype=torch.float64) * (count / steps)
            return falling.round().long() - 1
        kinds = ["leading", "linspace", "trailing"]
        raise BadInput(f"no discrete spacing '{self.rule}'", mend=did_you_mean(self.rule, kinds))

    def __call__(self, schedule: Schedule, steps: int) -> Level:
        """(steps,) levels of the table."""
        if not isinstance(schedule, Table):
            raise BadInput(
                "discrete spacing needs a table of betas",
                where="spacing",
                mend="use a table schedule, or another spacing",
            )
        return schedule.levels[self.indices(schedule.count, steps)]
