"""Pictures of any size to one size: antialiased, cropped, padded or stretched."""

from collections import Counter

import numpy as np
from PIL import Image

from unmist.data.reading import Reading

__all__ = ["default_size", "enlarged", "fitted", "middle", "with_channels"]

_CAP = 64  # what a small model on a small machine can learn; `size` asks for more


def default_size(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """The (height, width) a folder of pictures is read at when none is given.

    Their own where all agree and no side is above 64; else a square: the median of the shorter
    sides, at most 64, rounded down to a multiple of 8 (a side below 8 is kept).
    """
    kinds = Counter(sizes)
    if len(kinds) == 1 and max(sizes[0]) <= _CAP:
        return sizes[0]
    shorter = sorted(min(size) for size in sizes)
    side = min(shorter[(len(shorter) - 1) // 2], _CAP) if shorter else _CAP
    side = side // 8 * 8 or side
    return side, side


def fitted(pixels: np.ndarray, size: tuple[int, int], reading: Reading) -> np.ndarray:
    """uint8 (h, w, c) to (*size, c) by the reading's fit; unchanged, bit for bit, at its own size.

    Resampled with Lanczos' window (Pillow widens it when reducing, so nothing aliases), from the
    cropped box only: a 1x20000 strip costs no more than a square.
    """
    if pixels.shape[:2] == size:
        return pixels
    if reading.fit == "pad":
        return _padded(pixels, size, reading.colour)
    box = middle(pixels.shape[:2], size) if reading.fit == "crop" else None
    return _resized(pixels, size, box)


def enlarged(original: tuple[int, int], size: tuple[int, int], fit: str) -> bool:
    """Whether a picture of this (height, width) is smaller than what is asked of it."""
    short = [have < want for have, want in zip(original, size, strict=True)]
    return all(short) if fit == "pad" else any(short)


def middle(original: tuple[int, ...], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest centred box of the target's proportions: left, top, right, bottom."""
    scale = min(original[0] / size[0], original[1] / size[1])
    height, width = scale * size[0], scale * size[1]
    top, left = max(0.0, (original[0] - height) / 2), max(0.0, (original[1] - width) / 2)
    return left, top, min(left + width, original[1]), min(top + height, original[0])


def _resized(
    pixels: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image = image.resize((size[1], size[0]), Image.Resampling.LANCZOS, box=box)
    return np.asarray(image).reshape(*size, pixels.shape[2])


def _padded(pixels: np.ndarray, size: tuple[int, int], colour: tuple[int, int, int]) -> np.ndarray:
    scale = min(1.0, size[0] / pixels.shape[0], size[1] / pixels.shape[1])
    inner = tuple(max(1, round(side * scale)) for side in pixels.shape[:2])
    inside = pixels if inner == pixels.shape[:2] else _resized(pixels, (inner[0], inner[1]))
    coloured = len(set(colour)) > 1
    inside = with_channels(inside, 3) if coloured else inside
    canvas = np.empty((*size, inside.shape[2]), np.uint8)
    canvas[:] = colour[: inside.shape[2]]
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[top : top + inner[0], left : left + inner[1]] = inside
    return canvas


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """(..., 1 or 3) to (..., channels): grey repeated, or colour by the luma of Rec. 601."""
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return pixels.repeat(3, -1)
    luma = pixels.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32)
    return ((luma + 0x8000) >> 16).astype(np.uint8)[..., None]
