"""`open_data`: one door for every source."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean
from unmist.data.array import array_rows
from unmist.data.builtin import BUILT_IN, built_in
from unmist.data.dataset import DataSet, Rows, assemble
from unmist.data.fit import enlarged, fitted, with_channels
from unmist.data.folder import folder_rows
from unmist.data.memory import grouped
from unmist.data.reading import Reading, checked_size
from unmist.data.series import series_rows
from unmist.data.stacks import stack_rows, stacked
from unmist.data.tree import shown

__all__ = ["located", "open_data", "other_rows"]

MOST_FRAMES = 1024


def open_data(  # noqa: PLR0913 - the public door: each setting by its name, as in docs/names.md
    source: str | os.PathLike,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    fit: str = "crop",
    background: str = "white",
    layout: str | None = None,
    on_bad: str = "stop",
    accept_drift: bool = False,
    pixel_cap: int = 64_000_000,
    frames: int = 0,
    cache: str | os.PathLike | None = None,
) -> DataSet:
    """A data set from a built-in name, a folder of pictures, volumes or clips, a .npz or .npy file.

    size: a side or (height, width); a folder's default is told in the set's notes, arrays and
    built-in sets keep theirs. channels: 1 or 3; 1 by default where every picture is grey. fit:
    "crop", "pad" or "stretch" (see Reading). A folder is scanned once into `cache` (else
    UNMIST_CACHE, else ~/.cache/unmist) and read from there; nothing is written into the folder. A
    folder of NIfTI files, .npy volumes or meshes gives volumes; one of videos gives clips, and with
    `frames`, of how many frames each, one of animations and of folders of frames too; an .npy then
    is a series, (t,), (t, c) or (several, t, c), cut into windows of so many steps.

    BadInput where there is no such source, a picture cannot be used (unless on_bad="skip"), or the
    folder drifted since it was scanned (unless accept_drift). CannotWrite where the cache is full.
    """
    reading = Reading(checked_size(size), channels, fit, background, layout, on_bad, pixel_cap)
    place = located(source)
    if not 0 <= frames <= MOST_FRAMES:
        raise BadInput(f"{frames} frames", where="data.frames", mend=f"0 … {MOST_FRAMES}")
    if not isinstance(place, Path) or not place.is_dir():
        if isinstance(place, Path) and frames and place.suffix.lower() == ".npy":
            return assemble(grouped(series_rows(place, frames), cache))
        return assemble(other_rows(place, reading, cache))
    if kind := stacked(place, frames):
        return assemble(grouped(stack_rows(place, kind, reading, frames, cache), cache))
    where = None if cache is None else Path(cache)
    rows, _ = folder_rows(place, reading, cache=where, accept_drift=accept_drift)
    return assemble(rows)


def located(source: str | os.PathLike) -> str | Path:
    """A built-in name as text, anything else as an existing path. `./digits` is always a folder."""
    if isinstance(source, str) and source in BUILT_IN:
        return source
    path = Path(source)
    try:
        there = path.exists()
    except (OSError, ValueError):  # over-long names, names with a zero byte
        there = False
    if not there:
        mend = did_you_mean(str(source), list(BUILT_IN))
        raise BadInput("no such folder, file or built-in set", where=shown(str(source)), mend=mend)
    if not path.is_dir() and path.suffix.lower() not in (".npy", ".npz"):
        raise BadInput(
            "is neither a folder nor an array", where=shown(str(path)), mend="give its folder"
        )
    return path


def other_rows(place: str | Path, reading: Reading, cache: str | os.PathLike | None) -> Rows:
    """The rows of a built-in set or an array file, at the reading's size and channels.

    Keys and twins are those of the originals, so the split is the same at every size.
    """
    layout = reading.layout
    rows = array_rows(place, layout) if isinstance(place, Path) else built_in(place)
    rows = grouped(rows, cache)
    size = reading.size or rows.values.shape[2:]
    channels = reading.channels or rows.values.shape[1]
    if (channels, *size) == rows.values.shape[1:]:
        return rows
    if rows.values.ndim != 4 or rows.values.shape[1] not in (1, 3):
        raise BadInput(
            f"rows of shape {rows.values.shape[1:]} cannot be resized",
            where=shown(rows.name),
            mend="leave size and channels out",
        )
    return _reshaped(rows, (size[0], size[1]), channels, reading)


def _reshaped(rows: Rows, size: tuple[int, int], channels: int, reading: Reading) -> Rows:
    """Every row fitted, and so the pictures given with it, whose channels stay theirs."""
    small = enlarged(rows.values.shape[2:], size, reading.fit)
    done = "padded" if reading.fit == "pad" else "enlarged"
    told = f"read at {size[1]}x{size[0]}, fit {reading.fit}"
    given = {
        name: values if values.ndim != 4 else _fitted(values, size, values.shape[1], reading)
        for name, values in rows.given.items()
    }
    return replace(
        rows,
        values=_fitted(rows.values, size, channels, reading),
        given=given,
        notes=(*rows.notes, told, *([f"all pictures are smaller and {done}"] * small)),
    )


def _fitted(
    pictures: np.ndarray, size: tuple[int, int], channels: int, reading: Reading
) -> np.ndarray:
    """uint8 (n, c, h, w) -> (n, channels, *size)."""
    values = np.empty((len(pictures), channels, *size), np.uint8)
    for row, target in zip(pictures, values, strict=True):
        pixels = fitted(np.ascontiguousarray(row.transpose(1, 2, 0)), size, reading)
        target[:] = with_channels(pixels, channels).transpose(2, 0, 1)
    return values
