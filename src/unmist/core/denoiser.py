"""Denoisers: E[x0 | x_t, cond], and a network made into one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from unmist.core.condition import Cond, Signals
from unmist.core.level import Level, blend, lift
from unmist.core.prediction import Prediction, coefficient, mean_of
from unmist.core.variance import Fixed, Spread, Variance

__all__ = ["Chunked", "Denoiser", "NetDenoiser", "Network", "Within", "steer"]


class Denoiser(Protocol):
    """x (b, c, *s), a level () or (b,) or (b, 1, frames) -> E[x0 | x_t, cond], shape of x.

    Scale-free: D(c*x, c*level) = D(x, level). `there` tells a two-level student where the step
    ends; others ignore it. Never asked at DATA.
    """

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """The posterior mean."""
        ...


class Network(Protocol):
    """x (b, c, *s), clock (b,), what is known -> (b, c, *s). Knows no schedule."""

    def __call__(self, x: Tensor, clock: Tensor, cond: Cond | Signals | None, /) -> Tensor:
        """The network's output."""
        ...


@dataclass(frozen=True)
class NetDenoiser:
    """A network and what it predicts, as a denoiser; of its variance, where it learned one."""

    net: Network
    prediction: Prediction
    variance: Variance = field(default=Fixed())

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """skip*x + out*net(scale*x, clock, cond) (2206.00364, eq. 7)."""
        del there  # a one-level network
        return mean_of(self.prediction, x, self._answer(x, here, cond)[:, : x.shape[1]], here)

    def spread(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level
    ) -> tuple[Tensor, Tensor]:
        """The mean, and the std of the step to `there` over beta tilde's: one call for both."""
        channels, output = x.shape[1], self._answer(x, here, cond)
        mean = mean_of(self.prediction, x, output[:, :channels], here)
        said = output[:, channels:] if self.variance.learned else mean
        return mean, self.variance.gain(said, here, there)

    def _answer(self, x: Tensor, here: Level, cond: Cond | None) -> Tensor:
        """(b, c, *s), or (b, 2c, *s) where the variance is learned."""
        told = coefficient(
            self.prediction.clock.__call__, here.rows(len(x)) if here.shape else here
        )
        clock = told.to(x) if isinstance(told, Tensor) else x.new_full((len(x),), told)
        return self.net(blend(x, coefficient(self.prediction.scale, here)), clock, cond)


@dataclass(frozen=True)
class Chunked:
    """The exact mode: the network sees `rows` rows at a time, padded, whatever the batch.

    Convolutions and matrix products round differently in other batch sizes (about 1e-6), so this
    makes a row bit-equal in any company, on one machine, torch version and thread count. One
    picture alone costs as much as `rows`. `spreads`: who is asked for the variance.
    """

    denoise: Denoiser
    rows: int = 8
    spreads: Spread | None = None

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """Shape of x."""
        parts = self._parts(x, here, cond, there)
        return torch.cat([self.denoise(*part, there=to)[:own] for own, to, part in parts])

    def spread(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level
    ) -> tuple[Tensor, Tensor]:
        """Mean and gain from `spreads`."""
        assert self.spreads is not None, "built without"
        found = []
        for own, to, part in self._parts(x, here, cond, there):
            assert to is not None
            found.append([answer[:own] for answer in self.spreads.spread(*part, there=to)])
        means, gains = zip(*found, strict=True)
        return torch.cat(means), torch.cat(gains)

    def _parts(
        self, x: Tensor, here: Level, cond: Cond | None, there: Level | None
    ) -> "Iterator[tuple[int, Level | None, tuple[Tensor, Level, Cond | None]]]":
        """Of each chunk: how many of its rows are not padding, where it goes, what is asked."""
        count = len(x)
        here, there = here.rows(count), there.rows(count) if there is not None else None
        for start in range(0, count, self.rows):
            index = torch.arange(start, start + self.rows).clamp(max=count - 1)
            part = cond.rows(index) if cond is not None else None
            goal = there[index] if there is not None else None
            yield min(self.rows, count - start), goal, (x[index], here[index], part)


@dataclass(frozen=True)
class Within:
    """Asked outside sigma/alpha in [low, high], answers as at the nearest end.

    A network says little at levels that it was never trained at, and eps nothing at NOISE, where
    beyond sigma/alpha = 80 nothing but the mean of the data is left to know. `spreads`: who is
    asked for the variance.
    """

    denoise: Denoiser
    low: float = 0.002
    high: float = 80.0
    spreads: Spread | None = None

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """Shape of x."""
        return self.denoise(x, self._held(here), cond, there=there)

    def spread(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level
    ) -> tuple[Tensor, Tensor]:
        """Mean and gain from `spreads`."""
        assert self.spreads is not None, "built without"
        return self.spreads.spread(x, self._held(here), cond, there=there)

    def _held(self, here: Level) -> Level:
        if not here.shape and self.low * here.alpha <= here.sigma <= self.high * here.alpha:
            return here
        alpha = torch.maximum(here.alpha, here.sigma / self.high)
        return Level(alpha, torch.maximum(here.sigma, here.alpha * self.low))


class LogDensity(Protocol):
    """log p(y | x_t) up to a constant: x (b, c, *s), level -> (b,), differentiable in x."""

    def __call__(self, x: Tensor, level: Level) -> Tensor:
        """(b,)."""
        ...


def steer(denoise: Denoiser, log_p: LogDensity, scale: float = 1.0) -> Denoiser:
    """D + scale*(sigma^2/alpha)*grad log p, by Tweedie; D itself at alpha = 0.

    Classifier guidance (ADM 2105.05233, alg. 1 in the mean's terms) and every other gradient.
    """

    def steered(
        x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        mean = denoise(x, here, cond, there=there)
        if here.is_noise:
            return mean
        with torch.enable_grad():
            at = x.detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(log_p(at, here).sum(), at)
        safe = torch.where(here.alpha > 0, here.alpha, torch.ones(()).double())
        gain = torch.where(here.alpha > 0, scale * here.sigma**2 / safe, torch.zeros(()).double())
        return mean + lift(gain, x) * slope

    return steered
