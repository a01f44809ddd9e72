"""Slide 1's row against the forward process computed beside it."""

import math

import numpy as np
import pytest
from PIL import Image

from unmist.base.faults import BadInput
from unmist.core.schedules import Cosine, Exploding, Flow
from unmist.core.table import Table
from unmist.workflows.look_noise import labelled, noise_row, opened_picture


def picture(channels=1, side=48):
    down, right = np.mgrid[0:side, 0:side] / side
    waves = [np.sin(9 * down + k) * np.cos(7 * right) for k in range(channels)]
    return ((np.stack(waves) + 1) * 127).astype(np.uint8)


@pytest.mark.parametrize("schedule", [Cosine(), Flow(), Exploding(), Table()])
def test_the_noise_has_the_variance_that_sigma_says(schedule):
    """Fails if sigma is exchanged with its square, or the noise is not of unit variance."""
    row = noise_row(picture(3), schedule, steps=9, seed=4)
    assert row.pixels.shape == (9, 3, 48, 48)
    for column in row.columns[1:]:
        assert abs(column.noise_variance - column.sigma**2) < 4.5 * column.variance_error
        assert column.log_snr == pytest.approx(
            2 * math.log(column.alpha / column.sigma) if column.alpha else -math.inf
        )


def test_the_ends_and_the_times():
    """Fails if the clean picture is touched, the last is not the top, or times are not even."""
    row = noise_row(picture(), Cosine(), steps=5)
    assert np.array_equal(row.pixels[0], picture())
    assert [column.time for column in row.columns] == [0, 0.25, 0.5, 0.75, 1]
    assert (row.columns[0].alpha, row.columns[0].sigma) == (1, 0)
    assert (row.columns[-1].alpha, row.columns[-1].sigma) == (0, 1)
    # alpha at t = 1/2 by Nichol & Dhariwal's formula, written out
    start = 0.008 / 1.008 * math.pi / 2
    half = math.cos((0.5 + 0.008) / 1.008 * math.pi / 2) / math.cos(start)
    assert row.columns[2].alpha == pytest.approx(half, rel=1e-12)


def test_the_same_seed_draws_the_same_row():
    """Fails if the noise does not depend on the seed alone."""
    rows = [noise_row(picture(), Flow(), steps=3, seed=seed).pixels for seed in (1, 1, 2)]
    assert np.array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])


def test_the_picture_has_room_for_all_columns():
    """Fails if labels cover a picture or a column is cut off."""
    row = noise_row(picture(side=48), Flow(), steps=4)
    page = labelled(row)
    assert page.shape == (3, 48 * 3 + 74, 4 * 144 + 3 * 4)
    assert np.array_equal(page[0, : 48 * 3 : 3, : 48 * 3 : 3], picture()[0])
    under = page[:, 48 * 3 :]
    assert all((under[:, :, 148 * k : 148 * k + 144] < 100).sum() > 200 for k in range(4))


def test_large_pictures_are_reduced_and_kinds_kept(tmp_path):
    """Fails if a grey picture becomes colour, or a large one is noised at full size."""
    Image.fromarray(picture(side=500)[0]).save(tmp_path / "grey.png")
    Image.new("RGB", (30, 20), (200, 10, 10)).save(tmp_path / "red.png")
    assert opened_picture(tmp_path / "grey.png").shape == (1, 192, 192)
    red = opened_picture(tmp_path / "red.png")
    assert red.shape == (3, 20, 30)
    assert red[:, 3, 3].tolist() == [200, 10, 10]


def test_a_row_of_one_is_refused():
    """Fails if there is a row without both its ends, or one that fills the memory."""
    for steps in (1, 65):
        with pytest.raises(BadInput):
            noise_row(picture(), Flow(), steps=steps)
