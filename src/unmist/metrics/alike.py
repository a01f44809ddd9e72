"""Samples that repeat each other: what a model does that has lost part of its data (slide 12).

A sample is repeated where its nearest other sample is nearer than it is for all but a `level` of as
many real pictures. Distances are absolute: a picture that comes thirty times has thirty near ones.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, hypot

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.metrics.copies import shrunk
from unmist.metrics.estimate import Estimate
from unmist.metrics.share import wilson

__all__ = ["Alike", "Twin", "alike"]

BLOCK = 1 << 22


@dataclass(frozen=True)
class Twin:
    """Rows of a sample and of its nearest other one; their distance over the threshold, below 1."""

    sample: int
    other: int
    ratio: float


@dataclass(frozen=True)
class Alike:
    """How many samples are repeated, and which.

    share: of samples that are repeated in pixels or features; its floor is the share of as many
    real pictures. `pixels` and `features` are the shares by one measure; `pairs` come nearest
    first.
    """

    share: Estimate
    pixels: float
    features: float
    pairs: tuple[Twin, ...]

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Samples that are joined by pairs, the largest group first."""
        root: dict[int, int] = {}

        def top(row: int) -> int:
            while (above := root.setdefault(row, row)) != row:
                row = above
            return row

        for pair in self.pairs:
            first, last = sorted((top(pair.sample), top(pair.other)))
            root[last] = first
        members: dict[int, list[int]] = {}
        for row in sorted(root):
            members.setdefault(top(row), []).append(row)
        return tuple(sorted(map(tuple, members.values()), key=lambda g: (-len(g), g)))

    def __str__(self) -> str:
        largest = f", the largest group {len(self.groups[0])}" if self.groups else ""
        return f"{self.share}{largest}"


def alike(
    samples: tuple[Tensor, Tensor], real: tuple[Tensor, Tensor], *, level: float = 0.01
) -> Alike:
    """Each argument is (pictures uint8 (n, c, *s), features (n, d)), drawn independently.

    Only as many rows are compared as both sides have, as nearest ones draw nearer with their
    number; training pictures serve as real ones, if equal ones come once. The thresholds are half
    of `level` in pixels and in features each. The interval is for the expectation at this number
    over fresh draws of both sides.
    """
    count = min(len(samples[0]), len(real[0]))
    _check(count, level)
    ours, theirs = _Nearest.of(samples, count), _Nearest.of(real, count)
    limits = _limits(theirs.distances, level)
    found, usual = (side.distances < limits for side in (ours, theirs))
    plain = Alike(
        share=Estimate(name="alike", value=_share(found.any(0)), count=count),
        pixels=_share(found[0]),
        features=_share(found[1]),
        pairs=tuple(_pairs(ours.distances / limits.clamp(min=1e-12), ours.rows, found)),
    )
    return replace(plain, share=_estimate(plain, _share(usual.any(0)), count, level))


@dataclass(frozen=True, eq=False)
class _Nearest:
    """The nearest other row of each, first by pixels, then by features: (2, n)."""

    distances: Tensor
    rows: Tensor

    @classmethod
    def of(cls, pictures: tuple[Tensor, Tensor], count: int) -> "_Nearest":
        """Among the first `count`."""
        pixels = torch.cat([shrunk(x).flatten(1) for x in pictures[0][:count].split(256)])
        tables = [_nearest(x) for x in (pixels, pictures[1][:count].float())]
        distances, rows = zip(*tables, strict=True)
        return cls(torch.stack(distances), torch.stack(rows))


def _check(count: int, level: float) -> None:
    if not 0 < level < 1:
        raise BadInput(f"level {level} is not between 0 and 1", where="alike", mend="use 0.01")
    least = ceil(2 / level)
    if count < least:
        raise BadInput(
            f"{count} pictures cannot place a {level:.2%} threshold",
            where="alike",
            mend=f"use {least} of either side, or a higher level",
        )


def _nearest(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest other row: distances (n,) and rows (n,)."""
    x = rows - rows.mean(0)  # products then lose no digits to a common brightness
    squares = x.square().sum(1)
    distances, found = [], []
    for here in torch.arange(len(x)).split(max(1, BLOCK // len(x))):
        far = squares[here, None] + squares - 2 * x[here] @ x.T
        far[torch.arange(len(here)), here] = torch.inf
        least = far.min(1)
        distances.append(least.values)
        found.append(least.indices)
    # equal pictures are at zero, and what rounding leaves of them is nothing
    values = torch.cat(distances)
    return torch.where(values < 1e-6 * squares.mean(), 0, values).sqrt(), torch.cat(found)


def _limits(usual: Tensor, level: float) -> Tensor:
    """The distances (2, 1) that half of `level` of the real rows lie below."""
    rank = max(1, round(level / 2 * usual.shape[1])) + 1
    return usual.kthvalue(rank, dim=1, keepdim=True).values


def _share(found: Tensor) -> float:
    return float(found.double().mean())


def _estimate(found: Alike, floor: float, count: int, level: float) -> Estimate:
    """The share; its errors by its groups, and by how well the limits are known.

    How often a picture comes is Poisson's; come once, it is not seen. So where independent rows add
    1 each to the variance, a group of s adds s + 2: 4 for two that met by chance, about s for many.
    Real rows fall below the limits in pairs, so half as many count. Both errors are joined by their
    squares, as for copies.
    """
    share = found.share.value
    effect = sum(len(group) + 2 for group in found.groups) / (share * count) if share else 1.0
    low, high = wilson(share, count / effect)
    least, most = ((1 - share) * limit for limit in wilson(floor, count / 2))
    usual = (1 - share) * floor
    return replace(
        found.share,
        low=max(0.0, share - hypot(share - low, most - usual)),
        high=min(1.0, share + hypot(high - share, usual - least)),
        floor=floor,
        reference=count,
        method=(
            f"nearer another sample than all but {level:.2%} of real pictures, in pixels or "
            "features; 95 % by the groups found and the limits of the floor"
        ),
    )


def _pairs(ratios: Tensor, others: Tensor, found: Tensor) -> Iterator[Twin]:
    """Each pair once, by the measure that finds it nearer; nearest first."""
    least, which = torch.where(found, ratios, torch.inf).min(0)
    met: Counter[tuple[int, int]] = Counter()
    for row in least.argsort().tolist():
        if not found[:, row].any():
            return
        other = int(others[which[row], row])
        pair = (min(row, other), max(row, other))
        met[pair] += 1
        if met[pair] == 1:
            yield Twin(row, other, float(least[row]))
