"""The Fréchet distance between the laws themselves: of infinitely many samples on both sides.

With n rows a side the distance is too large by about a / n (Chong & Forsyth 2020, 1911.07023), a
growing with the square of the width. Leaving out one of G groups on both sides moves 1 / n by a
known amount, so the limit is G whole - (G - 1) mean(less): the jackknife (Quenouille 1956). On
Gaussians of 32 and 64 features its bias is a seventh of a deviation at 16 rows a feature; a line
through five sizes of subsets is as free of bias and a tenth noisier, a parabola twice as noisy.

Near distance 0 the error is quadratic in the samples. The jackknife's variance counts that part
twice (Efron & Stein 1981), so it is measured apart. With the roots A, B of the
covariances and A B^T = U S V^T, changes of the covariances, seen as a = s^(-1/2) V^T B C' B^T V
s^(-1/2) and b = s^(-1/2) U^T A D' A^T U s^(-1/2), move the distance to second order by
sum (a - b)_ij^2 / (2 (s_i + s_j)), besides the square of the means' change.
"""

from math import ceil, sqrt
from statistics import mean, variance

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.metrics.bounds import squared_bounds
from unmist.metrics.estimate import Estimate
from unmist.metrics.frechet import Moments, covariance_root, frechet_name, frechet_of_moments
from unmist.metrics.grouped import Groups

__all__ = ["frechet_limit", "quadratic_part"]

LEAST, ENOUGH = 2.0, 6.0
"""Rows a feature: with fewer than the first there is no limit, with fewer than the second the
interval is the plain jackknife's (with its quadratic part counted once), and the method says so."""


def frechet_limit(ours: Groups, theirs: Groups, *, features: str) -> Estimate:
    """Between two laws, from samples of each; may fall below 0 where the laws are equal.

    Both sides in equally many groups, at least 5, each with rows; at least 2 rows a feature.
    """
    width = _rank(ours, theirs)
    groups, count = len(ours.parts), min(ours.total.count, theirs.total.count)
    whole = frechet_of_moments(ours.total, theirs.total)
    less = [
        frechet_of_moments(one, two)
        for one, two in zip(ours.without(), theirs.without(), strict=True)
    ]
    value = groups * whole - (groups - 1) * mean(less)
    pairs = quadratic_part(ours, theirs)
    counted = (groups - 1) ** 2 / groups * variance(less)
    single = counted - 2 * (groups - 1) / (groups - 2) * pairs
    point = _student(groups - 1)
    low, high = squared_bounds(value, single, pairs, whole - value, point)
    few = ""
    if count < ENOUGH * width:  # there the quadratic part is measured too small
        reach = point * sqrt(pairs + max(0.0, single))
        low, high = value - reach, value + reach
        few = f"; few samples: {count} rows for {width} features, interval less sure"
    return Estimate(
        name=frechet_name(features),
        value=value,
        low=low,
        high=high,
        count=ours.total.count,
        reference=theirs.total.count,
        features=features,
        method=(
            f"at infinitely many samples by the jackknife over {groups} groups "
            f"(as they are: {whole:.4g}){few}"
        ),
    )


def quadratic_part(ours: Groups, theirs: Groups) -> float:
    """The variance of the distance's quadratic part: all there is where the laws are equal.

    Pairs of groups give it without bias (U-centring, Székely & Rizzo 2014, 1310.2926).
    """
    one, other = ours.total, theirs.total
    root, other_root = covariance_root(one.covariance), covariance_root(other.covariance)
    left, shared, right = torch.linalg.svd(root @ other_root.T, full_matrices=False)
    kept = shared > shared[:1] * len(one.mean) * torch.finfo(shared.dtype).eps
    left, shared, right = left[:, kept], shared[kept], right[kept]
    weight = (2 * (shared[:, None] + shared)).rsqrt()
    forward = (right @ other_root) / shared.sqrt()[:, None]
    back = (left.T @ root) / shared.sqrt()[:, None]
    moves = torch.stack(
        [
            _move(a, one, forward, weight) - _move(b, other, back, weight)
            for a, b in zip(ours.parts, theirs.parts, strict=True)
        ]
    )
    moves -= moves.mean(0)
    groups = len(moves)
    return 2 * _pair_square(moves @ moves.T) / (groups * (groups - 1))


def _move(part: Moments, whole: Moments, axes: Tensor, weight: Tensor) -> Tensor:
    """How one group's mean and covariance (about the mean of all) lie, as the distance feels it."""
    gap = part.mean - whole.mean
    seen = axes @ part.scatter @ axes.T / part.count + torch.outer(axes @ gap, axes @ gap)
    return torch.cat([gap, (weight * seen).flatten()]).float()


def _pair_square(products: Tensor) -> float:
    """The mean square of centred products of two different groups, from their products (n, n)."""
    n = len(products)
    apart = products - torch.diag(products.diagonal())
    rows = apart.sum(1)
    centred = apart - (rows[:, None] + rows) / (n - 2) + rows.sum() / ((n - 1) * (n - 2))
    centred = centred - torch.diag(centred.diagonal())
    return float(centred.double().square().sum()) / (n * (n - 3))


def _student(freedom: int) -> float:
    """Student's 97.5 % point, to 0.2 % from 5 degrees of freedom (Cornish & Fisher's series)."""
    z = 1.959964
    terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + terms[0] / freedom + terms[1] / freedom**2 + third / freedom**3


def _rank(ours: Groups, theirs: Groups) -> int:
    """How many directions the features fill; refused where the rows are too few for them."""
    if (len(ours.parts), ours.width) != (len(theirs.parts), theirs.width):
        raise BadInput(
            f"{len(ours.parts)} groups of {ours.width} features against {len(theirs.parts)} of "
            f"{theirs.width}",
            mend="use the same features and groups",
        )
    groups = len(ours.parts)
    least = min(part.count for side in (ours, theirs) for part in side.parts)
    if groups < 5 or not least:
        raise BadInput(
            f"{groups} groups, the least of {least} rows, tell no error",
            mend="use 20 groups and at least as many pictures",
        )
    totals = (ours.total, theirs.total)
    ranks = [len(covariance_root(total.covariance)) for total in totals]
    for total, rank in zip(totals, ranks, strict=True):
        if total.count < LEAST * rank:
            raise BadInput(
                f"{total.count} pictures are too few for a Fréchet distance in {ours.width} "
                "features",
                mend=f"use {ceil(LEAST * ours.width)} or more, or fewer features",
            )
    return max(ranks)
