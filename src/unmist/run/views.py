"""Samples of any kind as pictures: volumes by slices and a shaded view, clips by their frames."""

import numpy as np

from unmist.run.picture import GAP, flat
from unmist.run.turntable import shaded, turned

__all__ = ["FRAMES", "moving", "stills"]

FRAMES = 8  # of a clip, side by side in a still picture
VIEWS = 24  # of a volume, once round
HEIGHT = 96  # of a volume's views


def stills(pixels: np.ndarray, *, time: bool) -> np.ndarray:
    """uint8 (n, c, *s) as pictures (n, 1 or 3, h, w).

    A clip by up to eight of its frames in a row, evenly apart, with the first and the last; a
    volume by its middle slices (front, from above, from the side) and, of one channel, as a
    shaded solid; anything else as `picture.flat` has it.
    """
    if pixels.ndim != 5:
        return flat(pixels)
    if time:
        count = pixels.shape[2]
        chosen = np.linspace(0, count - 1, min(FRAMES, count)).round().astype(int)
        return _beside([_coloured(pixels[:, :, number]) for number in chosen])
    depth, height, width = (size // 2 for size in pixels.shape[2:])
    slices = (pixels[:, :, depth], pixels[:, :, :, height], pixels[..., width])
    views = [_enlarged(_coloured(part)) for part in slices]
    return _beside([*views, shaded(pixels, side=HEIGHT)] if pixels.shape[1] == 1 else views)


def moving(pixels: np.ndarray, *, time: bool) -> list[np.ndarray]:
    """uint8 (n, c, a, h, w) as what is seen one after another, each (n, 1 or 3, h, w).

    The frames of clips; volumes once round where they have one channel, else slice by slice.
    """
    assert pixels.ndim == 5, pixels.shape
    if not time and pixels.shape[1] == 1:
        return turned(pixels, VIEWS, side=HEIGHT)
    return [_coloured(frame) for frame in np.moveaxis(pixels, 2, 0)]


def _coloured(pictures: np.ndarray) -> np.ndarray:
    """(n, c, h, w) with 1 or 3 channels: of others the first alone."""
    return pictures if pictures.shape[1] in (1, 3) else pictures[:, :1]


def _enlarged(pictures: np.ndarray) -> np.ndarray:
    """By the whole factor that comes nearest to HEIGHT from below."""
    zoom = max(1, HEIGHT // max(pictures.shape[2:]))
    return pictures.repeat(zoom, axis=2).repeat(zoom, axis=3)


def _beside(pictures: list[np.ndarray]) -> np.ndarray:
    """(n, c, h_i, w_i) in a row, two grey pixels between, lower ones at half height."""
    high = max(part.shape[2] for part in pictures)
    columns = []
    for part in pictures:
        top = (high - part.shape[2]) // 2
        room = ((0, 0), (0, 0), (top, high - part.shape[2] - top), (0, 2))
        columns.append(np.pad(part, room, constant_values=GAP))
    return np.concatenate(columns, axis=3)[..., :-2]
