"""Are samples like the data (precision, density), and is all the data met (recall, coverage)?"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import prod, sqrt

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import keyed
from unmist.metrics.estimate import Estimate
from unmist.metrics.share import wilson

__all__ = ["Diversity", "diversity", "diversity_estimates"]

ROWS = 1 << 22
PARTS, PART, FREEDOM, GROUPS = 3, 500, 24, 10
"""At least three parts, of up to 500 rows where there are many; of splits as many as give 24
degrees of freedom; groups of the jackknife."""
REACH = 2.2
"""The interval in deviations: Student's at 11 degrees of freedom. Splits of the same rows are worth
6 to 20 of the 24 (Gaussians of 2 to 64 dimensions, 300 rows a side)."""


@dataclass(frozen=True)
class Diversity:
    """Shares in [0, 1]; density may pass 1. Balls reach each picture's k-th nearest neighbour.

    `precision`, `recall`: Kynkäänniemi et al. 2019 (1904.06991), equations 1-3; `density`,
    `coverage`: Naeem et al. 2020 (2002.09797), equations 5 and 8.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    neighbours: int
    reference: int
    count: int

    @property
    def expected_coverage(self) -> float:
        """The mean coverage of samples that follow the data's law exactly, whatever the law.

        1 - (n-1)…(n-k) / ((m+n-1)…(m+n-k)), n real pictures, m samples: Naeem's lemma 2.
        """
        last = range(1, self.neighbours + 1)
        total = self.reference + self.count
        return 1 - prod((self.reference - i) / (total - i) for i in last)

    def values(self) -> Tensor:
        """Precision, recall, density, coverage: (4,)."""
        return torch.tensor(
            [self.precision, self.recall, self.density, self.coverage], dtype=torch.float64
        )


def diversity(real: Tensor, samples: Tensor, neighbours: int = 5) -> Diversity:
    """Of samples (m, d) against real features (n, d), both with more than `neighbours` rows.

    Memory O(n + m) beside a block of distances of about 32 MB.
    """
    least = min(len(real), len(samples))
    if not 1 <= neighbours < least:
        raise BadInput(
            f"{neighbours} neighbours among {least} pictures",
            mend=f"choose 1 … {least - 1} neighbours, or more samples",
        )
    real, samples = real.double(), samples.double()
    real_reach, sample_reach = _reach(real, neighbours), _reach(samples, neighbours)
    inside, within = torch.zeros(len(samples)), torch.zeros(len(samples), dtype=torch.bool)
    recalled, covered = 0, 0
    for rows, distances in _blocks(real, samples):
        balls = distances < real_reach[rows][:, None]
        inside += balls.sum(0)
        within |= balls.any(0)
        covered += int(balls.any(1).sum())
        recalled += int((distances < sample_reach).any(1).sum())
    return Diversity(
        precision=float(within.double().mean()),
        recall=recalled / len(real),
        density=float(inside.double().mean()) / neighbours,
        coverage=covered / len(real),
        neighbours=neighbours,
        reference=len(real),
        count=len(samples),
    )


def diversity_estimates(
    real: Tensor, samples: Tensor, *, features: str, neighbours: int = 5
) -> tuple[Estimate, ...]:
    """Precision, recall, density, coverage, each with its interval and what perfect samples get.

    The interval is for the expectation at these numbers n and m, over fresh draws of both sides:
    none of the four has the same limit at every number. At least 3 (k + 2) rows a side.

    Balls touch, so rows are not independent, and leaving out groups tells up to four times the
    variance. That of a part is known without bias from disjoint parts. For shares its design effect
    is kept; density, whose variance does not fall as 1 / n in many dimensions, takes that of the
    jackknife, divided by how much it errs in the parts.
    """
    least = PARTS * (neighbours + 2)
    if min(len(real), len(samples)) < least:
        raise BadInput(
            f"{min(len(real), len(samples))} pictures tell no error of {neighbours} neighbours",
            mend=f"use {least} of either side",
        )
    found = diversity(real, samples, neighbours)
    spread = _spread(real, samples, neighbours)
    floors = _floors(real, found)
    names = ("precision", "recall", "density", "coverage")
    estimate = partial(
        Estimate,
        count=len(samples),
        reference=len(real),
        features=features,
        method=f"{neighbours} neighbours; 95 % by disjoint parts, for these numbers of pictures",
    )
    bounds = [
        (max(0.0, found.density - spread.density), found.density + spread.density)
        if name == "density"
        else wilson(getattr(found, name), count, REACH)
        for name, count in zip(names, spread.counts, strict=True)
    ]
    return tuple(
        estimate(name=name, value=getattr(found, name), low=low, high=high, floor=floor)
        for name, (low, high), floor in zip(names, bounds, floors, strict=True)
    )


@dataclass(frozen=True)
class _Spread:
    """How many independent rows the shares are worth (4,), and half of density's interval."""

    counts: tuple[float, ...]
    density: float


def _spread(real: Tensor, samples: Tensor, neighbours: int) -> _Spread:
    few, many = sorted((len(real), len(samples)))
    number = max(PARTS, min(many // PART, few // (10 * neighbours)))
    values, errors = [], []
    for split in range(-(-FREEDOM // (number - 1))):
        sides = (_parts(real, number, split, 0), _parts(samples, number, split, 1))
        parts = list(zip(*sides, strict=True))
        values.append(torch.stack([diversity(*part, neighbours).values() for part in parts]))
        if split < 2:
            errors += [_jackknife(*part, neighbours) for part in parts]
    found = torch.stack(values)
    centre, variance = found.mean((0, 1)), found.var(1).mean(0)
    worth = number * centre * (1 - centre) / variance
    rows = torch.tensor([len(samples), len(real), 1, len(real)]).double()
    # where no part differs from another, nothing is known but that rows are no more than rows
    counts = torch.where(variance > 0, worth, rows).clamp(min=1.0).minimum(rows)
    ours = _jackknife(real, samples, neighbours)
    density = ours * float(variance[2]) / max(sum(errors) / len(errors), 1e-30)
    return _Spread(tuple(counts.tolist()), REACH * sqrt(density))


def _parts(rows: Tensor, number: int, split: int, side: int) -> list[Tensor]:
    """Disjoint, equally long, drawn anew for each split."""
    order = torch.from_numpy(keyed(0, "parts", split, side).permutation(len(rows)))
    size = len(rows) // number
    return [rows[part] for part in order[: number * size].split(size)]


def _jackknife(real: Tensor, samples: Tensor, neighbours: int) -> float:
    """The variance of density by leaving out a group of both sides: Efron & Stein 1981."""
    real, samples = real.double(), samples.double()
    side, other = torch.arange(len(real)) % GROUPS, torch.arange(len(samples)) % GROUPS
    reach = _reach_without(real, side, neighbours)
    inside = torch.zeros(GROUPS)
    for rows, distances in _blocks(real, samples):
        for group in range(GROUPS):
            balls = distances < reach[rows, group : group + 1]
            inside[group] += int(balls[side[rows] != group].sum(0)[other != group].sum())
    left = len(samples) - torch.bincount(other, minlength=GROUPS)
    less = inside.double() / left / neighbours
    return float((GROUPS - 1) * less.var(correction=0))


def _reach_without(rows: Tensor, side: Tensor, neighbours: int) -> Tensor:
    """The distance to the k-th nearest other row outside a group, for each group: (n, GROUPS).

    Sought among the nearest 4 k + 16, of which a group holds a tenth.
    """
    few = min(len(rows), 4 * neighbours + 16)
    parts = []
    for _, distances in _blocks(rows, rows):
        near = distances.topk(few, largest=False)
        apart = side[near.indices][:, None] != torch.arange(GROUPS)[:, None]
        kept = torch.where(apart, near.values[:, None], torch.inf)
        # within its own group a row counts itself no more, but then it is left out anyway
        parts.append(kept.kthvalue(neighbours + 1, dim=2).values)
    return torch.cat(parts)


def _floors(real: Tensor, found: Diversity) -> tuple[float, ...]:
    """What samples of the data's own law get on average: (4,).

    A real picture lies in the ball of another, drawn without it, if it is among that one's k
    nearest: so the share of pictures that are somebody's neighbour is the precision of perfect
    samples, and among as many as there are samples, their recall. Density is 1 by symmetry.
    """
    k = found.neighbours
    few = min(len(real), found.count + 1)
    parts = [real[start : start + few] for start in range(0, len(real) - few + 1, few)]
    recall = sum(_chosen(part, k) for part in parts) / len(parts)
    return _chosen(real, k), recall, 1.0, found.expected_coverage


def _chosen(rows: Tensor, neighbours: int) -> float:
    """The share of rows that are among the k nearest of another."""
    met = torch.zeros(len(rows), dtype=torch.bool)
    x = rows.double()
    for block, distances in _blocks(x, x):
        own = torch.arange(len(rows))[block]
        distances[torch.arange(len(own)), own] = torch.inf
        met[distances.topk(neighbours, largest=False).indices.flatten()] = True
    return float(met.double().mean())


def _reach(features: Tensor, neighbours: int) -> Tensor:
    """The distance to the k-th nearest other row: (n,)."""
    parts = [
        # the nearest is the row itself, at distance zero
        distances.kthvalue(neighbours + 1, dim=1).values
        for _, distances in _blocks(features, features)
    ]
    return torch.cat(parts)


def _blocks(one: Tensor, other: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Row slices of `one` with their distances to all of `other`."""
    size = max(1, ROWS // len(other))
    for start in range(0, len(one), size):
        rows = slice(start, start + size)
        # by differences: by products, equal rows come out 1e-7 apart
        yield rows, torch.cdist(one[rows], other, compute_mode="donot_use_mm_for_euclid_dist")
