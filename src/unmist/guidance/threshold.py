"""What large scales spoil, mended: contrast brought back, values kept in range."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unmist.core.condition import Cond
from unmist.core.denoiser import Denoiser
from unmist.core.level import Level
from unmist.guidance.auto import Auto
from unmist.guidance.free import Free

__all__ = ["Rescaled", "Thresholded"]


@dataclass(frozen=True, eq=False)
class Rescaled:
    """The guided mean with `share` of its spread brought back to the conditional one's.

    D*(share*std(D_cond)/std(D) + 1 - share), std over a whole sample (2305.08891, eq. 15-16), on
    the mean itself and not on eps, whose spread says nothing of contrast. Costs no evaluation more;
    rows at scale 0 or 1 are left alone.
    """

    pair: Free | Auto
    share: float = 0.7

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """Shape of x."""
        guided, plain = self.pair.pair(x, here, cond, there=there)
        is_, was = (mean.flatten(1).std(1, correction=0) for mean in (guided, plain))
        ratio = torch.where(is_ > 0, was / is_, 1.0)
        change = torch.where(is_ == was, 1.0, self.share * ratio + (1 - self.share))
        return guided * change.reshape(-1, *[1] * (x.ndim - 1))


@dataclass(frozen=True, eq=False)
class Thresholded:
    """The mean held to the range of data by dynamic thresholding (Imagen 2205.11487, sec. 2.3).

    Of each sample, s is the `quantile` of |u|, u = (D - centre)/reach, at least 1; u is clamped to
    +-s and divided by s. centre, reach: one number a channel, or one for all; half the range of
    data in model space. A solver's memory holds what comes out here.

    Dividing by s draws all values to the middle, those that were right as well: where much of a
    picture lies at an end of the range, as a black ground does, it comes out grey. Such data are
    served by `Rescaled`.
    """

    denoise: Denoiser
    quantile: float = 0.995
    centre: tuple[float, ...] = (0.0,)
    reach: tuple[float, ...] = (1.0,)

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """Shape of x."""
        mean = self.denoise(x, here, cond, there=there)
        centre, reach = (
            torch.tensor(values).to(mean).reshape(1, -1, *[1] * (mean.ndim - 2))
            for values in (self.centre, self.reach)
        )
        unit = (mean - centre) / reach
        sizes = unit.abs().flatten(1)
        # the k-th smallest: torch's own quantile takes no more than 16 million numbers
        place = max(1, math.ceil(self.quantile * sizes.shape[1]))
        most = sizes.kthvalue(place, 1).values.clamp(min=1.0)
        most = most.reshape(-1, *[1] * (mean.ndim - 1))
        return centre + reach * (unit.clamp(-most, most) / most)
