"""How many samples are copies of training pictures, judged by what held-out pictures give.

A copy lies much nearer to one training picture than to the next ones (Carlini et al. 2023,
2301.13188, section 4.2): the measure is the distance to the nearest over the mean distance to the
`NEAR` nearest, so that simple pictures, all near each other, are no copies of each other.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d, pad

from unmist.base.faults import BadInput

__all__ = ["Copies", "Copy", "copies"]

NEAR = 20
SIDE = 32
POOL = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}


@dataclass(frozen=True)
class Copy:
    """One suspect: row of the sample, row of its nearest training picture, and their measure.

    `ratio` is 0 for an exact copy; below the threshold it is rarer than `level` among real ones.
    """

    sample: int
    original: int
    ratio: float


@dataclass(frozen=True)
class Copies:
    """The share of copies beside the share that real held-out pictures give at that threshold.

    `pixels` and `features` are the shares by either measure, each with its own threshold;
    `pairs` are those found in pixels, nearest first.
    """

    pixels: float
    features: float
    held_pixels: float
    held_features: float
    threshold: float
    level: float
    pairs: tuple[Copy, ...]

    def __str__(self) -> str:
        return (
            f"copies {self.pixels:.2%} in pixels, {self.features:.2%} in features "
            f"(held-out pictures: {self.held_pixels:.2%}, {self.held_features:.2%})"
        )


@dataclass(frozen=True, eq=False)
class _Nearest:
    """The nearest training row of each picture, and its distance over the mean of the `NEAR`."""

    rows: Tensor
    ratio: Tensor


def copies(
    samples: tuple[Tensor, Tensor],
    train: tuple[Tensor, Tensor],
    held: tuple[Tensor, Tensor],
    *,
    level: float = 0.01,
    shift: int = 1,
) -> Copies:
    """Each argument is (pictures uint8 (n, c, *s), features (n, d)); `level` in (0, 1).

    A sample is a suspect where its measure is below the `level` quantile of the held-out ones';
    pictures are compared under all shifts of up to `shift` pixels (of at most 32 along an axis,
    larger ones are averaged). Beside twenty training pictures at least 1/level held-out ones are
    needed for the threshold to lie inside them.
    """
    _check(train[1], held[1], level)
    table = _flat(train[0])
    near, held_near = (_in_pixels(part[0], table, shift) for part in (samples, held))
    deep, held_deep = (_nearest(part[1][:, None], train[1]) for part in (samples, held))
    limit, deep_limit = (_quantile(part.ratio, level) for part in (held_near, held_deep))
    return Copies(
        pixels=_share(near, limit),
        features=_share(deep, deep_limit),
        held_pixels=_share(held_near, limit),
        held_features=_share(held_deep, deep_limit),
        threshold=limit,
        level=level,
        pairs=_pairs(near, limit),
    )


def _check(train: Tensor, held: Tensor, level: float) -> None:
    if not 0 < level < 1:
        raise BadInput(f"level {level} is not between 0 and 1", where="copies", mend="use 0.01")
    if len(train) <= NEAR:
        raise BadInput(
            f"{len(train)} training pictures", where="copies", mend=f"more than {NEAR} are needed"
        )
    if len(held) < 1 / level:
        raise BadInput(
            f"{len(held)} held-out pictures cannot place a {level:.2%} threshold",
            where="copies",
            mend=f"use level {1 / len(held):.2g} or hold out {round(1 / level)}",
        )


def _in_pixels(pictures: Tensor, table: Tensor, shift: int) -> _Nearest:
    """Against flat training pictures, under every shift; the border is repeated."""
    small = _small(pictures)
    axes = small.ndim - 2
    wide = pad(small, [shift] * (2 * axes), mode="replicate")
    for axis in range(2, small.ndim):
        wide = wide.unfold(axis, small.shape[axis], 1)
    # (b, c, *shifts, *s) -> (b, shifts, c * s)
    moved = wide.flatten(2, 1 + axes).transpose(1, 2)
    return _nearest(moved, table)


def _small(pictures: Tensor) -> Tensor:
    sizes = tuple(pictures.shape[2:])
    small = tuple(min(n, SIDE) for n in sizes)
    x = pictures.float()
    return x if small == sizes else POOL[len(sizes)](x, small)


def _flat(pictures: Tensor) -> Tensor:
    return torch.cat([_small(part).flatten(1) for part in pictures.split(256)])


def _nearest(queries: Tensor, table: Tensor) -> _Nearest:
    """Queries (b, variants, ...) against rows (n, d): the least distance over the variants."""
    table = table.float()
    centre = table.mean(0)
    table = table - centre  # products then lose no digits to a common brightness
    squares = table.square().sum(1)
    rows, ratios = [], []
    for part in queries.split(max(1, 2**24 // (queries.shape[1] * len(table)))):
        moved = part.flatten(2).float() - centre
        far = torch.baddbmm(squares, moved, table.T.expand(len(moved), -1, -1), alpha=-2)
        far = (far + moved.square().sum(2, keepdim=True)).amin(1).clamp(min=0).sqrt()
        least = far.topk(NEAR, largest=False)
        rows.append(least.indices[:, 0])
        ratios.append(least.values[:, 0] / least.values.mean(1).clamp(min=1e-12))
    return _Nearest(torch.cat(rows), torch.cat(ratios))


def _quantile(ratios: Tensor, level: float) -> float:
    return float(torch.quantile(ratios.double(), level))


def _share(near: _Nearest, limit: float) -> float:
    return float((near.ratio < limit).double().mean())


def _pairs(near: _Nearest, limit: float) -> tuple[Copy, ...]:
    found = [
        Copy(row, int(near.rows[row]), float(near.ratio[row]))
        for row in torch.argsort(near.ratio).tolist()
    ]
    return tuple(pair for pair in found if pair.ratio < limit)
