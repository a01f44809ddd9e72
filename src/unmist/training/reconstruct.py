"""Learning to give samples back through a bottleneck: what an autoencoder is taught by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from unmist.base.faults import BadInput
from unmist.core.condition import Cond
from unmist.core.denoiser import Network
from unmist.core.level import Level

__all__ = ["Coding", "Reconstructing", "Seen", "Taught", "reversed_gradient"]

Seen = Callable[[Tensor], Sequence[Tensor]]
"""x (b, c, *s) of mean 0 and spread 1 -> features (b, k, *s') of several depths."""


@dataclass(frozen=True, kw_only=True)
class Coding:
    """How an autoencoder is taught.

    samples: seen in all, 0 for half as many as the model sees; batch: an update; rate: the highest
    learning rate; squared: the weight of the squared error beside 1 of the absolute; perceptual: of
    the distance in the features of the data's own classifier; adversary: of a patch critic.
    """

    samples: int = 0
    batch: int = 32
    rate: float = 1e-3
    squared: float = 1.0
    perceptual: float = 0.0
    adversary: float = 0.0

    def __post_init__(self) -> None:
        if self.samples < 0 or self.batch < 1 or not 0 < self.rate <= 1:
            mend = "samples 0 or more, batch 1 or more, rate above 0"
            raise BadInput(f"{self}", where="coding", mend=mend)
        for name in ("squared", "perceptual", "adversary"):
            if not 0 <= getattr(self, name) <= 1000:
                raise BadInput(f"{name} {getattr(self, name)}", where="coding", mend="0 … 1000")


class Coder(Protocol):
    """An autoencoder in training."""

    def repeated(self, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """x (b, c, *s), its noise -> what comes back, and the bottleneck's price a row (b,)."""
        ...


class Taught(nn.Module):
    """What is optimised together: the autoencoder, and the critic where there is one."""

    def __init__(self, coder: nn.Module, critic: nn.Module | None) -> None:
        super().__init__()
        self.coder, self.critic = coder, critic

    def forward(self, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """As the coder repeats it."""
        return cast(Coder, self.coder).repeated(x, eps)


@dataclass(frozen=True)
class Reconstructing:
    """|x - back| + squared*(x - back)^2 + price + perceptual + adversary, a mean over numbers.

    The perceptual term is the squared distance of features made unit vectors at each place (Zhang
    et al. 2018, 1801.03924, without learned weights). The critic's is the hinge loss of patches
    (Isola et al. 2017), and the coder is led up it through a reversed gradient (Ganin & Lempitsky
    2015, 1409.7495), so that one update serves both. seen: the features, where they count.
    """

    coding: Coding
    seen: Seen | None = None

    def levels(self, u: Tensor) -> Level:
        """No noise: (b,)."""
        return Level(torch.ones_like(u), torch.zeros_like(u))

    def __call__(
        self, net: Network, x0: Tensor, eps: Tensor, level: Level, cond: Cond | None = None
    ) -> Tensor:
        """Loss a row (b,)."""
        assert isinstance(net, Taught)
        back, price = net(x0, eps)
        off, plan = back - x0, self.coding
        loss = (off.abs() + plan.squared * off**2).flatten(1).mean(1) + price
        if plan.perceptual and self.seen is not None:
            loss = loss + plan.perceptual * apart(self.seen(x0), self.seen(back))
        if plan.adversary and net.critic is not None:
            loss = loss + criticised(net.critic, x0, back, plan.adversary)
        return loss


def apart(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """The mean over places of |unit(a) - unit(b)|^2, summed over depths: (b,)."""
    pairs = zip(ours, theirs, strict=True)
    parts = [
        (nn.functional.normalize(a, dim=1) - nn.functional.normalize(b, dim=1)) ** 2
        for a, b in pairs
    ]
    return torch.stack([part.sum(1).flatten(1).mean(1) for part in parts]).sum(0)


def criticised(critic: nn.Module, real: Tensor, back: Tensor, weight: float) -> Tensor:
    """The critic's hinge loss (b,); what made `back` is led up it by `weight`."""
    told, doubted = critic(real), critic(reversed_gradient(back, weight))
    return (relu(1 - told) + relu(1 + doubted)).flatten(1).mean(1)


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight  # pyright: ignore[reportAttributeAccessIssue]
        return x.view_as(x)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * grads[0], None  # pyright: ignore[reportAttributeAccessIssue]


def reversed_gradient(x: Tensor, weight: float) -> Tensor:
    """x itself; its gradient comes back times -weight."""
    answer = _Reversed.apply(x, weight)
    assert isinstance(answer, Tensor)
    return answer
