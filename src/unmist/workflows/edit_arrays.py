"""Volumes, clips and series for an edit: read, fitted to the model, refused in one line."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from unmist.base.faults import BadInput
from unmist.data.array import read_npy
from unmist.data.clips import ANIMATED, VIDEOS, frames_of
from unmist.data.fit import fitted, with_channels
from unmist.data.reading import Reading
from unmist.data.tree import shown
from unmist.data.volumes import cubed, ending_of, ends_of, read_volume
from unmist.run.model import Model
from unmist.workflows.edit_pictures import Opened

__all__ = ["known_in", "opened_array", "opened_clip"]

STILL = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def opened_array(model: Model, path: Path) -> Opened:
    """A sample of the model's shape: .npy of 0 … 255, or a volume or clip fitted to it."""
    if not path.exists():
        raise BadInput("no such file", where=path, mend="give a sample as .npy, a volume or a clip")
    exact = _exact(model, path)
    if exact is not None:
        return Opened(exact, model.shape[1:])  # type: ignore[arg-type]
    try:
        pixels = _fitted(model, path)
    except BadInput as fault:
        raise BadInput(fault.what, where=fault.where or path, mend=fault.mend) from None
    return Opened(pixels, pixels.shape[1:], f"{shown(path.name)} is fitted to {_by(model.shape)}")  # type: ignore[arg-type]


def _exact(model: Model, path: Path) -> np.ndarray | None:
    """An .npy of the model's own shape, with or without its one channel; else None."""
    if path.suffix.lower() != ".npy":
        return None
    values = np.array(read_npy(path))
    if values.shape == model.shape[1:] and model.shape[0] == 1:
        values = values[None]
    if values.shape[1:] == model.shape and len(values) == 1:
        values = values[0]
    if values.shape == model.shape and values.dtype == np.uint8:
        return values
    if len(model.shape) == 4 and not model.recipe.time and values.ndim == 3:
        return None
    what = f"holds {values.dtype} of shape {values.shape}, the model draws uint8 {model.shape}"
    raise BadInput(what, where=path, mend="give one sample, as of samples.npy")


def _fitted(model: Model, path: Path) -> np.ndarray:
    shape = model.shape
    if len(shape) == 4 and model.recipe.time:
        clip = opened_clip(model, path)
        if clip.shape[1] < shape[1]:
            mend = "use `unmist edit extend` to draw on from it"
            raise BadInput(f"has {clip.shape[1]} frames, the model {shape[1]}", mend=mend)
        return clip[:, : shape[1]]
    if len(shape) == 4 and shape[0] == 1 and len(set(shape[1:])) == 1 and ending_of(path):
        values = read_volume(path, shape[1])
        return cubed(values, shape[1], ends_of(values))[None]
    raise BadInput(f"cannot be brought to {_by(shape)}", mend="give an .npy of that shape")


def opened_clip(model: Model, path: Path) -> np.ndarray:
    """uint8 (c, n, h, w) at the model's channels and size: a video, an animation, a picture.

    An .npy of (n, h, w), or (c, n, h, w), of that size is taken as it is; of a series (c, n).
    """
    channels, sizes = model.shape[0], model.shape[2:]
    if path.suffix.lower() == ".npy":
        values = np.array(read_npy(path))
        values = values[None] if values.ndim == len(model.shape) - 1 else values
        if values.dtype != np.uint8 or (values.shape[0], *values.shape[2:]) != (channels, *sizes):
            what = f"holds {values.dtype} of shape {values.shape}"
            raise BadInput(what, where=path, mend=f"uint8 ({channels}, frames, …) as the model's")
        return values
    if not (path.is_dir() or path.suffix.lower() in (*VIDEOS, *ANIMATED, *STILL)):
        raise BadInput("is no clip", where=path, mend="give a video, an animation, or an .npy")
    if len(sizes) != 2:
        raise BadInput("the model draws series, no clips", where=path, mend="give an .npy")
    found = islice(frames_of(path, Reading()), 10_000)
    frames = [with_channels(fitted(frame, sizes, Reading()), channels) for frame in found]  # type: ignore[arg-type]
    return np.stack(frames).transpose(3, 0, 1, 2)


def known_in(given: Opened, masks: Sequence[Path], boxes: Sequence[Sequence[int]]) -> np.ndarray:
    """float32 of the sample's axes: 1 stays, 0 is drawn anew. Raises BadInput.

    masks: .npy of those axes, painted where it is not 0; boxes: x, y, z, width, height, depth (of
    a clip z and depth are frames; of a series x and width alone).
    """
    shape = given.pixels.shape[1:]
    paint = np.zeros(shape, bool)
    for path in masks:
        paint |= _mask(path, shape)
    for box in boxes:
        paint[_inside(box, shape)] = True
    if not paint.any() or paint.all():
        left = "nothing is left" if paint.any() else "nothing is marked to be drawn anew"
        raise BadInput(left, where="mask", mend="name a box with --box, or an .npy with --mask")
    return 1 - paint.astype(np.float32)


def _mask(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    values = np.array(read_npy(path))
    if values.shape != shape or values.dtype.kind not in "biuf":
        what = f"the mask is {values.dtype} {_by(values.shape)}, the sample {_by(shape)}"
        raise BadInput(what, where=path, mend="make it as large as the sample")
    return values != 0


def _inside(box: Sequence[int], shape: tuple[int, ...]) -> tuple[slice, ...]:
    axes = len(shape)
    if len(box) != 2 * axes:
        names = ("x", "y", "z")[:axes] + ("width", "height", "depth")[:axes]
        raise BadInput(f"{len(box)} numbers", where="--box", mend=",".join(names))
    starts, sizes = box[:axes][::-1], box[axes:][::-1]
    for start, size, whole in zip(starts, sizes, shape, strict=True):
        if not 0 <= start < whole or size < 1:
            what = f"box {','.join(map(str, box))} does not meet the sample's {_by(shape)}"
            raise BadInput(what, where="--box", mend="from the left upper corner, first slice 0")
    return tuple(slice(a, a + b) for a, b in zip(starts, sizes, strict=True))


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
