"""Variation: from a partly noised picture (2108.01073), by one strength or one a pixel."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmist.base.noise import Noise
from unmist.core.denoiser import Denoiser
from unmist.core.level import noised
from unmist.core.plan import Part, Plan, descend
from unmist.core.schedule import Schedule
from unmist.core.spacing import Spacing
from unmist.editing.keep import LetGo

__all__ = ["Variation", "begun"]


@dataclass(frozen=True, eq=False)
class Variation:
    """strength in (0, 1], in the schedule's time: a number, or a map broadcast from the right.

    `steps` steps are taken whatever the strength, all of them below it.
    """

    schedule: Schedule
    spacing: Spacing
    steps: int
    strength: Tensor | float

    @property
    def most(self) -> float:
        """Where the walk starts."""
        return float(torch.as_tensor(self.strength).max())

    def plan(self) -> Plan:
        """Down from the greatest strength. Raises BadInput where that is not in (0, 1]."""
        return descend(self.spacing(Part(self.schedule, self.most), self.steps))

    def denoiser(self, denoise: Denoiser, picture: Tensor) -> Denoiser:
        """`denoise` itself for one strength; for a map it lets go of each pixel at its own."""
        if isinstance(self.strength, float | int):
            return denoise
        return LetGo(denoise, self.strength, picture, self.schedule)


def begun(picture: Tensor, plan: Plan, noise: Noise) -> Tensor:
    """x at the plan's start, (b, c, *s): the picture (b or 1, c, *s), noised as far as that."""
    x = picture.expand(len(noise.ids), *picture.shape[1:])
    return noised(x, plan.start, noise(x, 0))
