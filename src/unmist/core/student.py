"""A student of few steps as a denoiser: it answers with the mean over its whole step."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.core.condition import Cond
from unmist.core.denoiser import Denoiser
from unmist.core.level import Level

__all__ = ["Interval"]

SAME = 1e-4  # of log(sigma/alpha)


@dataclass(frozen=True)
class Interval:
    """D = (x' - keep*x)/take of the step from one of `ratios` to the next, the last's to DATA.

    Any map between two levels is such a mean, so Euler's step is the map itself and whatever wraps
    a denoiser, as guidance, still composes. It is no E[x0 | x]: asked for any other step, as other
    solvers and plans do, it refuses (BadInput).
    """

    denoise: Denoiser
    ratios: tuple[float, ...]

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """The interval's mean, shape of x."""
        if there is None or not self._knows(here, there):
            levels = ", ".join(f"{ratio:.3g}" for ratio in self.ratios)
            raise BadInput(
                f"it steps between its own levels only (sigma/alpha {levels}, 0)",
                where="student",
                mend="draw with solver euler and its own steps, or with the model it was made from",
            )
        return self.denoise(x, here, cond, there=there)

    def spread(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level
    ) -> tuple[Tensor, Tensor]:
        """A student's steps have no variance: BadInput."""
        raise BadInput(
            "a student's steps are without noise", where="student", mend="draw with solver euler"
        )

    def _knows(self, here: Level, there: Level) -> bool:
        logs = torch.tensor([*map(math.log, self.ratios), -math.inf], dtype=torch.float64)
        far, place = (here.log_ratio[..., None] - logs[:-1]).abs().min(-1)
        after, goal = logs[place + 1], there.log_ratio
        arrives = (after == goal) | ((after - goal).abs() < SAME)
        return bool((far < SAME).all() and arrives.all())
