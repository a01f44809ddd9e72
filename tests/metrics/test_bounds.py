import numpy as np
import pytest

from unmist.metrics.bounds import squared_bounds


@pytest.mark.parametrize("width", [1, 5, 60])
@pytest.mark.parametrize("truth", [0.0, 0.3, 3.0, 40.0])
def test_squares_of_normal_numbers(width, truth):
    """Fails if the interval of |m + e|^2 - E |e|^2, e of variance 1 / width an axis, misses |m|^2
    in more than a tenth of 4,000 draws or in fewer than one in fifty, at 0, near it or far."""
    draw = np.random.default_rng(0).normal(size=(4000, width)) * width**-0.5
    draw[:, 0] += truth**0.5
    held = 0
    for value in (draw**2).sum(1) - 1:
        single = 4 * value / width
        low, high = squared_bounds(value, single, 2 / width, 1.0, 1.96)
        assert low <= value <= high
        held += low <= truth <= high
    assert 0.90 <= held / 4000 <= 0.98


def test_without_any_noise_the_interval_is_the_value():
    """Fails if equal rows, whose error is 0, divide by it."""
    assert squared_bounds(2.0, 0.0, 0.0, 0.0, 1.96) == (2.0, 2.0)
