import numpy as np
import pytest
from pictures import colourful

from unmist.data.fit import default_size, enlarged, fitted, with_channels
from unmist.data.reading import PLAIN, Reading

PAD = Reading(fit="pad", background="#0a141e")


def test_the_right_size_is_left_alone():
    """Fails if pictures already of the size are resampled."""
    pixels = colourful(16)
    assert fitted(pixels, (16, 16), PLAIN) is pixels


def test_reducing_averages_rather_than_picks():
    """Fails if a fine chequerboard aliases: its mean is 127.5 everywhere away from the border."""
    board = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    small = fitted(board, (16, 16), PLAIN)
    assert np.abs(small.astype(float) - 127.5).max() <= 2


def test_a_ramp_keeps_its_place():
    """Fails if reducing shifts the picture: a ramp's value at a new pixel's centre is known."""
    ramp = np.arange(240, dtype=np.uint8)[None, :, None].repeat(60, 0)
    small = fitted(ramp, (15, 60), Reading(fit="stretch"))
    exact = (np.arange(60) + 0.5) * 4 - 0.5
    assert np.abs(small[7, 3:-3, 0] - exact[3:-3]).max() <= 0.6


def test_crop_takes_the_middle():
    """Fails if the crop is off centre or keeps the sides: bars of 20, 24 and 20 columns."""
    bars = np.repeat(np.array([10, 200, 90], np.uint8), [20, 24, 20])[None, :, None].repeat(24, 0)
    assert (fitted(bars, (24, 24), PLAIN) == 200).all()
    assert (fitted(bars.transpose(1, 0, 2), (24, 24), PLAIN) == 200).all()
    assert abs(int(fitted(bars, (12, 12), PLAIN).mean()) - 200) <= 1


def test_pad_shows_everything_on_the_background():
    """Fails if padding cuts, enlarges, or fills with anything but the stated colour."""
    wide = np.full((10, 40, 3), 77, np.uint8)
    small = fitted(wide, (20, 20), PAD)
    assert (small[8:13, :, 0][:-1] == 77).all() or (small[7:12] == 77).all()
    assert (small == 77).all(-1).sum() == 5 * 20
    assert small[0, 0].tolist() == [10, 20, 30]
    tiny = fitted(np.full((2, 2, 1), 9, np.uint8), (6, 6), Reading(fit="pad"))
    assert tiny.shape == (6, 6, 1)
    assert (tiny == 9).sum() == 4
    assert (tiny == 255).sum() == 32


def test_a_strip_is_cropped_before_it_is_enlarged():
    """Fails if a 1x20000 strip is first scaled whole: it would want 4 gigabytes."""
    strip = np.full((1, 20_000, 3), 120, np.uint8)
    assert (fitted(strip, (64, 64), PLAIN) == 120).all()


def test_small_originals_are_known():
    """Fails if a picture enlarged by the crop is not counted, or one merely padded is."""
    assert enlarged((63, 500), (64, 64), "crop")
    assert not enlarged((64, 500), (64, 64), "crop")
    assert not enlarged((63, 500), (64, 64), "pad")
    assert enlarged((63, 60), (64, 64), "pad")


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        ([(28, 28)] * 3, (28, 28)),
        ([(20, 48)] * 3, (20, 48)),
        ([(512, 768)] * 9, (64, 64)),
        ([(45, 90), (50, 60), (47, 47)], (40, 40)),
        ([(5, 9), (6, 6), (7, 30)], (6, 6)),
        ([], (64, 64)),
    ],
)
def test_the_default_size_comes_from_the_data(sizes, chosen):
    """Fails if the policy in the docstring and the code part ways."""
    assert default_size(sizes) == chosen


def test_colour_to_grey_is_the_luma():
    """Fails if channels are averaged: Rec. 601 gives 0.299, 0.587, 0.114."""
    pixels = colourful()
    exact = pixels @ np.array([0.299, 0.587, 0.114])
    assert np.abs(with_channels(pixels, 1)[..., 0] - exact).max() <= 0.51
    assert (with_channels(with_channels(pixels, 1), 3) == with_channels(pixels, 1)).all()
