"""Blending: between two noises, two pictures or two wishes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmist.core.condition import Cond
from unmist.core.denoiser import Denoiser
from unmist.core.level import Level, lift

__all__ = ["Between", "slerp"]


def slerp(first: Tensor, second: Tensor, share: Tensor | float) -> Tensor:
    """On the sphere from one noise to the other, (b, ...); share a number or (b,), 0 to 1.

    A straight mixture of two noises has less noise than either (half the variance in the middle),
    and what is drawn from it comes out grey. Lengths are mixed straight, directions by the angle.
    """
    at = lift(torch.as_tensor(share, dtype=torch.float64), first)
    sizes = [length(part) for part in (first, second)]
    units = [part / size for part, size in zip((first, second), sizes, strict=True)]
    cosine = (units[0] * units[1]).flatten(1).sum(1).clamp(-1, 1)
    angle = lift(torch.arccos(cosine), first)
    near = angle < 1e-4  # there the arc is straight
    whole = torch.where(near, 1.0, torch.sin(angle))
    parts = (
        torch.where(near, 1 - at, torch.sin((1 - at) * angle) / whole),
        torch.where(near, at, torch.sin(at * angle) / whole),
    )
    return (parts[0] * units[0] + parts[1] * units[1]) * ((1 - at) * sizes[0] + at * sizes[1])


def length(x: Tensor) -> Tensor:
    """Of each row, as (b, 1, ...); never 0."""
    return lift(x.flatten(1).norm(dim=1).clamp(min=1e-30), x)


@dataclass(frozen=True, eq=False)
class Between:
    """(1 - share)*D with the first wish + share*D with the second, each batch asked once, doubled.

    share a number or (b,). Rows of `cond` count as the first wish, `second` has as many.
    """

    denoise: Denoiser
    second: Cond
    share: Tensor | float

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """Shape of x."""
        assert cond is not None, "a wish to blend from"
        twice = torch.arange(len(x)).repeat(2)
        goal = there.rows(len(x))[twice] if there is not None else None
        both = self.denoise(
            x[twice], here.rows(len(x))[twice], Cond.join([cond, self.second]), there=goal
        )
        first, second = both.chunk(2)
        at = lift(torch.as_tensor(self.share, dtype=torch.float64), x)
        return (1 - at) * first + at * second
