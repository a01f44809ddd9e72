"""Rolling on: every frame of a window has its own noise level, the later the noisier.

Rolling diffusion (Ruhe et al. 2024, 2402.09470) and diffusion forcing (Chen et al. 2024,
2407.01392) as a plan whose levels are (1, 1, frames) and a denoiser that looks at one window: the
walk and Euler's step are those of every other sample. A frame whose level does not change stays to
the bit.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmist.core.condition import Cond
from unmist.core.denoiser import Denoiser
from unmist.core.level import Level
from unmist.core.plan import Plan, Step

__all__ = ["Windowed", "rolled"]


def rolled(levels: Level, known: int, frames: int, calls: int) -> Plan:
    """The plan of `frames` frames of which the first `known` are there.

    levels (n,), noisiest first: the way of each new frame, down to DATA at its end; the next one
    follows `calls` moves behind, so n/calls frames are on their way at a time and a frame costs
    `calls` evaluations, after n - calls for the first.
    """
    count, new = len(levels.alpha), frames - known
    alpha = torch.cat((levels.alpha, levels.alpha.new_ones(1)))
    sigma = torch.cat((levels.sigma, levels.sigma.new_zeros(1)))
    late = calls * torch.arange(new)

    def at(move: int) -> Level:
        place = (move - late).clamp(0, count)
        place = torch.cat((torch.full((known,), count), place))[None, None]
        return Level(alpha[place], sigma[place])

    moves = count + calls * (new - 1)
    return Plan(at(0), tuple(Step(at(move)) for move in range(1, moves + 1)))


@dataclass(frozen=True)
class Windowed:
    """A denoiser of `window` frames asked about more: of the window that moves, zeros elsewhere.

    It begins `overlap` frames before the first that moves. Asked by Euler's step, in which what a
    frame that stays is told counts nothing.
    """

    denoise: Denoiser
    window: int
    overlap: int

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """x (b, c, frames, *s), frames at least the window; here and there (1, 1, frames)."""
        assert there is not None, "only a step says which frames move"
        frames = x.shape[2]
        moves = (here.sigma != there.sigma) | (here.alpha != there.alpha)
        first = int(moves.flatten().nonzero()[0])
        start = max(0, min(first - self.overlap, frames - self.window))
        part = slice(start, start + self.window)
        mean = torch.zeros_like(x)
        own, to = here[..., part], there[..., part]
        mean[:, :, part] = self.denoise(x[:, :, part], own, cond, there=to)
        return mean
