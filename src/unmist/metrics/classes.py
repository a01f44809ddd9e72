"""Which classes of the data the samples lack, and how far their shares are from the data's.

A classifier names the samples; where it errs, its own errors count as differences of shares, so
compare with its answers on real pictures rather than with their labels where that matters.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import keyed
from unmist.metrics.estimate import Estimate

__all__ = ["ClassBalance", "class_balance"]

DRAWS = 2000
LUCK = 0.05
"""A class is lost where so few samples of it come by luck in fewer than LUCK of all runs, for any
of the classes."""


@dataclass(frozen=True)
class ClassBalance:
    """How often each class came among the samples and in the data, and what to make of it.

    `missing`: classes of the data without a sample; `lost`: those with less than half of their
    share, which luck does not explain; `distance`: the total variation distance of the shares,
    half the sum of absolute differences, its floor what samples of the data's own law get at these
    numbers; `p_value`: of the chi-squared test that both follow one law.
    """

    classes: tuple[str, ...]
    samples: tuple[int, ...]
    data: tuple[int, ...]
    lost: tuple[str, ...]
    distance: Estimate
    p_value: float
    missing: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        rows = zip(self.classes, self.samples, self.data, strict=True)
        missing = tuple(name for name, ours, theirs in rows if theirs and not ours)
        object.__setattr__(self, "missing", missing)

    @property
    def shares(self) -> dict[str, tuple[float, float]]:
        """Of each class: its share of the samples and of the data."""
        n, m = sum(self.samples), sum(self.data)
        rows = zip(self.classes, self.samples, self.data, strict=True)
        return {name: (ours / n, theirs / m) for name, ours, theirs in rows}

    def __str__(self) -> str:
        there = sum(count > 0 for count in self.data)
        told = [
            f"{name} ({ours:.2%} for {theirs:.2%})"
            for name, (ours, theirs) in self.shares.items()
            if name in self.lost
        ]
        unlucky = [name for name in self.missing if name not in self.lost]
        lost = f", lost {', '.join(told)}" if told else ""
        absent = f", absent but maybe by luck {', '.join(unlucky)}" if unlucky else ""
        return (
            f"{there - len(self.missing)} of {there} classes met{lost}{absent}; "
            f"{self.distance}, p {self.p_value:.2g}"
        )


def class_balance(predicted: Tensor, labels: Tensor, classes: tuple[str, ...]) -> ClassBalance:
    """Of samples (n,) against data (m,), both int64 numbers of classes, 0 … k-1."""
    ours, theirs = _counts(predicted, len(classes)), _counts(labels, len(classes))
    n, m = float(ours.sum()), float(theirs.sum())
    expected = theirs * (n / m)
    # the chance of at most this many, by Poisson's law: a little more than the binomial one
    chance = torch.special.gammaincc(ours + 1, expected.clamp(min=1e-12))
    lost = (ours < expected / 2) & (chance < LUCK / len(classes))
    return ClassBalance(
        classes=classes,
        samples=tuple(int(count) for count in ours),
        data=tuple(int(count) for count in theirs),
        lost=tuple(name for name, gone in zip(classes, lost.tolist(), strict=True) if gone),
        distance=_distance(ours, theirs),
        p_value=_homogeneity(ours, theirs),
    )


def _counts(labels: Tensor, classes: int) -> Tensor:
    if not len(labels) or int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise BadInput(
            f"classes of {len(labels)} pictures are not all among {classes}",
            mend="leave out pictures without a class",
        )
    return torch.bincount(labels, minlength=classes).double()


def _homogeneity(ours: Tensor, theirs: Tensor) -> float:
    """Pearson's chi-squared test on the two rows of counts; 1 with a single class."""
    table = torch.stack([ours, theirs])[:, ours + theirs > 0]
    expected = table.sum(1, keepdim=True) * table.sum(0) / table.sum()
    statistic = ((table - expected).square() / expected).sum()
    freedom = table.shape[1] - 1
    if not freedom:
        return 1.0
    return float(torch.special.gammaincc(torch.tensor(freedom / 2).double(), statistic / 2))


def _distance(ours: Tensor, theirs: Tensor) -> Estimate:
    """The total variation distance; its interval by inverting the test of each true distance.

    True differences are taken along the measured ones, errors normal with the covariance of two
    multinomials (half a picture is added to each class, so that missing ones have an error too).
    """
    n, m = float(ours.sum()), float(theirs.sum())
    gap = ours / n - theirs / m
    value = float(gap.abs().sum() / 2)
    pooled = (ours + theirs) / (n + m)
    same = _errors(pooled, n, 0) - _errors(pooled, m, 1)
    apart = _errors(_smoothed(ours), n, 0) - _errors(_smoothed(theirs), m, 1)
    direction = gap / max(value, 1e-12)

    def share_below(truth: float) -> float:
        """The share of draws at a true distance whose measured one is below ours."""
        errors = same if truth == 0 else apart
        drawn = (truth * direction + errors).abs().sum(1) / 2
        return float((drawn < value).double().mean())

    return Estimate(
        name="total variation distance",
        value=value,
        low=_crossing(share_below, 0.975),
        high=_crossing(share_below, 0.025),
        floor=float(same.abs().sum(1).mean() / 2),
        count=int(n),
        reference=int(m),
        features="shares of classes",
        method="plain value; 95 % by inverting the test of each true distance",
    )


def _smoothed(counts: Tensor) -> Tensor:
    return (counts + 0.5) / (counts + 0.5).sum()


def _errors(shares: Tensor, count: float, side: int) -> Tensor:
    """Draws (DRAWS, k) of the error of shares measured on `count` pictures."""
    normal = keyed(0, "class shares", side).standard_normal((DRAWS, len(shares)))
    drawn = torch.from_numpy(normal) * shares.sqrt()
    return (drawn - shares * drawn.sum(1, keepdim=True)) / count**0.5


def _crossing(falling: Callable[[float], float], level: float) -> float:
    """Where a falling function on [0, 1] passes a level: an end where it does not."""
    low, high = 0.0, 1.0
    if falling(low) <= level:
        return low
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > level else (low, middle)
    return (low + high) / 2
