"""Pictures moved about in training, which the network is told: more data, and samples as before."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

from unmist.base.faults import BadInput
from unmist.base.noise import keyed
from unmist.core.condition import Cond, Signals, Sockets

__all__ = ["Augment", "Untold"]

SPREAD = 0.2  # deviation of log2 of the scale and of the stretch
REACH = 0.125  # of the shifts, in parts of a side


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Each of five moves comes to a share of the pictures; what came is told to the network.

    Mirrored; turned by any angle; larger or smaller by 2^(0.2 n); stretched as much along a line of
    any direction; shifted by 0.125 n of a side (n normal). Where nothing is told nothing was done,
    so samples are as the data are (Karras et al. 2022, 2206.00364, app. F.2, whose shares were 0.12
    and 0.15). For pictures of pixels.
    """

    name: ClassVar[str] = "augment"
    width: ClassVar[int] = 8

    share: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise BadInput(f"share is {self.share}", where="augment", mend="0 … 1")

    def __call__(
        self, x0: Tensor, cond: Cond | None, seed: int, position: int
    ) -> tuple[Tensor, Cond | None]:
        """x0 (b, c, h, w) moved, its conditions with the pictures among them moved alike."""
        if self.share == 0:
            return x0, cond
        told, matrix = self.moves(seed, position, len(x0))
        told, matrix = told.to(x0.device), matrix.to(x0.device)
        values = dict(cond.values) if cond is not None else {}
        for name, value in values.items():
            if isinstance(value, Tensor) and value.ndim == x0.ndim:
                values[name] = moved(value, matrix)
        keep = dict(cond.keep) if cond is not None else {}
        return moved(x0, matrix), Cond({**values, self.name: told}, keep)

    def moves(self, seed: int, position: int, number: int) -> tuple[Tensor, Tensor]:
        """What is told (n, 8), 0 where nothing is done; and where each place of the result comes
        from, (n, 2, 3), around the middle, in the shorter side of the picture."""
        draw = keyed(seed, "augment", position)
        come = draw.random((5, number)) < self.share
        mirror = come[0] & (draw.random(number) < 0.5)
        angle = 2 * np.pi * draw.random(number) * come[1]
        line = np.pi * draw.random(number) * come[3]
        scale, stretch = draw.standard_normal((2, number)) * come[2:4]
        shift = draw.standard_normal((2, number)) * come[4]
        told = [mirror, np.cos(angle) - 1, np.sin(angle), scale]
        told += [stretch * np.cos(2 * line), stretch * np.sin(2 * line), *shift]
        factor = 2.0 ** (-SPREAD * stretch)  # back from the result to the picture
        along = turn(line) @ diagonal(factor, 1 / factor) @ turn(-line)
        flip = diagonal(1.0 - 2 * mirror, np.ones(number))
        matrix = (2.0 ** (-SPREAD * scale))[:, None, None] * (flip @ along @ turn(-angle))
        whole = np.concatenate((matrix, -matrix @ (REACH * shift.T)[:, :, None]), 2)
        return torch.from_numpy(np.stack(told, 1)).float(), torch.from_numpy(whole).float()


def turn(angle: np.ndarray) -> np.ndarray:
    """Rotations (n, 2, 2)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack((np.stack((c, -s), 1), np.stack((s, c), 1)), 1)


def diagonal(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n, 2, 2)."""
    return np.stack((first, second), 1)[:, :, None] * np.eye(2)


def moved(x: Tensor, matrix: Tensor) -> Tensor:
    """x (b, c, h, w) by matrices (b, 2, 3): bicubic, reflected past the edge; rows that stay put
    to the bit. Whole numbers stay whole."""
    h, w = x.shape[2:]
    sides = matrix.new_tensor((w, h))
    theta = matrix.clone()  # affine_grid counts each side from -1 to 1
    theta[:, :, :2] = matrix[:, :, :2] * (sides / sides[:, None])
    theta[:, :, 2] = 2 * matrix[:, :, 2] * sides.min() / sides
    real = x if x.is_floating_point() else x.float()
    grid = affine_grid(theta.to(real), list(x.shape), align_corners=False)
    found = grid_sample(real, grid, "bicubic", "reflection", align_corners=False)
    if not x.is_floating_point():
        info = torch.iinfo(x.dtype)
        found = found.round().clamp(info.min, info.max).to(x.dtype)
    still = torch.eye(2, 3).to(matrix)
    stays = (matrix == still).all(2).all(1)
    return torch.where(stays[:, None, None, None], x, found)


class Untold(nn.Module):
    """Its embedder: what is told goes to the network as it is, zeros where nothing is."""

    sockets: ClassVar[Sockets] = Sockets(vector=Augment.width)

    def forward(self, value: Tensor | None, keep: Tensor, x: Tensor) -> Signals:
        """value (b, 8) -> vector (b, 8)."""
        told = x.new_zeros(len(x), Augment.width)
        if value is not None:
            told = torch.where(keep[:, None], value.to(x), told)
        return Signals(vector=told)
