"""The watermark's places: a few coefficients of each block of 8 by 8, and where the key wants them.

Dither modulation (Chen & Wood 2001, "Quantization index modulation") in the coefficients that JPEG
keeps best: each belongs on a lattice, moved by a secret phase. A picture's own contents then do not
disturb the mark, however strong they are, and the phases of an unmarked picture agree with the
key's by chance only.
"""

import math
from hashlib import shake_256

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unmist.base.faults import BadInput

__all__ = [
    "BLOCK",
    "CARRIERS",
    "JPEG",
    "LEAST",
    "TILE",
    "blocks_of",
    "colour_move",
    "cosines_of",
    "dct",
    "lattice_move",
    "luminance",
    "phases_of",
    "secret_phases",
    "tiled",
    "wave_forms",
]

BLOCK = 8
TILE = 32  # the key's phases repeat after 32 blocks, 256 pixels
LEAST = 16  # pixels a side
CARRIERS = (  # (down, across): the ten that JPEG's table rounds least, without the mean
    (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 0),
)  # fmt: skip
JPEG = (  # luminance at quality 50 (ITU-T T.81, table K.1)
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
WIDTH = 2.5  # a lattice's period over JPEG's step: chosen on emoji, digits and small photographs
BEND = 80.0  # coefficients far above this are farther apart: contrast that is scaled moves them
WEIGHTS = (0.299, 0.587, 0.114)  # luminance as JPEG has it (ITU-R BT.601)


def luminance(x: Tensor) -> Tensor:
    """float (b, c, h, w) -> (b, h, w): of the first three channels, or of the first alone."""
    if x.shape[1] < 3:
        return x[:, 0]
    return torch.einsum("bchw,c->bhw", x[:, :3], x.new_tensor(WEIGHTS))


def colour_move(channels: int) -> Tensor:
    """(1, c, 1, 1): the least change of colour that raises luminance by 1; nothing to opacity."""
    move = torch.zeros(channels)
    weights = torch.tensor(WEIGHTS)
    if channels < 3:
        move[0] = 1.0
    else:
        move[:3] = weights / weights.square().sum()
    return move.reshape(1, -1, 1, 1)


def dct() -> Tensor:
    """(8, 8): the orthonormal cosines of T.81, one a row."""
    place = torch.arange(BLOCK)
    rows = torch.cos((2 * place[None] + 1) * place[:, None] * math.pi / (2 * BLOCK)) / 2
    rows[0] = 1 / math.sqrt(BLOCK)
    return rows


def wave_forms() -> Tensor:
    """(10, 1, 8, 8): the carriers as pictures of norm 1."""
    rows = dct()
    return torch.stack([torch.outer(rows[down], rows[across]) for down, across in CARRIERS])[
        :, None
    ]


def periods() -> Tensor:
    """(10, 1, 1): the distance of a lattice's points near 0."""
    steps = [float(JPEG[down][across]) for down, across in CARRIERS]
    return WIDTH * torch.tensor(steps).reshape(-1, 1, 1)


def phases_of(values: Tensor) -> Tensor:
    """Coefficients (…, 10, rows, columns) -> phases: 2 pi from one lattice point to the next."""
    return 2 * math.pi * BEND * torch.asinh(values / BEND) / periods()


def lattice_move(light: Tensor, secret: Tensor) -> Tensor:
    """(b, h, w): the least change that puts every coefficient on its nearest lattice point."""
    values = blocks_of(light)
    gap = (
        torch.remainder(tiled(secret, values) - phases_of(values) + math.pi, 2 * math.pi) - math.pi
    )
    bent = torch.asinh(values / BEND) + gap * periods() / (2 * math.pi * BEND)
    change = functional.conv_transpose2d(BEND * bent.sinh() - values, wave_forms(), stride=BLOCK)
    height, width = light.shape[-2:]
    fill = (0, max(0, width - change.shape[-1]), 0, max(0, height - change.shape[-2]))
    return functional.pad(change, fill)[:, 0, :height, :width]


def blocks_of(light: Tensor) -> Tensor:
    """(b, h, w) -> coefficients (b, 10, rows, columns); a last block of 4 pixels or more is filled.

    It is filled by reflection, so a side of 28 has 4 blocks, one of 35 too.
    """
    pad = [-side % BLOCK if side % BLOCK >= BLOCK // 2 else 0 for side in light.shape[-2:]]
    filled = functional.pad(light[:, None], (0, pad[1], 0, pad[0]), mode="reflect")
    return functional.conv2d(filled, wave_forms(), stride=BLOCK)


def secret_phases(key: bytes) -> Tensor:
    """(10, 32, 32) in [0, 2 pi): where each lattice stands, of 32 bits each from SHAKE-256."""
    if not key:
        raise BadInput("the key is empty", where="watermark", mend="give some secret bytes")
    count = len(CARRIERS) * TILE * TILE
    head = b"unmist watermark 1\0" + len(key).to_bytes(8, "little")
    stream = shake_256(head + key).digest(4 * count)
    turns = np.frombuffer(stream, dtype="<u4").astype(np.float64) / 2**32
    return torch.from_numpy((2 * math.pi * turns).astype(np.float32)).reshape(-1, TILE, TILE)


def tiled(secret: Tensor, like: Tensor) -> Tensor:
    """The phases repeated over the rows and columns of `like` (…, rows, columns)."""
    rows, columns = like.shape[-2:]
    return secret.repeat(1, -(-rows // TILE), -(-columns // TILE))[:, :rows, :columns]


def cosines_of(light: Tensor, secret: Tensor) -> Tensor:
    """(b, h, w) -> (b, 10, rows, columns): 1 where a coefficient is where the key wants it."""
    phases = phases_of(blocks_of(light))
    return torch.cos(phases - tiled(secret, phases))
