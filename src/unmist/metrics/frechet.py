"""Fréchet distance between two sets of features, with the floor that real pictures themselves have.

Dowson & Landau (1982): |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)) between the Gaussians of equal
moments. It is biased upwards by small sets, so a value is read against its floor: real pictures
against real ones at the same sizes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import nan
from statistics import mean, stdev

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import keyed

__all__ = [
    "FrechetScore",
    "Moments",
    "covariance_root",
    "frechet_distance",
    "frechet_name",
    "frechet_of_moments",
    "frechet_score",
]


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean (d,) and scatter (d, d) = sum (x - mean)(x - mean)^T, float64.

    Flat in memory whatever the count; parts measured apart are merged (Chan et al. 1979).
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """The moments of the rows of features (n, d), n >= 1."""
        x = features.double()
        mean = x.mean(0)
        centred = x - mean
        return cls(len(x), mean, centred.T @ centred)

    @classmethod
    def none(cls, width: int) -> "Moments":
        """The moments of no rows: merged with others it leaves them as they are."""
        return cls(0, torch.zeros(width).double(), torch.zeros(width, width).double())

    @classmethod
    def over(cls, parts: Iterable[Tensor]) -> "Moments":
        """The moments of all rows of a stream of (n, d) parts, at least one."""
        stream = iter(parts)
        total = cls.of(next(stream))
        for part in stream:
            total = total.merged(cls.of(part))
        return total

    def merged(self, other: "Moments") -> "Moments":
        """The moments of both sets of rows together."""
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        gap = other.mean - self.mean
        between = torch.outer(gap, gap) * (self.count * other.count / count)
        mean = self.mean + gap * (other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + between)

    def without(self, part: "Moments") -> "Moments":
        """The moments of the rows that are not in `part`, which must leave some."""
        count = self.count - part.count
        gap = part.mean - self.mean
        between = torch.outer(gap, gap) * (self.count * part.count / count)
        mean = self.mean - gap * (part.count / count)
        return Moments(count, mean, self.scatter - part.scatter - between)

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance (d, d)."""
        return self.scatter / _freedom(self.count)


@dataclass(frozen=True)
class FrechetScore:
    """A Fréchet distance with all that is needed to read it.

    `value` compares `count` samples with `reference` held-out pictures. `floor` is the mean of
    `floor_draws` distances of as many real training pictures, disjoint draws, to the same
    reference; `floor_spread` is their standard deviation (NaN for one draw).
    """

    value: float
    floor: float
    floor_spread: float
    floor_draws: int
    count: int
    reference: int
    features: str
    width: int

    @property
    def excess(self) -> float:
        """The value above what real pictures get: 0 for samples as good as real ones."""
        return self.value - self.floor

    @property
    def name(self) -> str:
        """What the number may be called: FID is Inception's alone."""
        return frechet_name(self.features)

    def __str__(self) -> str:
        return (
            f"{self.name} {self.value:.4g} (floor {self.floor:.4g}, excess {self.excess:.4g}; "
            f"{self.count} samples against {self.reference} held-out pictures, "
            f"{self.width} features of {self.features})"
        )


def frechet_name(features: str) -> str:
    """What a distance in these features may be called."""
    return "FID" if features == "inception" else "Fréchet distance"


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """The squared distance between features (n, d) and (m, d), at least two rows each.

    With fewer rows than features the rows themselves are the roots of the covariances (the Gram
    form), so no d x d matrix is ever made.
    """
    if one.shape[1] != other.shape[1]:
        raise BadInput(
            f"{one.shape[1]} features against {other.shape[1]}", mend="use the same features"
        )
    if min(len(one), len(other)) >= one.shape[1]:
        return frechet_of_moments(Moments.of(one), Moments.of(other))
    return _distance((one.double().mean(0), _rows(one)), (other.double().mean(0), _rows(other)))


def frechet_of_moments(one: Moments, other: Moments) -> float:
    """The squared distance between two sets of moments, float64, right where ranks are short."""
    return _distance(
        (one.mean, covariance_root(one.covariance)), (other.mean, covariance_root(other.covariance))
    )


def frechet_score(
    samples: Tensor, train: Tensor, held: Tensor, *, features: str, seed: int = 0
) -> FrechetScore:
    """Samples (n, d) against held-out pictures (m, d), the floor from training pictures (k, d).

    Where there are more samples than training pictures the surplus is left out, as the floor could
    not be measured at their number.
    """
    count = min(len(samples), len(train))
    order = torch.from_numpy(keyed(seed, "floor").permutation(len(train)))
    draws = order[: len(train) // count * count].split(count)
    reference = _part(held)
    floors = [_distance(_part(train[draw]), reference) for draw in draws]
    return FrechetScore(
        value=_distance(_part(samples[:count]), reference),
        floor=mean(floors),
        floor_spread=stdev(floors) if len(floors) > 1 else nan,
        floor_draws=len(floors),
        count=count,
        reference=len(held),
        features=features,
        width=held.shape[1],
    )


def _part(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and a root of the covariance, the cheaper one."""
    if len(features) < features.shape[1]:
        return features.double().mean(0), _rows(features)
    moments = Moments.of(features)
    return moments.mean, covariance_root(moments.covariance)


def _freedom(count: int) -> int:
    if count < 2:
        raise BadInput(f"a covariance of {count} pictures does not exist", mend="give at least two")
    return count - 1


def _rows(features: Tensor) -> Tensor:
    """A root of the covariance, (n, d): root.T @ root is the covariance."""
    x = features.double()
    return (x - x.mean(0)) / _freedom(len(x)) ** 0.5


def covariance_root(covariance: Tensor) -> Tensor:
    """A root (r, d), r the rank: what is left of zeros after rounding is zero.

    Cholesky's, a tenth of the time, where the covariance is far from short of rank.
    """
    triangle, failed = torch.linalg.cholesky_ex(covariance)
    pivots = triangle.diagonal()
    if not failed and pivots.min() > 1e-4 * pivots.max():
        return triangle.T
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    return values[kept].sqrt()[:, None] * vectors[:, kept].T


def _distance(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> float:
    """From means and roots A, B: tr (A^T A B^T B)^(1/2) is the sum of A B^T's singular values.

    Unlike the root of the product's eigenvalues it takes no root of a rounding error: exact zeros
    come out as 1e-16 rather than 1e-8.
    """
    (mean, root), (other_mean, other_root) = one, other
    shared = torch.linalg.svdvals(root @ other_root.T).sum()
    spread = root.square().sum() + other_root.square().sum()
    return float((mean - other_mean).square().sum() + spread - 2 * shared)
