"""How likely a sample is: the variational bound, and the density along the deterministic path.

Both start at the cleanest level r0 of a ladder of levels and count, in nats,

    -log P(x0) <= E_q [-log p(x_r0) - log P(x0 | x_r0) + log q(x_r0 | x0)]

with x_r0 = alpha*x0 + sigma*eps and a decoder that needs no network: at a noise far below the
data's own scale it is as good as exact, and for 8-bit values it gives true probabilities (VDM
2107.00630, sec. 3.3 and app. B).
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import Noise
from unmist.core.condition import Cond
from unmist.core.denoiser import Denoiser
from unmist.core.level import Level, noised
from unmist.core.plan import Plan, Step
from unmist.core.schedule import Schedule
from unmist.core.solver import Heun
from unmist.core.variance import Spread, kl, reverse
from unmist.core.walk import State, walk

__all__ = ["Bound", "Continuous", "Decoder", "Discrete", "bound", "ladder", "path_nats"]

FARTHEST = 1e3  # sigma/alpha beyond which nothing of the data is left


def ladder(schedule: Schedule, steps: int) -> Level:
    """Levels (steps + 1,), noisiest first, even in log(sigma/alpha) from top to bottom.

    An end at NOISE or DATA is left out: the ladder stops at sigma/alpha = 1e3 and 1e-3.
    """
    ends = [schedule.top.log_ratio, schedule.bottom.log_ratio]
    high, low = (float(end.clamp(-math.log(FARTHEST), math.log(FARTHEST))) for end in ends)
    return schedule.process(-2 * torch.linspace(high, low, steps + 1, dtype=torch.float64))


class Decoder(Protocol):
    """log P(x0 | x at the ladder's cleanest level), in nats, (b,) float64."""

    def __call__(self, x0: Tensor, x: Tensor, here: Level) -> Tensor:
        """(b,)."""
        ...


@dataclass(frozen=True)
class Continuous:
    """N(x/alpha, r^2): for data with a density, whose scale must lie far above r.

    Its mean over the noise, -d/2*log(2*pi*e*r^2), so that one draw is enough.
    """

    def __call__(self, x0: Tensor, x: Tensor, here: Level) -> Tensor:
        """(b,)."""
        return -_entropy(x0, here.ratio)


@dataclass(frozen=True)
class Discrete:
    """P(level k) ~ exp(-(x/alpha - x_k)^2/(2*r^2)) over levels x_k = (k - mean)/spread, k < count.

    mean and spread: one a channel, as a codec of pixels has them.
    """

    mean: tuple[float, ...]
    spread: tuple[float, ...]
    count: int = 256

    def __call__(self, x0: Tensor, x: Tensor, here: Level) -> Tensor:
        """(b,); eight rows at a time, for every element is weighed against every level."""
        parts = (x0.split(8), (x / here.like(x).alpha).split(8))
        return torch.cat([self._rows(a, b, float(here.ratio)) for a, b in zip(*parts, strict=True)])

    def _rows(self, x0: Tensor, clean: Tensor, ratio: float) -> Tensor:
        shape = (-1, *[1] * (x0.ndim - 2))
        mean, spread = (torch.tensor(v).to(x0).reshape(shape) for v in (self.mean, self.spread))
        levels = torch.arange(self.count, device=x0.device, dtype=x0.dtype)
        off = ((clean * spread + mean)[..., None] - levels) / (spread[..., None] * ratio)
        fit = torch.log_softmax(-(off**2) / 2, -1)
        own = (x0 * spread + mean).round().long()[..., None]
        return fit.gather(-1, own)[..., 0].double().flatten(1).sum(1)


@dataclass(frozen=True, eq=False)
class Bound:
    """The parts of the bound in nats, (b,) float64 each."""

    prior: Tensor
    steps: Tensor
    last: Tensor

    @property
    def total(self) -> Tensor:
        """-log P(x0) is at most this, on average over the noise."""
        return self.prior + self.steps + self.last


def bound(
    denoise: Spread,
    x0: Tensor,
    levels: Level,
    noise: Noise,
    decoder: Decoder,
    cond: Cond | None = None,
) -> Bound:
    """The variational bound over all steps of a ladder (DDPM 2006.11239, eq. 5), one noise a step.

    The reverse steps have the variance that `denoise.spread` says. One network call a level.
    """
    count = len(levels.alpha)
    steps = torch.zeros(len(x0), dtype=torch.float64)
    for i in range(count - 1):
        here, there = levels[i], levels[i + 1]
        x = noised(x0, here, noise(x0, i + 1))
        with torch.no_grad():
            mean, gain = denoise.spread(x, here, cond, there=there)
        nats = kl(gain.double(), (x0 - mean).double(), reverse(here, there))
        steps += nats.flatten(1).sum(1).cpu()
    top, bottom = levels[0], levels[count - 1]
    x = noised(x0, bottom, noise(x0, count))
    return Bound(_prior(x0, top), steps, -decoder(x0, x, bottom).cpu())


def _prior(x0: Tensor, top: Level) -> Tensor:
    """KL(q(x_top | x0) || N(0, alpha^2 + sigma^2)): what samples start from."""
    total = top.alpha**2 + top.sigma**2
    share = top.sigma**2 / total
    signal = (top.alpha**2 / total) * x0.double().cpu() ** 2
    return ((signal + share - 1 - share.log()) / 2).flatten(1).sum(1)


def path_nats(
    denoise: Denoiser, x0: Tensor, levels: Level, noise: Noise, decoder: Decoder, *, probes: int = 1
) -> Tensor:
    """The same with log p(x_r0) along the probability-flow ODE (2011.13456, eq. 39), (b,) float64.

    In y = x/alpha and s = log r: dy/ds = y - D and dlog p/ds = -(d - alpha*tr dD/dx); the path by
    Heun, the integral by Simpson, so the ladder must be even in log(sigma/alpha) with an even
    number of steps. The trace by `probes` random signs (Hutchinson), or exactly (0: one backward
    pass for each of the d elements). Two network calls and `probes` backward passes a step.
    """
    s = levels.log_ratio.flip(0)
    if len(s) % 2 == 0 or not torch.allclose(s.diff(), s.diff()[:1]):
        raise BadInput("Simpson's rule needs an even ladder", mend="ladder(schedule, even number)")
    bottom, top = levels[len(s) - 1], levels[0]
    x = noised(x0, bottom, noise(x0, 0))
    signs = [noise(x0, k + 1).sign() for k in range(probes)]
    plan = Plan(bottom, tuple(Step(levels[i]) for i in reversed(range(len(s) - 1))))
    rest, last = [_rest(denoise, State(bottom, x, None, 0), signs)], x
    for state in walk(denoise, x, plan, Heun(), noise):
        rest.append(_rest(denoise, state, signs))
        last = state.x
    d, r = x0[0].numel(), levels.ratio
    grown = d * (torch.log1p(r[0] ** 2) - torch.log1p(r[-1] ** 2)) / 2
    start = -_normal(last, torch.hypot(top.alpha, top.sigma)) - d * top.alpha.log()
    # -log p(x_r0), from log p in y: grown - the rest's integral is the volume's growth on the way
    path = start - (grown - _simpson(torch.stack(rest), s)) + d * bottom.alpha.log()
    return path - _entropy(x0, bottom.sigma) - decoder(x0, x, bottom).cpu()


def _entropy(x: Tensor, spread: Tensor) -> Tensor:
    """d/2*log(2*pi*e*spread^2): of the noise around x, (b,) float64."""
    nats = (math.log(2 * math.pi) + 1) / 2 + spread.double().log()
    return (x[0].numel() * nats).expand(len(x))


def _normal(x: Tensor, spread: Tensor) -> Tensor:
    """log N(x; 0, spread^2), (b,) float64."""
    flat, spread = x.double().flatten(1).cpu(), spread.double()
    return -((flat / spread) ** 2 / 2 + spread.log() + math.log(2 * math.pi) / 2).sum(1)


def _rest(denoise: Denoiser, at: State, signs: list[Tensor]) -> Tensor:
    """alpha*tr dD/dx less what it is for N(0, 1) data, d/(1 + r^2): (b,) float64."""
    d, r = at.x[0].numel(), at.level.ratio
    with torch.enable_grad():
        x = at.x.detach().requires_grad_(True)
        mean = denoise(x, at.level)
        ways = signs or [_axis(x, i) for i in range(d)]
        total = torch.zeros(len(x), dtype=torch.float64)
        for way in ways:
            (slope,) = torch.autograd.grad((mean * way).sum(), x, retain_graph=True)
            total += (slope * way).double().flatten(1).sum(1).cpu()
    share = total / len(signs) if signs else total
    return at.level.alpha * share - d / (1 + r**2)


def _axis(x: Tensor, i: int) -> Tensor:
    """One in the i-th element of every row."""
    way = torch.zeros_like(x).flatten(1)
    way[:, i] = 1
    return way.reshape(x.shape)


def _simpson(values: Tensor, s: Tensor) -> Tensor:
    """The integral over s (n,), even, of values (n, b)."""
    weights = torch.ones(len(s), dtype=torch.float64)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    return (s[1] - s[0]) / 3 * (weights[:, None] * values).sum(0)
