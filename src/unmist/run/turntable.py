"""Solids as they are seen: turned about their upright axis, shaded by how they face the light."""

from math import cos, pi, sin

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

__all__ = ["shaded", "turned"]

_LIGHT = (-0.35, -0.75, -0.55)  # from the viewer's upper left: x right, y down, z away
_DEPTHS = 1.6  # steps a cell along each ray
_GROUND, _DARK, _BRIGHT = 250, 40, 225


def turned(volumes: np.ndarray, frames: int = 24, *, side: int = 96) -> list[np.ndarray]:
    """uint8 (n, c, d, h, w) once round, `frames` views: each uint8 (n, 1, side, side)."""
    return [shaded(volumes, 2 * pi * k / frames, side=side) for k in range(frames)]


def shaded(
    volumes: np.ndarray, turn: float = pi / 6, *, tilt: float = 0.35, side: int = 96
) -> np.ndarray:
    """uint8 (n, c, d, h, w), the first channel, seen from afar: uint8 (n, 1, side, side).

    turn: radians about the upright axis (h, whose rows fall); tilt: radians from above. Where a
    ray first meets half full is what is seen, lit from the upper left, nearer is brighter.
    """
    assert volumes.ndim == 5, volumes.shape
    x = torch.from_numpy(np.ascontiguousarray(volumes[:, :1])).float() / 255
    pictures = [_shaded(one[None], turn, tilt, side) for one in x]
    return torch.stack(pictures).numpy()[:, None]


def _shaded(volume: Tensor, turn: float, tilt: float, side: int) -> Tensor:
    """uint8 (side, side) of one volume (1, 1, d, h, w)."""
    cells = torch.tensor(volume.shape[2:], dtype=torch.float32)
    reach = float(cells.norm()) / 2
    steps = int(2 * reach * _DEPTHS)
    edge = 0.86 * reach  # what sticks out of that in a corner is rarely full
    across = torch.linspace(-edge, edge, side)
    along = torch.linspace(-reach, reach, steps)
    z, y, x = torch.meshgrid(along, across, across, indexing="ij")
    places = _own_axes(x, y, z, turn, tilt)
    full = _sampled(volume, places)
    seen = full > 0.5
    first = seen.to(torch.uint8).argmax(0)
    there = seen.any(0)
    hit = places.gather(0, first[None, ..., None].expand(1, -1, -1, 3))
    facing = _facing(volume, hit, turn, tilt)[0]
    near = 1 - first.float() / steps
    level = _DARK + (_BRIGHT - _DARK) * (0.25 * near + 0.75 * facing)
    return torch.where(there, level, float(_GROUND)).round().clamp(0, 255).to(torch.uint8)


def _own_axes(x: Tensor, y: Tensor, z: Tensor, turn: float, tilt: float) -> Tensor:
    """Places of the view (right, down, away) as width, height, depth of the volume: (…, 3)."""
    down = y * cos(tilt) + z * sin(tilt)
    away = z * cos(tilt) - y * sin(tilt)
    return torch.stack(
        (x * cos(turn) + away * sin(turn), down, away * cos(turn) - x * sin(turn)), -1
    )


def _sampled(volume: Tensor, places: Tensor) -> Tensor:
    """How full the volume is at places in cells from its middle, (…, 3) w, h, d -> (…)."""
    half = torch.tensor(volume.shape[:1:-1], dtype=torch.float32) / 2
    found = grid_sample(volume, (places / half)[None], align_corners=False)
    return found[0, 0]


def _facing(volume: Tensor, places: Tensor, turn: float, tilt: float) -> Tensor:
    """How much the surface at places looks into the light, 0 … 1."""
    slopes = []
    for axis in range(3):
        step = torch.zeros(3)
        step[axis] = 1.0
        slopes.append(_sampled(volume, places - step) - _sampled(volume, places + step))
    normal = torch.stack(slopes, -1)
    normal = normal / normal.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    right, down, away = torch.tensor(_LIGHT)
    light = _own_axes(right, down, away, turn, tilt)
    return ((normal @ (light / light.norm())) / 2 + 0.5).clamp(0, 1)
