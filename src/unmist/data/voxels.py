"""Meshes to volumes and back: how full each cell is, and the surface where it is half full."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from unmist.base.faults import BadInput
from unmist.data.mesh import Mesh

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["MARGIN", "marching", "surface", "voxelised"]

MARGIN = 1.5  # cells kept free at either end of the longest side
SWELL = 0.5**0.5  # cells that matter grows by: see `voxelised`
_FINE = 3  # parts of a cell's side in which inside is told from outside; odd, so one is its middle
_POINTS = 1 << 20  # of the surface, held at once
_MORE = 200_000_000  # points of a mesh beyond which it is refused


def voxelised(mesh: Mesh, size: int) -> np.ndarray:
    """uint8 (size, size, size) as depth, height, width: 255 inside, 0 outside, between at the edge.

    The mesh's y points up (height falls with rows, as in a picture), x to the right, z to the
    viewer (depth falls towards them). It is centred and its longest side fills all but `MARGIN`
    cells at either end. Inside is what cannot be reached from above or the sides: what is open
    below only, as furniture without an underside is, counts as filled; a surface that encloses
    nothing stands for itself. A cell is round(255 * min(1, max(0, 1/2 + SWELL - d))) full, d the
    distance in cells of its middle to matter (0 inside). So the surface at half full lies SWELL
    outside the mesh, its edge is a ramp one cell wide, and no wire, wherever it lies, falls
    between the cells: one of the four middles round it is at most sqrt(1/2) away.
    """
    if size < 4:
        raise BadInput(f"volumes of {size} cells", where="size", mend="4 or more")
    points = _placed(mesh, size)
    near = np.full((size + 2,) * 3, np.inf)
    fine = np.zeros((size * _FINE,) * 3, bool)
    for cloud in _sampled(points[mesh.triangles], 0.5 / _FINE):
        _mark(fine, cloud * _FINE)
        _approach(near, cloud)
    middle = slice(_FINE // 2, None, _FINE)
    inside = _enclosed(fine)[middle, middle, middle]
    distance = np.where(inside, 0.0, near[1:-1, 1:-1, 1:-1])
    levels = np.clip(0.5 + SWELL - distance, 0, 1) * 255
    return np.floor(levels + 0.5).astype(np.uint8)


def _placed(mesh: Mesh, size: int) -> np.ndarray:
    """The points in cells as depth, height, width (n, 3), 0 … size."""
    used = mesh.points[np.unique(mesh.triangles)]
    low, high = used.min(0), used.max(0)
    longest = float((high - low).max())
    if longest <= 0:
        raise BadInput("has no extent", where="mesh", mend="give one with a surface")
    cells = (mesh.points - (low + high) / 2) * ((size - 2 * MARGIN) / longest)
    return np.stack((-cells[:, 2], -cells[:, 1], cells[:, 0]), 1) + size / 2


def _sampled(corners: np.ndarray, step: float) -> Iterator[np.ndarray]:
    """Points of the triangles (m, 3, 3), at most `step` apart, (k, 3) some at a time.

    Each triangle in rows from its longest side to the corner opposite, so a sliver costs a line.
    """
    sides = np.linalg.norm(corners - np.roll(corners, -1, 1), axis=2)
    turn = (sides.argmax(1)[:, None] + np.arange(3)) % 3
    a, b, c = np.take_along_axis(corners, turn[..., None], 1).transpose(1, 0, 2)
    base = sides.max(1)
    doubled = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    height = doubled / np.where(base > 0, base, 1)
    along, across = (np.ceil(span / step).astype(np.int64) + 1 for span in (base, height))
    ends = np.cumsum(along * across)
    if len(ends) and ends[-1] > _MORE:
        raise BadInput("has too many or too large triangles", where="mesh", mend="simplify it")
    first = 0
    while first < len(ends):
        past = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, past + _POINTS)))
        part = slice(first, last)
        yield _rows(a[part], b[part], c[part], along[part], across[part])
        first = last


def _rows(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, along: np.ndarray, across: np.ndarray
) -> np.ndarray:
    """along*across points of each triangle (m, 3): (sum, 3)."""
    counts = along * across
    owner = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    up, right = np.divmod(place, along[owner])
    u = (right / np.maximum(along[owner] - 1, 1))[:, None]
    w = (up / np.maximum(across[owner] - 1, 1))[:, None]
    return (1 - w) * (a[owner] + u * (b[owner] - a[owner])) + w * c[owner]


def _mark(fine: np.ndarray, cloud: np.ndarray) -> None:
    cell = np.clip(cloud.astype(np.int64), 0, len(fine) - 1)
    fine[cell[:, 0], cell[:, 1], cell[:, 2]] = True


def _approach(near: np.ndarray, cloud: np.ndarray) -> None:
    """Bring down the distance (size+2)³ of cells' middles to the points, in the 27 cells round."""
    cell = cloud.astype(np.int64)
    flat = near.reshape(-1)
    for shift in np.ndindex(3, 3, 3):
        at = cell + shift  # one cell more on each side, so 0 … 2 is -1 … 1
        distance = np.linalg.norm(cloud - (at - 0.5), axis=1)
        close = distance < 0.5 + SWELL
        rows = np.ravel_multi_index(tuple(at[close].T), near.shape)
        np.minimum.at(flat, rows, distance[close])


def _enclosed(solid: np.ndarray) -> np.ndarray:
    """The cells that no way through free ones joins to a side or the top; surfaces included.

    Rows of axis 1 run downwards: the last that has a surface is the floor, and is closed.
    """
    floor = int(np.flatnonzero(solid.any((0, 2)))[-1]) + 1
    free = np.pad(~solid[:, :floor], ((1, 1), (1, 0), (1, 1)), constant_values=True)
    parts = marching().label(free, connectivity=1)
    enclosed = np.zeros_like(solid)
    enclosed[:, :floor] = (parts != parts[0, 0, 0])[1:-1, 1:, 1:-1]
    return enclosed


def surface(volume: np.ndarray, level: float = 127.5) -> Mesh:
    """The surface where a volume (depth, height, width) crosses `level`, by marching cubes.

    Cells are unit cubes, x to the right, y up, z to the viewer, the middle at 0: `voxelised`'s
    axes. Beyond the volume is nothing, so the surface is closed and every edge belongs to two
    triangles that run it in opposite directions. BadInput where nothing is above the level.
    """
    padded = np.pad(volume.astype(np.float32), 1)
    if not padded.max() > level:
        raise BadInput("is empty: nothing is half full", where="surface", mend="draw another")
    found, triangles, _, _ = marching().marching_cubes(padded, level, method="lewiner")
    middle = (np.array(padded.shape) - 1) / 2
    depth, height, width = (found - middle).T
    return Mesh(
        np.stack((width, -height, -depth), 1).astype(np.float64), triangles.astype(np.int64)
    )


def marching() -> "ModuleType":
    """skimage.measure, loaded late. BadInput where it is not there."""
    try:
        from skimage import measure
    except ImportError:
        raise BadInput(
            "meshes need scikit-image", where="volumes", mend="pip install 'unmist[volumes]'"
        ) from None
    return measure
