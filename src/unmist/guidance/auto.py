"""Autoguidance (2406.02507): away from what a weaker version of the same model says."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from unmist.core.condition import Cond
from unmist.core.denoiser import Denoiser
from unmist.core.level import Level, lift
from unmist.guidance.interval import Interval
from unmist.guidance.wish import AUTO, scale_of

__all__ = ["Auto"]


@dataclass(frozen=True, eq=False)
class Auto:
    """D_weak + scale*(D - D_weak) (2406.02507, eq. 3), both with the same conditions.

    `weaker`: the same model less trained, smaller, or averaged too early. What the two disagree on
    is what more training mended, so quality rises without leading away from other classes. scale
    1, and every level outside `interval`, is the model alone, and the weaker one is not asked; 0 is
    the weaker one. A row may bring its own scale along (`unmist.guidance.wish`).
    """

    denoise: Denoiser
    weaker: Denoiser
    scale: float = 2.0
    interval: Interval = field(default=Interval())

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """Shape of x."""
        return self.pair(x, here, cond, there=there)[0]

    def pair(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> tuple[Tensor, Tensor]:
        """The guided mean, and the one at scale 1 from the same answers."""
        inside = self.interval.holds(here.rows(len(x)))
        scale = scale_of(cond, AUTO, self.scale, len(x))
        scale = torch.where(inside, scale.reshape(-1, *[1] * (inside.ndim - 1)), 1.0)
        total, plain = torch.zeros_like(x), torch.zeros_like(x)
        for denoise, weight in ((self.weaker, 1 - scale), (self.denoise, scale)):
            rows = (weight != 0).reshape(len(x), -1).any(1).nonzero()[:, 0]
            if len(rows):
                part, own = _part(denoise, (x, here, cond, there), rows), rows.to(x.device)
                total = total.index_add(0, own, lift(weight[rows], part) * part)
                plain = plain.index_copy(0, own, part)  # the model's own where it was asked
        return total, plain


def _part(
    denoise: Denoiser, asked: tuple[Tensor, Level, Cond | None, Level | None], rows: Tensor
) -> Tensor:
    """What a denoiser answers to some rows."""
    x, here, cond, there = asked
    if len(rows) == len(x):
        return denoise(x, here, cond, there=there)
    own = rows.to(x.device)
    given = cond.rows(own) if cond is not None else None
    to = there.rows(len(x))[rows] if there is not None else None
    return denoise(x[own], here.rows(len(x))[rows], given, there=to)
