"""The level at which a set of samples is half hidden, against what is known in closed form."""

import math

import numpy as np
import pytest
import torch

from unmist.base.noise import keyed
from unmist.core.exact import Points
from unmist.core.hiding import half_hidden
from unmist.core.level import Level


def drawn(*shape: int) -> torch.Tensor:
    return torch.from_numpy(keyed(0, "hiding").standard_normal(shape)).float()


def test_two_points_are_half_hidden_where_a_quadrature_says() -> None:
    """Fails if the level is off by a tenth: at +-a the mean is a*tanh(a*x/sigma^2)."""
    places, weights = np.polynomial.hermite_e.hermegauss(200)
    weights /= weights.sum()

    def known(sigma: float) -> float:
        mean = np.tanh((1 + sigma * places) / sigma**2)
        return float(1 - weights @ (mean - 1) ** 2)

    low, high = 0.01, 100.0
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if known(middle) > 0.5 else (low, middle)
    exact = low
    found = half_hidden(torch.tensor([[3.0, 4.0], [-3.0, -4.0]]))
    assert found == pytest.approx(5 * exact, rel=0.1)  # of 512 draws


def test_half_of_the_variance_is_what_the_exact_denoiser_has_at_this_level() -> None:
    """Fails if the noise that is drawn in the span of the samples is not that of all cells."""
    x0 = drawn(64, 3, 8, 8)
    noise = torch.from_numpy(keyed(1, "other").standard_normal((16, *x0.shape))).float()

    def known(sigma: float) -> float:
        level = Level(torch.tensor(1.0), torch.tensor(sigma))
        mean = torch.cat([Points(x0)(x0 + sigma * part, level) for part in noise])
        missed = (mean - x0.repeat(16, 1, 1, 1)).square().sum() / 16
        return 1 - float(missed / (x0 - x0.mean(0)).square().sum())

    found = half_hidden(x0)
    assert known(0.9 * found) > 0.5 > known(1.1 * found)


@pytest.mark.parametrize(("times", "axes"), [(2, 1), (2, 2), (3, 2), (2, 3)])
def test_cells_that_say_the_same_need_noise_by_the_root_of_their_number(
    times: int, axes: int
) -> None:
    """Fails if it is not the shift by resolution: pictures twice as large need twice the noise."""
    small = drawn(40, 2, *(4,) * axes)
    large = small
    for axis in range(2, 2 + axes):
        large = large.repeat_interleave(times, axis)
    assert half_hidden(large) == pytest.approx(times ** (axes / 2) * half_hidden(small), rel=1e-4)


def test_the_unit_of_the_data_is_the_unit_of_the_answer_and_a_shift_is_nothing() -> None:
    """Fails if the mean is taken for spread, or the search has a unit of its own."""
    x0 = drawn(40, 5)
    assert half_hidden(7 * x0 + 100) == pytest.approx(7 * half_hidden(x0), rel=1e-3)


@pytest.mark.parametrize("x0", [torch.ones(1, 3), torch.full((9, 3), 0.1), torch.zeros(4, 2)])
def test_samples_that_do_not_differ_hide_nothing(x0: torch.Tensor) -> None:
    """Fails if rounding of a mean is taken for a difference."""
    assert math.isnan(half_hidden(x0))
