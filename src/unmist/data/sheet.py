"""Contact sheets: rows of a data set side by side."""

import numpy as np
from PIL import Image

from unmist.base.noise import keyed
from unmist.data.dataset import DataSet

__all__ = ["contact_sheet", "tiled"]

_GAP = 2


def contact_sheet(
    data: DataSet, *, count: int = 100, across: int = 10, seed: int = 0
) -> Image.Image:
    """Up to `count` rows as one picture: a class a line where there are classes that fit.

    Without classes, a draw from the whole set, the same for the same seed, in the set's order.
    Volumes show their middle slice. Rows are shown as training sees them, small ones at 2x or more.
    """
    if data.labels is not None and 2 <= len(data.classes) <= count // 2:
        each = min(across, max(1, count // len(data.classes)))
        chosen = [
            _drawn(np.flatnonzero(data.labels == k), each, seed) for k in range(len(data.classes))
        ]
        return tiled([data.values[rows] for rows in chosen], each)
    rows = _drawn(np.arange(len(data)), count, seed)
    return tiled([data.values[rows[i : i + across]] for i in range(0, len(rows), across)], across)


def _drawn(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    if len(rows) <= count:
        return rows
    return np.sort(keyed(seed, "contact sheet").choice(rows, count, replace=False))


def tiled(lines: list[np.ndarray], across: int) -> Image.Image:
    """Lines of rows uint8 (k, c, *s), k at most `across`, on white: mode L or RGB."""
    height, width = _flat(lines[0][:1]).shape[1:3]
    scale = max(1, 64 // max(height, width))
    pitch = (height * scale + _GAP, width * scale + _GAP)
    canvas = np.full((len(lines) * pitch[0] + _GAP, across * pitch[1] + _GAP, 3), 255, np.uint8)
    for down, line in enumerate(lines):
        for right, tile in enumerate(_flat(line)):
            top, left = down * pitch[0] + _GAP, right * pitch[1] + _GAP
            big = tile.repeat(scale, 0).repeat(scale, 1)
            canvas[top : top + big.shape[0], left : left + big.shape[1]] = big
    return Image.fromarray(canvas)


def _flat(values: np.ndarray) -> np.ndarray:
    """uint8 (k, c, *s) to (k, h, w, 1 or 3): a volume's middle slice, a line as a row of pixels."""
    if values.ndim == 5:
        values = values[:, :, values.shape[2] // 2]
    if values.ndim == 3:
        values = values[:, :, None]
    channels = 3 if values.shape[1] >= 3 else 1
    return values[:, :channels].transpose(0, 2, 3, 1)
