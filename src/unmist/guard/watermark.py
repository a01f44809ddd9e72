"""An invisible watermark: put into the pixels with a key, found again with the key alone.

It says that a picture was marked with this key, nothing more; who and when stand in the ledger. It
lives through what pictures go through (JPEG, half size, blur, noise, cuts, screens), as
`benchmarks/marks.py` measures, from 16 pixels a side on. It does not hold against somebody who sets
out to remove it: who has many pictures marked with one key can learn where it sits, and who has the
key can take it out. Pictures have two axes.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unmist.base.faults import BadInput
from unmist.guard.mark_handling import halved, jpeg
from unmist.guard.mark_lattice import (
    LEAST,
    colour_move,
    cosines_of,
    lattice_move,
    luminance,
    secret_phases,
)
from unmist.guard.mark_odds import Odds, better_of
from unmist.guard.mark_search import SURE, anywhere, as_it_is, cut, scaled

__all__ = ["budget", "detect", "embed", "embed_many"]

HANDLED: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda light: light,
    lambda light: jpeg(light, 70),
    lambda light: jpeg(light, 50),
    halved,
)
ROUNDING = 0.2  # what whole levels add to the mean square, and a little
STEPS, STRIDE, KEPT = 15, 0.3, 0.8
ENOUGH = 14.0  # standard deviations: what each handled copy should still show
AT_ONCE = 1 << 21  # values of pictures that are worked on together


def budget(height: int, width: int) -> float:
    """The peak signal-to-noise ratio of the mark in dB: 38 up to 32 by 32, 2 dB more each 4 times.

    More places need less of each; from 46 dB on JPEG rounds too much of it away.
    """
    places = max(1.0, height * width / 32**2)
    return min(46.0, 38 + 2 * math.log(places, 4))


def embed(pixels: np.ndarray, key: bytes, *, psnr: float | None = None) -> np.ndarray:
    """uint8 (c, h, w), marked: another array, `psnr` dB from the original to a hundredth or so.

    psnr: 30 … 50, None for `budget` of the size; opacity (channel 2 or 4) is left alone. Raises
    BadInput for sides below 16 pixels and for anything that is not a picture.
    """
    return embed_many(_picture(pixels)[None], key, psnr=psnr)[0]


def embed_many(pixels: np.ndarray, key: bytes, *, psnr: float | None = None) -> np.ndarray:
    """uint8 (b, c, h, w) of one size, each marked by itself; as `embed`.

    From the nearest lattice points on down the gradient of what copies still show after JPEG 70 and
    50 and half size, inside the budget and 0 … 255.
    """
    if pixels.ndim != 4 or not len(pixels):
        raise BadInput(f"pictures of shape {pixels.shape}", where="watermark", mend=_SHAPE)
    first = _picture(pixels[0])
    least = budget(*first.shape[-2:]) if psnr is None else psnr
    if not 30 <= least <= 50:
        raise BadInput(f"psnr {psnr}", where="watermark", mend="choose 30 (strong) to 50 dB")
    secret, rows = secret_phases(key), max(1, AT_ONCE // first.size)
    parts = [
        _embedded(torch.from_numpy(pixels[start : start + rows].copy()), secret, least)
        for start in range(0, len(pixels), rows)
    ]
    return torch.cat(parts).numpy()


def detect(pixels: np.ndarray, key: bytes, *, search: bool = True) -> Odds:
    """The odds that uint8 pixels (c, h, w) carry the key's mark.

    search: also where the picture was cut or scaled, which takes a second or so; without it the
    picture is looked at in its place only. The odds count the whole list of ways either way. Raises
    BadInput as `embed`.
    """
    light = luminance(torch.from_numpy(_picture(pixels)[None]).float())
    secret = secret_phases(key)
    odds = as_it_is(light, secret)
    for look in (cut, scaled, anywhere):
        if search and odds.log10_p > SURE:
            odds = better_of([odds, look(light, secret)])
    return odds


_SHAPE = "give uint8 pixels (channels, height, width) of 16 pixels a side or more"


def _picture(pixels: np.ndarray) -> np.ndarray:
    """As it is, if it can carry a mark."""
    shape = pixels.shape
    if pixels.dtype != np.uint8 or len(shape) != 3 or shape[0] not in (1, 2, 3, 4):
        what = f"{pixels.dtype} of shape {shape} is not a picture with two axes"
        raise BadInput(what, where="watermark", mend=_SHAPE)
    if min(shape[1:]) < LEAST:
        raise BadInput(f"{shape[1]} by {shape[2]} pixels", where="watermark", mend=_SHAPE)
    return pixels if pixels.flags.writeable else pixels.copy()  # torch warns of what cannot change


def _embedded(pixels: Tensor, secret: Tensor, psnr: float) -> Tensor:
    """uint8 (b, c, h, w) -> marked."""
    x, most = pixels.float(), math.sqrt(255**2 / 10 ** (psnr / 10) - ROUNDING)
    change = lattice_move(luminance(x), secret)[:, None] * colour_move(x.shape[1])
    change, pull = _within(x, change, most), torch.zeros_like(x)
    for step in range(STEPS):
        pull = KEPT * pull + (1 - KEPT) * _direction(x + change, secret)
        stride = STRIDE * most * math.sqrt(1 - step / STEPS)
        change = _within(x, change - stride * pull, most)
    return (x + change).round().clamp(0, 255).to(torch.uint8)


def _direction(x: Tensor, secret: Tensor) -> Tensor:
    """Where what the copies fall short of grows, of mean square 1 a picture."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        light = luminance(x)
        cosines = [cosines_of(handled(light), secret) for handled in HANDLED]
        scores = torch.stack([c.sum((1, 2, 3)) / math.sqrt(c[0].numel() / 2) for c in cosines])
        (slope,) = torch.autograd.grad(functional.softplus(ENOUGH - scores).sum(), x)
    return slope / slope.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)


def _within(x: Tensor, change: Tensor, most: float) -> Tensor:
    """Inside 0 … 255 and the root mean square `most`."""
    change = (x + change).clamp(0, 255) - x
    size = change.square().mean((1, 2, 3), keepdim=True).sqrt()
    return change * (most / size.clamp(min=1e-9)).clamp(max=1)
