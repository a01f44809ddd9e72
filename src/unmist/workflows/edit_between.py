"""Inversion, and films between two pictures, two seeds or two wishes."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import Noise
from unmist.core.condition import Cond
from unmist.core.default import default_solver
from unmist.core.denoiser import Denoiser
from unmist.core.level import Level
from unmist.core.plan import ascend, descend
from unmist.core.solver import Solver
from unmist.core.spacing import EvenLogSnr
from unmist.core.walk import final, started, walk
from unmist.editing.blend import Between, slerp
from unmist.run.model import Model
from unmist.workflows.edit import encoded
from unmist.workflows.guided import guided
from unmist.workflows.sample import Samples, Shot, settings_of, settled

__all__ = ["Inverted", "Route", "Way", "blend", "invert", "psnr"]

End = np.ndarray | int
"""A picture uint8 (c, h, w), or a seed."""


@dataclass(frozen=True, eq=False)
class Inverted:
    """noise (b, c, h, w), x at the first level of the way down; back uint8: what is drawn from it.

    psnr in dB, inf where every pixel came back; calls: of the way up, those of the way down.
    """

    noise: Tensor
    back: np.ndarray
    psnr: float
    calls: tuple[int, int]


@dataclass(frozen=True)
class Way:
    """The solvers up and down. `Undo` up and Euler down give DDIM's own inverse."""

    up: Solver = field(default_factory=default_solver)
    down: Solver = field(default_factory=default_solver)


@dataclass(frozen=True, eq=False)
class Route:
    """The levels between a picture, at `bottom`, and noise; `way` goes up and down through them."""

    levels: Level
    bottom: Level
    way: Way = field(default_factory=Way)

    @classmethod
    def of(cls, model: Model, steps: int, way: Way | None = None) -> "Route":
        """Even in log-SNR: neighbouring levels are one factor apart, so no step is too long."""
        levels = EvenLogSnr(low=0.02, high=40.0)(model.schedule, steps + 1)
        return cls(levels[:-1], levels[-1], way or Way())

    def up(self, denoise: Denoiser, x0: Tensor, cond: Cond | None) -> tuple[Tensor, int]:
        """The noise of pictures (b, c, *s) in the model's space, and the calls it took."""
        x = x0 * self.bottom.like(x0).alpha
        plan = ascend(self.levels, self.bottom)
        last = final(walk(denoise, x, plan, self.way.up, unused(x), cond))
        return last.x, last.calls

    def down(self, denoise: Denoiser, noise: Tensor, cond: Cond | None) -> tuple[Tensor, int]:
        """The pictures of noises, and the calls."""
        plan = descend(self.levels, self.bottom)
        last = final(walk(denoise, noise, plan, self.way.down, unused(noise), cond))
        return last.x / self.bottom.like(noise).alpha, last.calls


def unused(x: Tensor) -> Noise:
    """A way without renoise draws nothing."""
    return Noise(0, "unused", tuple(range(len(x))))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal over noise of two uint8 pictures, dB."""
    error = float(((a.astype(np.float64) - b) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def invert(model: Model, picture: np.ndarray, shot: Shot | None = None) -> Inverted:
    """The noise from which the picture (c, h, w) is drawn again, and that drawing.

    shot: steps (of each way, an evaluation each), guide and wish.
    """
    shot = shot or Shot()
    chosen, x0 = settled(model, shot), encoded(model, picture)
    guide = guided(model, chosen.guide, shot.wish, exact=shot.exact)
    route, cond = Route.of(model, chosen.steps), guide.cond((0,))
    noise, climbed = route.up(guide.denoise, x0, cond)
    back, fallen = route.down(guide.denoise, noise, cond)
    pixels = model.codec.decode(back, picture.shape[1:]).cpu().numpy()
    return Inverted(noise, pixels, psnr(pixels[0], picture), (climbed, fallen))


def blend(
    model: Model, first: End, second: End, shot: Shot | None = None, *, frames: int = 16
) -> Samples:
    """`frames` pictures on the way from one end to the other, both ends included.

    Pictures are inverted, seeds give their noise; between the two noises it goes along the sphere.
    A wish of two values leads from the one to the other as well. Raises BadInput.
    """
    shot = shot or Shot()
    if not 2 <= frames <= 200:
        raise BadInput(f"{frames} frames", where="blend", mend="2 … 200")
    chosen = settled(model, shot)
    guide = guided(model, chosen.guide, shot.wish, exact=shot.exact)
    route, conds = Route.of(model, chosen.steps), [guide.cond((number,)) for number in (0, 1)]
    ends = [
        _noise_of(model, end, route, guide.denoise, cond)
        for end, cond in zip((first, second), conds, strict=True)
    ]
    if ends[0].shape != ends[1].shape:
        raise BadInput("the two pictures differ in size", where="blend")
    share, rows = torch.linspace(0, 1, frames), torch.zeros(frames, dtype=torch.int64)
    noise = slerp(ends[0][rows], ends[1][rows], share)
    denoise: Denoiser = guide.denoise
    cond = None
    if conds[0] is not None and conds[1] is not None:
        cond = conds[0].rows(rows)
        denoise = Between(guide.denoise, conds[1].rows(rows), share)
    x, calls = route.down(denoise, noise, cond)
    sizes = next((end.shape[1:] for end in (first, second) if not isinstance(end, int)), None)
    pixels = model.codec.decode(x, sizes).cpu().numpy()
    kinds = ["seed" if isinstance(end, int) else "picture" for end in (first, second)]
    told_of = {"verb": "blend", "from": kinds[0], "to": kinds[1], "frames": frames}
    settings = {**settings_of(model, shot, calls), "shape": list(pixels.shape[1:])}
    return Samples(pixels, {**settings, "edit": told_of}, calls)


def _noise_of(model: Model, end: End, route: Route, denoise: Denoiser, cond: Cond | None) -> Tensor:
    """x at the route's first level, (1, c, h, w)."""
    if not isinstance(end, int):
        return route.up(denoise, encoded(model, end), cond)[0]
    like = torch.zeros(1, *model.inner, device=model.device)
    plan = descend(route.levels, route.bottom)
    return started(like, plan, Noise(end, "edit", (0,)))
