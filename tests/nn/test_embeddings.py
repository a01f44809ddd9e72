"""Clocks and positions against their sines and cosines."""

import math

import torch

from unmist.nn.embeddings import Clock, grid_positions


def test_the_clock_tells_levels_apart_and_stays_bounded():
    # fails if the slowest wave folds over -10 … 10, or the fastest cannot see a tenth
    layer = Clock(16)
    angles = torch.tensor([-10.0, 10.0])[:, None] * layer.rates
    assert angles[:, 0].abs().max() < math.pi
    assert layer.rates[-1] * 0.1 > 0.5
    wild = layer(torch.tensor([-1e6, 0.0, 1e6]))
    limit = 2**0.5 * layer.layer.weight.abs().sum(1) + layer.layer.bias.abs()
    assert (wild.abs() <= limit).all()


def test_the_clock_is_its_formula():
    # fails if sines and cosines are of other rates, or a double clock is cut before the sine
    layer = Clock(3, features=4).double()
    layer.rates = layer.rates.double()
    clock = torch.tensor([1.25], dtype=torch.float64)
    rates = [0.1, 6.0]
    waves = [math.sin(1.25 * r) for r in rates] + [math.cos(1.25 * r) for r in rates]
    hidden = layer.layer(2**0.5 * torch.tensor(waves, dtype=torch.float64))
    torch.testing.assert_close(layer(clock)[0], hidden * hidden.sigmoid(), atol=1e-7, rtol=1e-6)


def test_positions_are_waves_of_their_own_axis():
    # fails if axes share columns or the grid is read in another order
    table = grid_positions((3, 5), 8)
    for row in range(3):
        for column in range(5):
            waves = [
                f(n * r) for n in (row, column) for f in (math.sin, math.cos) for r in (1, 0.01)
            ]
            torch.testing.assert_close(table[5 * row + column], torch.tensor(waves))


def test_positions_of_a_large_grid_continue_a_small_one_and_fill_odd_widths():
    # fails if positions are scaled by the size, or a width that does not divide is refused
    small, large = grid_positions((3, 3), 10), grid_positions((9, 3), 10)
    assert torch.equal(small, large[:9])
    assert not small[:, 8:].any()
    assert len(small.unique(dim=0)) == 9
