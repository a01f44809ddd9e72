"""Schedules: time in (0, 1), 0 at the data and 1 at the noise, to a level (slide 9).

A schedule is a curve of log-SNR and a process that says how large alpha and sigma are together:
`preserving` (alpha^2 + sigma^2 = 1), `rectified` (alpha + sigma = 1) or `exploding` (alpha = 1).
Only their ratio matters to a denoiser.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.kinds import Kinds
from unmist.core.level import Level

__all__ = [
    "Curve",
    "Process",
    "Schedule",
    "Shifted",
    "as_float64",
    "exploding",
    "inside",
    "preserving",
    "rectified",
    "schedules",
]

Process = Callable[[Tensor], Level]


def preserving(log_snr: Tensor) -> Level:
    """alpha^2 + sigma^2 = 1, the variance-preserving process of DDPM."""
    return Level(torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt())


def rectified(log_snr: Tensor) -> Level:
    """alpha + sigma = 1, the straight path of rectified flow (2209.03003)."""
    return Level(torch.sigmoid(log_snr / 2), torch.sigmoid(-log_snr / 2))


def exploding(log_snr: Tensor) -> Level:
    """alpha = 1, sigma free: the variance-exploding process (2011.13456)."""
    return Level(torch.ones_like(log_snr), torch.exp(-log_snr / 2))


class Schedule(Protocol):
    """t (*b) in (0, 1) -> Level; log-SNR falls with t.

    `top` and `bottom` are the levels at t -> 1 and t -> 0. Sampling starts at `top`, which is NOISE
    only where that is the limit.
    """

    @property
    def process(self) -> Process:
        """How a log-SNR becomes alpha and sigma."""
        ...

    @property
    def top(self) -> Level:
        """The noisiest level."""
        ...

    @property
    def bottom(self) -> Level:
        """The cleanest level."""
        ...

    def __call__(self, t: Tensor | float) -> Level:
        """The level at t (*b)."""
        ...

    def inverse(self, log_snr: Tensor | float) -> Tensor:
        """The t of a log-SNR, float64; held to [0, 1] beyond the ends."""
        ...

    def shifted(self, factor: float) -> "Schedule":
        """The same with sigma/alpha multiplied by factor everywhere."""
        ...


schedules: Kinds[Schedule] = Kinds("schedule")


def inside(t: Tensor | float) -> Tensor:
    """t as float64; refused outside (0, 1), where the ends are exact constants instead."""
    t = torch.as_tensor(t, dtype=torch.float64)
    if not bool(((t > 0) & (t < 1)).all()):
        raise BadInput("a schedule is asked inside (0, 1) only", mend="use .top and .bottom")
    return t


def as_float64(value: Tensor | float) -> Tensor:
    """A float64 tensor of anything numeric."""
    return torch.as_tensor(value, dtype=torch.float64)


def _flow() -> Schedule:
    return schedules["flow"]()


@schedules("shifted")
@dataclass(frozen=True)
class Shifted:
    """Another schedule with sigma/alpha multiplied by `factor`, under the same process.

    By default the flow schedule shifted by 3, as for large pictures (2403.03206, sec. 5.3.2).
    """

    base: Schedule = field(default_factory=_flow)
    factor: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.factor < math.inf:
            raise BadInput(f"shift {self.factor}", where="schedule", mend="a factor above 0")

    @property
    def process(self) -> Process:
        """That of the base."""
        return self.base.process

    @property
    def top(self) -> Level:
        """NOISE stays NOISE."""
        return self._shift(self.base.top)

    @property
    def bottom(self) -> Level:
        """DATA stays DATA."""
        return self._shift(self.base.bottom)

    def _shift(self, level: Level) -> Level:
        if level.is_noise or level.is_data:
            return level
        return self.process(level.log_snr - 2 * math.log(self.factor))

    def __call__(self, t: Tensor | float) -> Level:
        """t (*b) in (0, 1)."""
        return self._shift(self.base(t))

    def inverse(self, log_snr: Tensor | float) -> Tensor:
        """The base's, asked at the unshifted log-SNR."""
        return self.base.inverse(as_float64(log_snr) + 2 * math.log(self.factor))

    def shifted(self, factor: float) -> "Schedule":
        """Factors multiply."""
        return Shifted(self.base, self.factor * factor)


@dataclass(frozen=True)
class Curve:
    """Any function t -> log-SNR, strictly falling on (0, 1); the inverse is found by bisection.

    `low` and `high` are the times nearest to the data and to the noise that it is asked at; they
    give `bottom` and `top`. Slow curves cost 60 evaluations an inverse.
    """

    log_snr: Callable[[Tensor], Tensor]
    process: Process = preserving
    low: float = 1e-6
    high: float = 1 - 1e-6

    def __post_init__(self) -> None:
        t = torch.linspace(self.low, self.high, 257, dtype=torch.float64)
        curve = self.log_snr(t)
        if not (bool(curve.isfinite().all()) and bool((curve.diff() < 0).all())):
            raise BadInput(
                "log-SNR must be finite and fall with t",
                where="schedule.curve",
                mend="check the function, or narrow low and high",
            )

    @property
    def top(self) -> Level:
        """At t = high."""
        return self(self.high)

    @property
    def bottom(self) -> Level:
        """At t = low."""
        return self(self.low)

    def __call__(self, t: Tensor | float) -> Level:
        """t (*b) in (0, 1)."""
        return self.process(self.log_snr(inside(t)))

    def inverse(self, log_snr: Tensor | float) -> Tensor:
        """60 halvings."""
        wanted = as_float64(log_snr)
        low, high = torch.full_like(wanted, self.low), torch.full_like(wanted, self.high)
        for _ in range(60):
            middle = (low + high) / 2
            cleaner = self.log_snr(middle) > wanted
            low, high = torch.where(cleaner, middle, low), torch.where(cleaner, high, middle)
        return (low + high) / 2

    def shifted(self, factor: float) -> "Schedule":
        """sigma/alpha times factor."""
        return Shifted(self, factor)
