import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.data.opening import open_data
from unmist.metrics.alike import alike


@pytest.fixture(scope="module")
def digits():
    """Real digits in two parts: strangers that stand for samples, and real ones."""
    values = np.asarray(open_data("digits").values)
    order = np.random.default_rng(0).permutation(len(values))
    return [torch.from_numpy(values[part]) for part in np.split(order, [400, 1000])[:2]]


def _features(pictures):
    """Means of 4x4 cells: any features serve."""
    return torch.nn.functional.avg_pool2d(pictures.float(), 4).flatten(1)


def _judge(samples, real, **settings):
    return alike(*((part, _features(part)) for part in (samples, real)), **settings)


def test_real_pictures_are_no_more_alike_than_real_ones(digits):
    """Fails if the two sides are judged otherwise, or if more real ones lower the threshold."""
    found = _judge(*digits)
    assert found.share.holds(found.share.floor)
    assert 0.005 <= found.share.floor <= 0.0101
    assert found.share.count == 400
    assert found.share.high < 0.06


@pytest.mark.parametrize("noise", [0, 12])
def test_repeated_samples_are_seen(digits, noise):
    """Fails if repeats hide among each other: one picture forty times, two twice, with noise."""
    samples, real = digits[0].clone(), digits[1]
    samples[10:50] = samples[10]
    samples[60], samples[62] = samples[61], samples[63]
    moved = samples + noise * torch.from_numpy(
        np.random.default_rng(1).normal(size=tuple(samples.shape))
    )
    found = _judge(moved.round().clamp(0, 255).to(torch.uint8), real)
    assert found.share.low > 0.05 > found.share.floor
    assert abs(found.share.value - 0.11) < 0.03
    assert set(range(10, 50)) <= {row for group in found.groups for row in group}
    assert {60, 61} in map(set, found.groups)
    if not noise:
        assert found.groups[0] == tuple(range(10, 50))
        assert max(pair.ratio for pair in found.pairs[:20]) == 0


def test_pairs_come_once_and_nearest_first(digits):
    """Fails if a pair is shown from both its ends, or the order is lost."""
    samples, real = digits[0].clone(), digits[1]
    samples[5] = samples[7]
    found = _judge(samples, real)
    assert {found.pairs[0].sample, found.pairs[0].other} == {5, 7}
    ratios = [pair.ratio for pair in found.pairs]
    assert ratios == sorted(ratios)
    ends = [frozenset((pair.sample, pair.other)) for pair in found.pairs]
    assert len(set(ends)) == len(ends)


def test_the_interval_holds_over_draws():
    """Fails if twins are counted as independent or the threshold as known: 50 draws from a law that
    repeats itself, 88 % hold the mean share."""
    shares = []
    for seed in range(50):
        draw = np.random.default_rng((2, seed))
        samples, real = draw.normal(size=(2, 200, 6))
        samples[draw.random(200) < 0.1] = 0.5
        sides = [
            (
                torch.from_numpy(x * 20 + 128).clamp(0, 255).to(torch.uint8)[:, None],
                torch.from_numpy(x).float(),
            )
            for x in (samples, real)
        ]
        shares.append(alike(*sides, level=0.02).share)
    truth = np.mean([share.value for share in shares])
    assert truth > 0.09
    assert np.mean([share.holds(truth) for share in shares]) >= 0.88
    assert np.mean([share.high - share.low for share in shares]) < 0.15


def test_a_model_of_two_pictures(digits):
    """Fails if the interval opens again where every sample is repeated."""
    found = _judge(digits[0][:2].repeat_interleave(150, 0), digits[1])
    assert 0.97 < found.share.low < found.share.high == 1
    assert found.groups == (tuple(range(150)), tuple(range(150, 300)))


def test_too_few_pictures_are_refused(digits):
    """Fails if half a percent is read from a hundred pictures."""
    with pytest.raises(BadInput, match="100 pictures cannot place"):
        _judge(digits[0][:100], digits[1])
    with pytest.raises(BadInput, match="level 1"):
        _judge(*digits, level=1)
