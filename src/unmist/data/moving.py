"""Moving digits made by program: each real digit crosses a frame in a straight line and bounces."""

from dataclasses import replace

import numpy as np

from unmist.base.noise import keyed
from unmist.data.dataset import Rows

__all__ = ["DIRECTIONS", "FRAMES", "SIDE", "moving"]

SIDE, FRAMES = 32, 16
BOX = 20  # MNIST's digits fit into so many pixels a side
SCALE = 0.8  # of the real digit, which leaves it 16 pixels to move in
SPEEDS = (1.0, 2.4)  # pixels a frame
SWAY = np.pi / 15  # radians to either side of the eight directions
DIRECTIONS = (
    *("right", "right and down", "down", "left and down"),
    *("left", "left and up", "up", "right and up"),
)  # in steps of an eighth turn, y downwards


def moving(digits: Rows, count: int = 5000, seed: int = 0) -> Rows:
    """`count` clips uint8 (count, 1, 16, 32, 32) of the digits (n, 1, 28, 28), each in turn.

    A digit goes 1.0 to 2.4 pixels a frame, and turns back where its ink meets the edge. It is
    drawn at places between pixels by areas, so nothing jumps. The label is the digit, the caption
    says where it goes at first, as "3 moving right and down"; clips of one digit form a group, so
    that no digit is both trained on and held out.
    """
    assert digits.labels is not None
    draw = keyed(seed, "moving digits")
    turns = -(-count // len(digits.values))
    which = np.concatenate([draw.permutation(len(digits.values)) for _ in range(turns)])[:count]
    boxes, sizes = _boxed(digits.values[:, 0])
    toward = draw.integers(len(DIRECTIONS), size=count)
    paths = _paths(sizes[which], toward, draw)
    values = np.empty((count, 1, FRAMES, SIDE, SIDE), np.uint8)
    for start in range(0, count, 256):
        part = slice(start, start + 256)
        values[part, 0] = _drawn(boxes[which[part]], paths[part])
    labels = digits.labels[which]
    captions = [
        f"{digits.classes[label]} moving {DIRECTIONS[way]}"
        for label, way in zip(labels, toward, strict=True)
    ]
    return replace(
        digits,
        name="moving_digits",
        values=values,
        labels=labels,
        captions=tuple(captions),
        sources=tuple(f"moving_digits/{row} of digits[{i}]" for row, i in enumerate(which)),
        group=which.astype(np.int64),
        licence=digits.licence + "; set in motion by program",
        time=True,
    )


def _boxed(digits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ink in the middle of (n, 20, 20), float32, and its height and width (n, 2) in the frame."""
    boxes = np.zeros((len(digits), BOX, BOX), np.float32)
    sizes = np.empty((len(digits), 2))
    for digit, box, size in zip(digits, boxes, sizes, strict=True):
        rows, columns = (np.flatnonzero(digit.any(axis)) for axis in (1, 0))
        ink = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        top, left = ((BOX - side) // 2 for side in ink.shape)
        box[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
        size[:] = ink.shape
    return boxes, sizes * SCALE


def _paths(sizes: np.ndarray, toward: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Centres (n, frames, 2), y before x: straight on from an even draw, back at the edge."""
    count = len(toward)
    angle = toward * (np.pi / 4) + draw.uniform(-SWAY, SWAY, count)
    speed = draw.uniform(*SPEEDS, count)
    step = speed[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1)
    room = SIDE - sizes
    start = draw.uniform(0, 1, (count, 2)) * room
    far = start[:, None] + np.arange(FRAMES)[None, :, None] * step[:, None]
    folded = np.abs((far + room[:, None]) % (2 * room[:, None]) - room[:, None])
    return folded + sizes[:, None] / 2


def _drawn(boxes: np.ndarray, paths: np.ndarray) -> np.ndarray:
    """uint8 (n, frames, side, side): every pixel the mean of the ink over its area."""
    down, right = (_areas(paths[..., axis] - SCALE * BOX / 2) for axis in (0, 1))
    levels = down @ boxes[:, None] @ right.swapaxes(-1, -2)
    return np.rint(levels).astype(np.uint8)


def _areas(first: np.ndarray) -> np.ndarray:
    """How much of each box pixel lies in each frame pixel, (*first, side, box), float32."""
    start = first[..., None, None] + SCALE * np.arange(BOX)
    pixel = np.arange(SIDE)[:, None]
    over = np.minimum(start + SCALE, pixel + 1) - np.maximum(start, pixel)
    return np.maximum(over, 0).astype(np.float32)
