"""Solvers of the probability-flow ODE and its SDE, as generators that ask for means.

Everything is written in the mean and in lambda = log(alpha/sigma): with h = lambda' - lambda,
keep = sigma'/sigma and take = alpha' - alpha*keep, Euler (= DDIM) is x' = keep*x + take*D. A step
that touches an end (NOISE, DATA) is Euler's.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.kinds import Kinds
from unmist.core.level import Level, Number, blend, lift, over
from unmist.core.variance import reverse

__all__ = [
    "Ancestral",
    "Answer",
    "Ask",
    "Euler",
    "Heun",
    "Multistep",
    "SdeMultistep",
    "Seen",
    "Solver",
    "solvers",
]


class Ask(NamedTuple):
    """A question to the denoiser: E[x0 | x at `here`]; `there` is where the step ends.

    With `spread` the answer is a pair: the mean, and the std of the step over beta tilde's (None
    where the denoiser knows none).
    """

    x: Tensor
    here: Level
    there: Level
    spread: bool = False


class Seen(NamedTuple):
    """What a step leaves for the next: where it stood (after any correction) and the mean there."""

    level: Level
    x: Tensor
    mean: Tensor


Answer = Tensor | tuple[Tensor, Tensor | None]
Asking = Generator[Ask, Tensor, tuple[Tensor, Seen]]


class Solver(Protocol):
    """One step from `here` to `there`: yields questions, is sent means, returns (x', Seen).

    `past` holds up to `memory` earlier Seen of an unbroken run of steps, newest last; it is dropped
    at a renoise. `noise(x)` is fresh standard noise, for stochastic solvers. Stateless.
    """

    @property
    def order(self) -> int:
        """Order of convergence on interior segments."""
        ...

    @property
    def memory(self) -> int:
        """How many earlier means it uses."""
        ...

    @property
    def stochastic(self) -> bool:
        """Whether it draws noise itself."""
        ...

    def __call__(
        self,
        x: Tensor,
        here: Level,
        there: Level,
        past: tuple[Seen, ...],
        noise: Callable[[Tensor], Tensor],
    ) -> Asking:
        """The step."""
        ...


solvers: Kinds[Solver] = Kinds("solver")


def mean_at(x: Tensor, here: Level, there: Level) -> Generator[Ask, Tensor, Tensor]:
    """The mean at `here`: asked for, or x/alpha itself at DATA, where a denoiser is never asked."""
    if here.is_data:
        return x / here.like(x).alpha
    return (yield Ask(x, here, there))


def euler_parts(here: Level, there: Level) -> tuple[Number, Number]:
    """keep and take; keep is 1 where sigma is 0."""
    (alpha, sigma), (to_alpha, to_sigma) = here.parts, there.parts
    keep = over(to_sigma, sigma, 1.0)
    return keep, to_alpha - alpha * keep


def euler_step(x: Tensor, mean: Tensor, here: Level, there: Level) -> Tensor:
    """keep*x + take*mean, exact where the mean is constant."""
    keep, take = euler_parts(here, there)
    return blend(x, keep, (take, mean))


def touches_end(*levels: Level) -> bool:
    """True where any row of any level is NOISE or DATA."""
    return any(bool(((level.alpha == 0) | (level.sigma == 0)).any()) for level in levels)


def stride(here: Level, there: Level) -> Tensor:
    """h = lambda_there - lambda_here, positive going down."""
    return here.log_ratio - there.log_ratio


def phi(h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """h*phi_1, h*phi_2, h*phi_3 at -h: the integrals of e^-(h-s)*(s/h)^k/k! over [0, h].

    Small h by series: the closed forms lose all digits there.
    """
    one = -torch.expm1(-h)
    series_two = h / 2 - h**2 / 6 + h**3 / 24 - h**4 / 120
    series_three = h / 6 - h**2 / 24 + h**3 / 120 - h**4 / 720
    small = h.abs() < 1e-2
    safe = torch.where(small, torch.ones_like(h), h)
    two = torch.where(small, series_two, 1 - one / safe)
    three = torch.where(small, series_three, 0.5 - (1 - one / safe) / safe)
    return one, two, three


@solvers("euler")
@dataclass(frozen=True)
class Euler:
    """DDIM (2010.02502): order 1, one call."""

    order = 1
    memory = 0
    stochastic = False

    def __call__(
        self,
        x: Tensor,
        here: Level,
        there: Level,
        past: tuple[Seen, ...],
        noise: Callable[[Tensor], Tensor],
    ) -> Asking:
        """keep*x + take*mean."""
        mean = yield from mean_at(x, here, there)
        return euler_step(x, mean, here, there), Seen(here, x, mean)


@solvers("ancestral")
@dataclass(frozen=True)
class Ancestral:
    """DDPM's reverse step with the model's own variance (2006.11239, alg. 2; 2102.09672, eq. 15).

    Where the model learned none, or nothing is said of it, the smaller fixed one: then the same law
    as Euler on the plan `ancestral(eta=1)`. Upwards (inversion) it is Euler's step.
    """

    order = 1
    memory = 0
    stochastic = True

    def __call__(
        self,
        x: Tensor,
        here: Level,
        there: Level,
        past: tuple[Seen, ...],
        noise: Callable[[Tensor], Tensor],
    ) -> Asking:
        """keep*x + take*mean + gain*std*noise (`core.variance.reverse`)."""
        if here.is_data or bool((there.ratio > here.ratio).any()):
            mean = yield from mean_at(x, here, there)
            return euler_step(x, mean, here, there), Seen(here, x, mean)
        answer = yield Ask(x, here, there, spread=True)
        mean, gain = cast("tuple[Tensor, Tensor | None]", answer)
        step = reverse(here, there)
        wide = lift(step.std, x) if gain is None else lift(step.std, x) * gain
        ahead = lift(step.keep, x) * x + lift(step.take, x) * mean + wide * noise(x)
        return ahead, Seen(here, x, mean)


@solvers("heun")
@dataclass(frozen=True)
class Heun:
    """The slope at both ends, averaged, in y = x/alpha over r (2206.00364, alg. 1). Two calls."""

    order = 2
    memory = 0
    stochastic = False

    def __call__(
        self,
        x: Tensor,
        here: Level,
        there: Level,
        past: tuple[Seen, ...],
        noise: Callable[[Tensor], Tensor],
    ) -> Asking:
        """Euler's where the step touches an end."""
        mean = yield from mean_at(x, here, there)
        ahead = euler_step(x, mean, here, there)
        if touches_end(here, there):
            return ahead, Seen(here, x, mean)
        second = yield from mean_at(ahead, there, there)
        at, to = here.like(x), there.like(x)
        slope = (x / at.alpha - mean) / lift(here.ratio, x)
        slope = slope + (ahead / to.alpha - second) / lift(there.ratio, x)
        run = lift((there.ratio - here.ratio) / 2, x)
        return to.alpha * (x / at.alpha + run * slope), Seen(here, x, mean)


@solvers("multistep")
@dataclass(frozen=True)
class Multistep:
    """DPM-Solver++ 2M and 3M (2211.01095), one call a step.

    With `published` the third order's last difference has the weight it is commonly given, which
    makes it order 2 (for parity only); ours has twice that. `warm` starts with one exponential
    Heun step (one call more), without which no multistep reaches order 3.
    """

    order: int = 2
    warm: bool = False
    published: bool = False
    stochastic = False

    def __post_init__(self) -> None:
        if self.order not in (2, 3):
            raise BadInput(f"order {self.order}", where="solver.multistep", mend="2 or 3")

    @property
    def memory(self) -> int:
        """order - 1."""
        return self.order - 1

    def __call__(
        self,
        x: Tensor,
        here: Level,
        there: Level,
        past: tuple[Seen, ...],
        noise: Callable[[Tensor], Tensor],
    ) -> Asking:
        """The mean's polynomial through the last points in lambda, integrated exactly."""
        mean = yield from mean_at(x, here, there)
        seen, ahead = Seen(here, x, mean), euler_step(x, mean, here, there)
        if touches_end(here, there):
            return ahead, seen
        usable = [old for old in past if not touches_end(old.level)]
        h = stride(here, there)
        _, two, three = phi(h)
        alpha = there.alpha
        if not usable and self.warm:
            second = yield from mean_at(ahead, there, there)
            return ahead + lift(alpha * two, x) * (second - mean), seen
        if not usable:
            return ahead, seen
        slope, bend = self._differences(seen, usable, h)
        if self.order == 2:  # the usual form: half of h*phi_1, equal to phi_2 to this order
            two = -torch.expm1(-h) / 2
        ahead = ahead + lift(alpha * two, x) * slope
        if bend is not None:
            weight = three if self.published else 2 * three
            ahead = ahead + lift(alpha * weight, x) * bend
        return ahead, seen

    def _differences(
        self, seen: Seen, usable: list[Seen], h: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """h*D' and, with two old means, h^2*D''/2 at `here`, by divided differences."""
        x, last = seen.x, usable[-1]
        near = stride(last.level, seen.level) / h
        first = (seen.mean - last.mean) / lift(near, x)
        if self.order == 2 or len(usable) == 1:
            return first, None
        older = usable[-2]
        far = stride(older.level, last.level) / h
        second = (last.mean - older.mean) / lift(far, x)
        bend = (first - second) / lift(near + far, x)
        return first + lift(near, x) * bend, bend


@solvers("sde")
@dataclass(frozen=True)
class SdeMultistep:
    """SDE-DPM-Solver++ 2M (2211.01095, app.): second order in the mean, noise inside the step.

    x' = keep*e^-h*x + alpha'*(1 - e^-2h)*(D + D1/2) + sigma'*sqrt(1 - e^-2h)*z.
    """

    order = 2
    memory = 1
    stochastic = True

    def __call__(
        self,
        x: Tensor,
        here: Level,
        there: Level,
        past: tuple[Seen, ...],
        noise: Callable[[Tensor], Tensor],
    ) -> Asking:
        """From NOISE the mean renoised; to DATA the mean itself; where nothing changes, x."""
        mean = yield from mean_at(x, here, there)
        seen, to = Seen(here, x, mean), there.like(x)
        fade, take, lean = self._weights(here, there, past)
        drive = mean
        if past:
            drive = mean + lift(lean, x) * (mean - past[-1].mean)
        keep = lift(euler_parts(here, there)[0] * fade, x)
        ahead = keep * x + to.alpha * lift(take, x) * drive
        return ahead + to.sigma * lift(take.sqrt(), x) * noise(x), seen

    def _weights(
        self, here: Level, there: Level, past: tuple[Seen, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """e^-h, 1 - e^-2h and h/(2*h_before): 0, 1 and 0 from NOISE and to DATA."""
        still = (here.alpha == there.alpha) & (here.sigma == there.sigma)
        h = torch.where(still, 0.0, stride(here, there))
        lean = torch.zeros_like(h)
        if past:
            before = stride(past[-1].level, here)
            usable = h.isfinite() & before.isfinite() & (before != 0)
            lean = torch.where(usable, h / (2 * torch.where(usable, before, 1.0)), 0.0)
        return torch.exp(-h), -torch.expm1(-2 * h), lean
