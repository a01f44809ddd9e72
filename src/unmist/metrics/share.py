"""Intervals of shares."""

from math import sqrt

__all__ = ["wilson"]


def wilson(share: float, count: float, reach: float = 1.96) -> tuple[float, float]:
    """Where the true share lies, given one in [0, 1] of `count` independent cases.

    Wilson (1927); `reach` is the quantile, 1.96 for 95 %. Never empty, also at 0 and 1; `count` may
    be a fraction, as that of dependent cases over their design effect.
    """
    shrink = 1 + reach**2 / count
    centre = (share + reach**2 / (2 * count)) / shrink
    half = reach / shrink * sqrt(share * (1 - share) / count + reach**2 / (4 * count**2))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))
