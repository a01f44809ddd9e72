"""Series of numbers as windows: the smallest case of what has a time."""

from pathlib import Path

import numpy as np

from unmist.base.faults import BadInput
from unmist.data.array import read_npy
from unmist.data.dataset import Rows
from unmist.data.tree import shown

__all__ = ["series_rows"]

_LOW, _HIGH = 0.001, 0.999  # of a column's numbers: what lies beyond is cut off
_MOST = 1 << 31


def series_rows(path: Path, frames: int) -> Rows:
    """Rows uint8 (n, c, frames) of an .npy of (t,), (t, c) or (several, t, c), windows in turn.

    Windows do not overlap; what is left over at an end is dropped. Each column has a rule of its
    own: its thousandth and 999 thousandth become 0 and 255, which is told. Raises BadInput.
    """
    where = shown(str(path))
    values = read_npy(path)
    if values.dtype.kind not in "iufb" or not 1 <= values.ndim <= 3 or not 0 < values.size < _MOST:
        what = f"holds {values.dtype} of shape {values.shape}"
        raise BadInput(what, where=where, mend="give numbers (t,), (t, c) or (several, t, c)")
    values = np.asarray(values, np.float64)
    values = values.reshape(1, -1, 1) if values.ndim == 1 else values
    values = values[None] if values.ndim == 2 else values
    if not np.isfinite(values).all():
        raise BadInput("holds NaN or infinities", where=where, mend="fill or cut them out")
    count = values.shape[1] // frames
    if not count:
        mend = "ask for shorter windows with --set data.frames="
        raise BadInput(f"{values.shape[1]} steps, {frames} are a window", where=where, mend=mend)
    ends = np.quantile(values, (_LOW, _HIGH), axis=(0, 1))
    span = np.where(ends[1] > ends[0], ends[1] - ends[0], 1.0)
    levels = np.floor(((values - ends[0]) / span).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    cut = levels[:, : count * frames].reshape(-1, frames, values.shape[2]).transpose(0, 2, 1)
    said = ", ".join(f"{low:.4g} … {high:.4g}" for low, high in ends.T[:4])
    more = " and so on" if ends.shape[1] > 4 else ""
    return Rows(
        name=shown(path.stem),
        values=np.ascontiguousarray(cut),
        notes=(f"windows of {frames} steps; {said}{more} became 0 … 255",),
        time=True,
    )
