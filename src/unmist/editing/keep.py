"""Keep: inpainting's denoiser, whose mean is what is known of the picture.

The mean is m*y + (1 - m)*D, and x is never written over. So the known part of x stays exactly
alpha*y + sigma*eps with the eps it started with, a renoise refreshes it by the right amount, and
the last step gives y itself. With `unmist.core.plan.jumps` this is RePaint (2201.09865), with a
mask that lets go of a pixel once its own level is reached, differential diffusion (2306.00950).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.core.condition import Cond
from unmist.core.denoiser import Denoiser
from unmist.core.level import Level, lift
from unmist.core.schedule import Schedule

__all__ = ["Keep", "LetGo"]


@dataclass(frozen=True, eq=False)
class Keep:
    """known*picture + (1 - known)*D. known in [0, 1], broadcast from the right: soft masks mix.

    picture (b, c, *s), or one row for all; its values where known is 0 do not matter.
    """

    denoise: Denoiser
    known: Tensor
    picture: Tensor

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """Shape of x; the picture to the bit where known is 1."""
        return kept(self.known.to(x), self.picture.to(x), self.denoise(x, here, cond, there=there))


@dataclass(frozen=True, eq=False)
class LetGo:
    """The picture is kept at each pixel until the noise has fallen to the pixel's own strength.

    strength in [0, 1], broadcast from the right, in the schedule's time: at 0 the pixel stays as it
    is, at 1 it is drawn from the start. A walk that starts at the greatest strength is enough.
    """

    denoise: Denoiser
    strength: Tensor
    picture: Tensor
    schedule: Schedule

    def __post_init__(self) -> None:
        if not bool(((self.strength >= 0) & (self.strength <= 1)).all()):
            mend = "0 keeps a pixel, 1 draws it anew"
            raise BadInput("a strength outside 0 … 1", where="editing.LetGo", mend=mend)

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """Shape of x."""
        mean = self.denoise(x, here, cond, there=there)
        time = torch.ones_like(here.alpha)
        inside = here.alpha > 0
        if bool(inside.any()):
            safe = torch.where(inside, here.log_snr, 0.0)
            time = torch.where(inside, self.schedule.inverse(safe), time)
        known = lift(time, x) > self.strength.to(x) + 1e-6
        return kept(known.to(x), self.picture.to(x), mean)


def kept(known: Tensor, picture: Tensor, mean: Tensor) -> Tensor:
    """The mixture; either part alone is given to the bit, whatever the other holds."""
    mixed = known * picture + (1 - known) * mean
    return torch.where(known == 1, picture, torch.where(known == 0, mean, mixed))
