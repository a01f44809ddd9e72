"""Figures of solids: how much matter, how much surface, how many parts, how alike left and right.

Volumes are (b, 1, d, h, w), 0 nothing … 255 full; cells are unit cubes, w runs left to right.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool3d, pad

__all__ = ["Figures", "figures", "parts_of_mesh", "twice_run"]

_HALF = 127.5


@dataclass(frozen=True, eq=False)
class Figures:
    """Of b solids, float64 (b,) each.

    volume: share of all cells that is matter; surface: in faces of a cell; parts: pieces that
    touch in no corner, at half full; symmetry: 1 where left and right mirror each other, 0 where
    they share nothing.
    """

    volume: Tensor
    surface: Tensor
    parts: Tensor
    symmetry: Tensor


def figures(volumes: Tensor) -> Figures:
    """The figures of uint8 or float volumes (b, 1, d, h, w), 0 … 255."""
    full = volumes.double() / 255
    mirrored = full.flip(-1)
    apart, both = (part.flatten(1).sum(1) for part in ((full - mirrored).abs(), full + mirrored))
    return Figures(
        volume=full.flatten(1).mean(1),
        surface=_surface(full),
        parts=_parts(volumes > _HALF),
        symmetry=1 - apart / both.clamp(min=1e-12),
    )


def _surface(full: Tensor) -> Tensor:
    """The integral of the gradient's length, which is the mean area of all level sets (co-area)."""
    wide = pad(full, (2,) * 6)
    squares = torch.zeros_like(wide[..., 1:-1, 1:-1, 1:-1])
    size = squares.shape[2:]
    for axis in range(3):
        ends = [wide.narrow(2 + axis, start, size[axis]) for start in (0, 2)]
        for other in {0, 1, 2} - {axis}:
            ends = [end.narrow(2 + other, 1, size[other]) for end in ends]
        squares += ((ends[1] - ends[0]) / 2) ** 2
    return squares.sqrt().flatten(1).sum(1)


def _parts(solid: Tensor) -> Tensor:
    """Parts by corners: each cell takes the largest number round it until nothing changes."""
    count = solid[0].numel()
    own = torch.arange(1, count + 1, dtype=torch.float32, device=solid.device)
    numbers = torch.where(solid, own.view(solid.shape[1:]), 0.0)
    while True:
        larger = torch.where(solid, max_pool3d(numbers, 3, 1, 1), 0.0)
        larger = _shortened(larger)
        if torch.equal(larger, numbers):
            break
        numbers = larger
    first = numbers.flatten(1) == own
    return (first & solid.flatten(1)).sum(1).double()


def _shortened(numbers: Tensor) -> Tensor:
    """Each cell the number that the cell of its number has: ways halve with every round."""
    flat = numbers.flatten(1)
    found = flat.gather(1, (flat.long() - 1).clamp(min=0))
    return torch.where(flat > 0, found, 0.0).view(numbers.shape)


def twice_run(triangles: np.ndarray) -> bool:
    """Whether triangles int (m, 3) close a space: every edge is run once in each direction.

    Then the mesh has an inside and an outside everywhere, and all triangles agree which is which.
    Where two sheets meet in one edge it is run twice in each direction: that is not counted closed.
    """
    rows = np.asarray(triangles, np.int64)
    edges = np.concatenate([rows[:, (0, 1)], rows[:, (1, 2)], rows[:, (2, 0)]])
    if not len(edges) or (edges[:, 0] == edges[:, 1]).any():
        return False
    codes = edges[:, 0] * (rows.max() + 1) + edges[:, 1]
    back = edges[:, 1] * (rows.max() + 1) + edges[:, 0]
    ours, theirs = np.sort(codes), np.sort(back)
    return bool((ours[1:] > ours[:-1]).all() and np.array_equal(ours, theirs))


def parts_of_mesh(triangles: np.ndarray) -> int:
    """Pieces of a mesh (m, 3) that share no point."""
    rows = np.unique(np.asarray(triangles, np.int64), return_inverse=True)[1].reshape(-1, 3)
    root = np.arange(rows.max() + 1)
    while True:
        least = root[rows].min(1)
        lower = root.copy()
        for corner in range(3):
            np.minimum.at(lower, rows[:, corner], least)
        lower = np.minimum(lower, lower[lower])
        if np.array_equal(lower, root):
            return len(np.unique(root))
        root = lower
