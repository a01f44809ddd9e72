"""Intervals of squared distances, whose error changes its nature where the laws are equal."""

from math import sqrt

__all__ = ["squared_bounds"]


def squared_bounds(
    value: float, single: float, pairs: float, bias: float, point: float
) -> tuple[float, float]:
    """All true values t that a measured one does not contradict: |value - t| <= point * deviation.

    Such a value is |m + e|^2 without its bias E |e|^2: its variance is `pairs`, of |e|^2, and
    `single`, of 2 m . e, which grows with |m|^2 = t (Wilson 1927 for this kind of interval). So 0
    is judged by `pairs` alone. The growth is single / value, drawn towards what noise of the same
    directions has, 2 * pairs / bias, as far as the value is not above its noise.
    """
    noise = sqrt(pairs)
    usual = 2 * pairs / bias if bias > 0 else 0.0
    growth = (max(single, 0.0) + usual * noise) / (max(value, 0.0) + noise) if noise else 0.0
    low, high = value - point * noise, value + point * noise
    root = (point * growth / 2) ** 2 + growth * value + pairs
    if root > 0 and high > 0:
        middle, reach = value + point**2 * growth / 2, point * sqrt(root)
        low, high = (low if low <= 0 else middle - reach), middle + reach
    return low, high
