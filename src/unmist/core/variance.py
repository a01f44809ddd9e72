"""How wide a reverse step is: the two fixed variances, or one learned for each element (slide 15).

Given x0, the step from a level (alpha, sigma) down to (alpha', sigma') is Gaussian (DDPM
2006.11239, eq. 7). With q = (r'/r)^2, r = sigma/alpha:

    mean = q*alpha'/alpha*x + alpha'*(1 - q)*x0        variance = sigma'^2*(1 - q)   (beta tilde)

Not knowing x0, the best Gaussian has the mean's D for x0 and more variance: by
(alpha'*(1 - q))^2*Var[x0 | x_t] (2201.06503, thm. 1). That lies between beta tilde, right for data
without spread, and beta = beta tilde*(s/s')^2, right for data N(0, 1), where s and s' are the
sigmas once alpha^2 + sigma^2 = 1. A learned variance says where between, as a fraction in (0, 1).
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.kinds import Kinds
from unmist.core.condition import Cond
from unmist.core.level import Level, lift
from unmist.core.schedule import Schedule

__all__ = ["Between", "Fixed", "Larger", "Reverse", "Spread", "Variance", "reverse", "variances"]


@dataclass(frozen=True, eq=False)
class Reverse:
    """q(x' | x, x0) = N(keep*x + take*x0, std^2), and beta's standard deviation over std: `most`.

    float64, of the levels' shape.
    """

    keep: Tensor
    take: Tensor
    std: Tensor
    most: Tensor


def reverse(here: Level, there: Level) -> Reverse:
    """The reverse step down from `here` to `there`: x0 itself at DATA; rows there already stay."""
    noisy, one = here.sigma > 0, torch.ones(()).double()
    sigma = torch.where(noisy, here.sigma, one)
    down = torch.where(noisy, there.sigma * here.alpha / (there.alpha * sigma), one)  # r'/r
    left = (1 - down) * (1 + down)
    return Reverse(
        keep=torch.where(noisy, down * there.sigma / sigma, there.alpha / here.alpha),
        take=there.alpha * left,
        std=there.sigma * left.clamp(min=0).sqrt(),
        most=torch.where(there.sigma > 0, _preserved(here) / _preserved(there), one),
    )


def _preserved(level: Level) -> Tensor:
    """sigma once alpha^2 + sigma^2 = 1."""
    return level.sigma / torch.hypot(level.alpha, level.sigma)


class Variance(Protocol):
    """What a network says of a step's variance, and how it learns it."""

    @property
    def learned(self) -> bool:
        """Whether the network answers twice the channels, the second half for the variance."""
        ...

    def gain(self, said: Tensor, here: Level, there: Level) -> Tensor:
        """The network's second half (b, c, *s) -> the step's std over beta tilde's, same shape."""
        ...

    def loss(self, said: Tensor, off: Tensor, here: Level, schedule: Schedule) -> Tensor:
        """(b,): what is added to the loss; `off` is x0 - mean, without gradients."""
        ...


variances: Kinds[Variance] = Kinds("variance")


def _nothing(off: Tensor) -> Tensor:
    """No loss of a row, (b,)."""
    return torch.zeros(len(off), dtype=off.dtype, device=off.device)


@variances("fixed")
@dataclass(frozen=True)
class Fixed:
    """Nothing is learned: beta tilde."""

    learned = False

    def gain(self, said: Tensor, here: Level, there: Level) -> Tensor:
        """Ones."""
        return torch.ones_like(said)

    def loss(self, said: Tensor, off: Tensor, here: Level, schedule: Schedule) -> Tensor:
        """Zeros."""
        return _nothing(off)


@variances("larger")
@dataclass(frozen=True)
class Larger:
    """Nothing is learned: beta, which needs 250 steps or more (2006.11239, sec. 3.2)."""

    learned = False

    def gain(self, said: Tensor, here: Level, there: Level) -> Tensor:
        """`most` everywhere."""
        return lift(reverse(here, there).most, said).expand_as(said)

    def loss(self, said: Tensor, off: Tensor, here: Level, schedule: Schedule) -> Tensor:
        """Zeros."""
        return _nothing(off)


@variances("between")
@dataclass(frozen=True, kw_only=True)
class Between:
    """A fraction f in (0, 1) of the way from beta tilde to beta, learned by the hybrid loss.

    f = sigmoid(the network's second half). `path` "log": log-linear, as in 2102.09672 (eq. 15) and
    ADM, where f belongs to steps of one length. `path` "linear": linear in the variance itself,
    std^2 = beta tilde*(1 - f) + beta*f; f is then Var[x0 | x_t] as a share of what N(0, 1) data
    would have, so that one f is the optimum for steps of every length.

    The loss adds `weight` times KL(q(x' | x, x0) || p(x' | x)) an element and unit of
    log(sigma/alpha) (2102.09672, eq. 16), over a step of `stride` in log(sigma/alpha), at the
    levels that training draws; the mean gets no gradient from it.
    """

    path: str = "linear"
    weight: float = 0.01
    stride: float = 0.25
    learned = True

    def __post_init__(self) -> None:
        if self.path not in ("linear", "log"):
            raise BadInput(f"path '{self.path}'", where="variance.between", mend="linear or log")
        for name in ("weight", "stride"):
            if not getattr(self, name) > 0:
                raise BadInput(f"{name} {getattr(self, name)}", where="variance", mend="above 0")

    def gain(self, said: Tensor, here: Level, there: Level) -> Tensor:
        """most^f, or sqrt(1 + f*(most^2 - 1))."""
        most, share = lift(reverse(here, there).most, said), torch.sigmoid(said)
        return most**share if self.path == "log" else (1 + share * (most**2 - 1)).sqrt()

    def loss(self, said: Tensor, off: Tensor, here: Level, schedule: Schedule) -> Tensor:
        """weight/stride*KL, mean over the elements."""
        there = schedule.process(here.log_snr + 2 * self.stride)
        divergence = kl(self.gain(said, here, there), off, reverse(here, there))
        return self.weight / self.stride * divergence.flatten(1).mean(1)


def kl(gain: Tensor, off: Tensor, step: Reverse) -> Tensor:
    """KL(q(x' | x, x0) || N(keep*x + take*D, (gain*std)^2)) an element, in nats; off = x0 - D."""
    shift = lift(step.take / step.std, off) * off
    return gain.log() + ((1 + shift**2) / gain**2 - 1) / 2


class Spread(Protocol):
    """A denoiser that also knows how wide its steps are."""

    def spread(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level
    ) -> tuple[Tensor, Tensor]:
        """The posterior mean, and the step's std over beta tilde's: both of the shape of x."""
        ...
