import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput, Diverged
from unmist.codecs.family import codecs
from unmist.codecs.pixels import Pixels
from unmist.data.opening import open_data


def test_measured_on_the_digits_gives_mean_zero_and_spread_one():
    """Fails if mean or spread are assumed, measured on other rows, or in another unit."""
    data = open_data("digits")
    rows = data.values[data.train]
    codec = Pixels.measure(rows)
    assert codec.mean[0] == pytest.approx(rows.astype(np.float64).mean(), rel=1e-12)
    assert codec.spread[0] == pytest.approx(rows.astype(np.float64).std(), rel=1e-9)
    x = codec.encode(torch.from_numpy(rows)).double()
    assert x.mean().abs() < 1e-6
    assert abs(x.std(correction=0) - 1) < 1e-6


def test_each_channel_has_its_own_mean_and_spread():
    """Fails if channels are pooled: red varies by 1, green by 50, blue not at all."""
    red, green, blue = np.array([9, 11]), np.array([50, 150]), np.array([7, 7])
    values = np.stack([red, green, blue], 1).astype(np.uint8)[..., None, None]
    assert Pixels.measure(values) == Pixels((10.0, 100.0, 7.0), (1.0, 50.0, 1.0))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_round_trip_is_within_half_a_level(axes):
    """Fails if decode truncates instead of rounding, or clips too early: every level, any axes."""
    levels = torch.arange(256, dtype=torch.uint8).repeat(4).reshape(2, 2, *_shape(axes))
    codec = Pixels((33.3, 201.7), (78.9, 0.013))
    assert torch.equal(codec.decode(codec.encode(levels)), levels)
    off = codec.encode(levels) + 0.49 / torch.tensor(codec.spread).reshape(2, *[1] * axes)
    assert (codec.decode(off).int() - levels.int()).abs().max() <= 1


def _shape(axes):
    return {1: (256,), 2: (16, 16), 3: (4, 8, 8)}[axes]


def test_decode_clips_to_the_levels_there_are():
    """Fails if a sample beyond white wraps around to black."""
    far = torch.tensor([[[-1e6, 1e6]]])
    assert Pixels((100.0,), (50.0,)).decode(far).tolist() == [[[0, 255]]]


def test_samples_that_are_not_finite_are_refused():
    """Fails if NaN becomes a black pixel without a word."""
    x = torch.zeros(3, 1, 2, 2)
    x[1, 0, 0, 0] = torch.nan
    with pytest.raises(Diverged, match="1 of 3 samples are not finite"):
        Pixels((0.0,), (1.0,)).decode(x)


@pytest.mark.parametrize(
    ("mean", "spread"),
    [((), ()), ((1.0,), (1.0, 2.0)), ((1.0,), (0.0,)), ((float("nan"),), (1.0,))],
)
def test_impossible_settings_are_refused(mean, spread):
    """Fails if a spread of 0 or a missing channel gets as far as a division."""
    with pytest.raises(BadInput, match="codec pixels"):
        Pixels(mean, spread)


def test_a_colour_batch_through_a_grey_codec_is_refused():
    """Fails if broadcasting hides the wrong number of channels."""
    with pytest.raises(BadInput, match="3 channels, the codec knows 1"):
        Pixels((0.0,), (1.0,)).encode(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))


def test_the_family_knows_it_by_name():
    """Fails if a recipe that says `pixels` finds something else."""
    assert codecs["pixels"] is Pixels
