"""How many samples are copies of training pictures, judged by what held-out pictures give.

A copy lies much nearer to one training picture than to the next ones (Carlini et al. 2023,
2301.13188, section 4.2): the measure is the distance to the nearest over the mean distance to the
`NEAR` nearest, so that simple pictures, all near each other, are no copies of each other. Equal
training pictures count once, else what is repeated most, and so learned by heart first, would lie
as near to the next ones.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from math import hypot, prod
from statistics import NormalDist

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d, pad

from unmist.base.faults import BadInput
from unmist.metrics.estimate import Estimate
from unmist.metrics.share import wilson

__all__ = ["Copies", "Copy", "Originals", "copies", "shrunk"]

NEAR = 20
SIDE = 32
BLOCK = 1 << 22
"""Numbers at a time, in each of a few tables: 16 MB each."""
POOL = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}


@dataclass(frozen=True)
class Copy:
    """One suspect: row of the sample, row of its nearest training picture, and their measure.

    `ratio` is 0 for an exact copy, to rounding; below the threshold it is rarer than `level` among
    real ones. seen: in "pixels", or only in "features".
    """

    sample: int
    original: int
    ratio: float
    seen: str = "pixels"


@dataclass(frozen=True)
class Copies:
    """The share of copies, and the shares of suspects beside those of real held-out pictures.

    share: copies by either measure, above what as many real pictures would be suspected of; its
    floor is 0. `pixels` and `features` are the shares of suspects by one measure, each with its own
    threshold; `pairs` are the suspects of either, those of pixels first, nearest first.
    """

    share: Estimate
    pixels: float
    features: float
    held_pixels: float
    held_features: float
    threshold: float
    level: float
    pairs: tuple[Copy, ...]

    def __str__(self) -> str:
        return (
            f"copies {self.share.value:.2%} [{self.share.low:.2%}, {self.share.high:.2%}] "
            f"(suspects {self.pixels:.2%} in pixels, {self.features:.2%} in features; held-out "
            f"pictures {self.held_pixels:.2%}, {self.held_features:.2%})"
        )


@dataclass(frozen=True, eq=False)
class _Nearest:
    """The nearest training row of each picture, and its distance over the mean of the `NEAR`."""

    rows: Tensor
    ratio: Tensor


@dataclass(frozen=True)
class _Moves:
    """What a copy may have undergone: shifts of up to `shift` places an axis, a mirror."""

    shift: int
    flips: bool

    def __call__(self, small: Tensor) -> Tensor:
        """(b, c, *s) -> (b, variants, c * s): every variant; the border is repeated."""
        axes = small.ndim - 2
        sides = (small, small.flip(-1)) if self.flips else (small,)
        variants = []
        for side in sides:
            wide = pad(side, [self.shift] * (2 * axes), mode="replicate")
            for axis in range(2, small.ndim):
                wide = wide.unfold(axis, small.shape[axis], 1)
            # (b, c, *shifts, *s) -> (b, shifts, c * s)
            variants.append(wide.flatten(2, 1 + axes).transpose(1, 2).flatten(2))
        return torch.cat(variants, 1)

    def number(self, axes: int) -> int:
        """How many variants there are."""
        return (2 * self.shift + 1) ** axes * (2 if self.flips else 1)


def copies(
    samples: tuple[Tensor, Tensor],
    train: tuple[Tensor, Tensor],
    held: tuple[Tensor, Tensor],
    *,
    level: float = 0.01,
    shift: int = 1,
    flips: bool = False,
) -> Copies:
    """Each argument is (pictures uint8 (n, c, *s), features (n, d)); `level` in (0, 1).

    A sample is a suspect where its measure is no greater than the `level` quantile of the held-out
    ones'. Pictures are compared under all shifts of up to `shift` pixels (of at most 32 along an
    axis, larger ones are averaged), and mirrored along the last axis with `flips`, which belongs to
    models trained so; brightness and contrast do not count. More than twenty different training
    pictures and at least 1/level held-out ones are needed.

    The interval takes samples and held-out pictures as draws, both binomial, and copies as always
    suspected: those disguised beyond recognition are missed. Memory: the training pictures at that
    size, two bytes a number, and some blocks of 16 MB.
    """
    return Originals.of(train, held, level=level, shift=shift, flips=flips)(samples)


@dataclass(frozen=True, eq=False)
class Originals:
    """`copies` for one training set: what is known without samples is worked out once.

    `held` are the measures of the held-out pictures, in pixels and in features.
    """

    count: int
    rows: Tensor
    small: Tensor
    features: Tensor
    held: tuple[Tensor, Tensor]
    level: float
    moves: _Moves

    @classmethod
    def of(
        cls,
        train: tuple[Tensor, Tensor],
        held: tuple[Tensor, Tensor],
        *,
        level: float = 0.01,
        shift: int = 1,
        flips: bool = False,
    ) -> "Originals":
        """The arguments of `copies`."""
        small, moves = _small_rows(train[0]), _Moves(shift, flips)
        kept = _distinct(small)
        _check(len(kept), len(held[0]), level)
        small, features = small[kept], train[1][kept]
        near, far = _in_pixels(held[0], small, moves), _in_features(held[1], features)
        measures = near.ratio, far.ratio
        return cls(len(train[0]), kept, small, features, measures, level, moves)

    def __call__(self, samples: tuple[Tensor, Tensor]) -> Copies:
        """Pictures uint8 (n, c, *s) and features (n, d) of what may have copied."""
        nearest = (
            _in_pixels(samples[0], self.small, self.moves),
            _in_features(samples[1], self.features),
        )
        near, far = (_Nearest(self.rows[n.rows], n.ratio) for n in nearest)
        limit, deep_limit = (_quantile(ratio, self.level) for ratio in self.held)
        found = near.ratio <= limit, far.ratio <= deep_limit
        usual = self.held[0] <= limit, self.held[1] <= deep_limit
        return Copies(
            share=_excess(found[0] | found[1], usual[0] | usual[1], self.count),
            pixels=_share(found[0]),
            features=_share(found[1]),
            held_pixels=_share(usual[0]),
            held_features=_share(usual[1]),
            threshold=limit,
            level=self.level,
            pairs=(
                *_pairs(near, found[0], "pixels"),
                *_pairs(far, found[1] & ~found[0], "features"),
            ),
        )


def shrunk(pictures: Tensor) -> Tensor:
    """uint8 (n, c, *s) -> float32 with at most 32 places along an axis, by averages."""
    sizes = tuple(pictures.shape[2:])
    small = tuple(min(n, SIDE) for n in sizes)
    x = pictures.float()
    return x if small == sizes else POOL[len(sizes)](x, small)


def _check(train: int, held: int, level: float) -> None:
    if not 0 < level < 1:
        raise BadInput(f"level {level} is not between 0 and 1", where="copies", mend="use 0.01")
    if train <= NEAR:
        raise BadInput(
            f"{train} different training pictures",
            where="copies",
            mend=f"more than {NEAR} are needed",
        )
    if held < 1 / level:
        raise BadInput(
            f"{held} held-out pictures cannot place a {level:.2%} threshold",
            where="copies",
            mend=f"use level {1 / held:.2g} or hold out {round(1 / level)}",
        )


def _small_rows(pictures: Tensor) -> Tensor:
    """Flat and small, in half precision: whole numbers up to 255 are exact."""
    return torch.cat([shrunk(part).half().flatten(1) for part in pictures.split(256)])


def _distinct(small: Tensor) -> Tensor:
    """The first row of each different picture, ascending."""
    first: dict[bytes, int] = {}
    for row, values in enumerate(small.numpy()):
        first.setdefault(blake2b(values.tobytes(), digest_size=16).digest(), row)
    return torch.tensor(list(first.values()))


def _in_pixels(pictures: Tensor, table: Tensor, moves: _Moves) -> _Nearest:
    """Against flat training pictures, under every variant."""
    variants = moves.number(pictures.ndim - 2)
    size = max(1, BLOCK // (variants * table.shape[1]))
    # in half precision as the table, so that averages of equal pictures are equal
    parts = (moves(shrunk(part).half().float()) for part in pictures.split(size))
    return _nearest(parts, table, _standard)


def _in_features(features: Tensor, table: Tensor) -> _Nearest:
    """Centred on the training rows: products lose no digits to a common offset."""
    centre = table.double().mean(0).float()
    parts = (part[:, None] for part in features.split(256))
    return _nearest(parts, table, lambda x: x - centre)


def _standard(rows: Tensor) -> Tensor:
    """Without brightness and contrast: mean 0 and length 1, but for rows of less than a level."""
    x = rows - rows.mean(-1, keepdim=True)
    return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp(min=x.shape[-1] ** 0.5)


def _nearest(
    queries: Iterator[Tensor], table: Tensor, plain: Callable[[Tensor], Tensor]
) -> _Nearest:
    """Parts (b, variants, d) against rows (n, d), as `plain` makes both: the least distance."""
    rows, ratios = [], []
    for part in queries:
        least, near = _least(plain(part.float()), table, plain)
        least = least.clamp(min=0).sqrt()
        rows.append(near[:, 0])
        ratios.append(least[:, 0] / least.mean(1).clamp(min=1e-12))
    return _Nearest(torch.cat(rows), torch.cat(ratios))


def _least(
    moved: Tensor, table: Tensor, plain: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """The `NEAR` least squared distances (b, NEAR) and their rows, a block of the table at once."""
    size = max(NEAR, BLOCK // prod(moved.shape[:2]))
    own = moved.square().sum(2, keepdim=True)
    least = torch.empty(len(moved), 0)
    rows = torch.empty(len(moved), 0, dtype=torch.int64)
    for start in range(0, len(table), size):
        part = plain(table[start : start + size].float())
        products = (moved.flatten(0, 1) @ part.T).reshape(*moved.shape[:2], -1)
        far = (part.square().sum(1) - 2 * products + own).amin(1)
        numbers = torch.arange(start, start + len(part)).expand(len(moved), -1)
        least, rows = torch.cat([least, far], 1), torch.cat([rows, numbers], 1)
        least, order = least.topk(min(NEAR, least.shape[1]), largest=False)
        rows = rows.gather(1, order)
    return least, rows


def _quantile(ratios: Tensor, level: float) -> float:
    """The greatest value such that a share of `level` at most is no greater."""
    rank = max(1, int(level * len(ratios) + 1e-9))
    return float(ratios.kthvalue(rank).values)


def _share(found: Tensor) -> float:
    return float(found.double().mean())


def _excess(found: Tensor, usual: Tensor, train: int) -> Estimate:
    """What remains of the share of suspects when fresh pictures are suspected as held-out ones are.

    With copies c among samples, suspects p = c + (1 - c) f; the limits of p and f are joined by
    their squares (Newcombe 1998, method 10). Fewer suspects than among held-out pictures are luck
    and no proof: the upper limit is that given such luck (CLs, Read 2002), and never below that of
    no suspect at all among so many, about 3.7 in n.
    """
    p, f = _share(found), _share(usual)
    (low, high), (least, most) = wilson(p, len(found)), wilson(f, len(usual))
    rest = max(1 - f, 1e-12)
    below, above = hypot(p - low, most - f), hypot(high - p, f - least)
    reach = _given_none_below(p - f, above / 1.96) / rest
    value, low = (min(1.0, max(0.0, x / rest)) for x in (p - f, p - f - below))
    high = min(1.0, max(reach, 1 - 0.025 ** (1 / len(found))))
    return Estimate(
        name="copies",
        value=value,
        low=low,
        high=high,
        floor=0.0,
        count=len(found),
        reference=train,
        method=(
            f"suspects {p:.2%} in pixels or features above {f:.2%} of {len(usual)} held-out "
            "pictures; 95 % by Wilson's limits of both, the upper one given that shares are >= 0"
        ),
    )


def _given_none_below(value: float, deviation: float) -> float:
    """The upper 97.5 % limit of what cannot be negative: the usual one far above 0, never 0."""
    usual = NormalDist()
    luck = max(usual.cdf(value / deviation), 1e-12) if deviation else 1.0
    return value - deviation * usual.inv_cdf(0.025 * luck)


def _pairs(near: _Nearest, found: Tensor, seen: str) -> Iterator[Copy]:
    # exact copies are 0 but for rounding (thousandths), which differs between processors
    for row in torch.argsort(near.ratio.round(decimals=2), stable=True).tolist():
        if found[row]:
            yield Copy(row, int(near.rows[row]), float(near.ratio[row]), seen)
