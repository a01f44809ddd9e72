import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.metrics.frechet import Moments, frechet_distance, frechet_of_moments
from unmist.metrics.frechet_limit import frechet_limit, quadratic_part
from unmist.metrics.grouped import Groups


def _law(width, seed, scale=1.0):
    draw = np.random.default_rng(seed)
    root = draw.normal(size=(width, width)) / width**0.5 * scale
    return draw.normal(size=width) * 0.3, root


def _rows(law, count, seed):
    mean, root = law
    normal = np.random.default_rng(seed).normal(size=(count, len(root)))
    return torch.from_numpy(normal @ root + mean)


def _truth(one, other):
    laws = [
        Moments(2, torch.from_numpy(mean), torch.from_numpy(root.T @ root))
        for mean, root in (one, other)
    ]
    return frechet_of_moments(*laws)


def _limit(one, other, groups=20):
    return frechet_limit(
        Groups.over([one], count=groups), Groups.over([other], count=groups), features="numbers"
    )


def test_the_limit_is_free_of_bias_where_the_plain_value_is_not():
    """Fails if the bias of 80 rows in 8 features is not taken away: mean of 40 draws within four
    errors of the truth, from which the plain mean is ten away, and 33 intervals that hold it."""
    one = _law(8, 0)
    other = one[0] + 0.1, one[1] * 1.1
    truth = _truth(one, other)
    draws = [(_rows(one, 80, 2 * s), _rows(other, 90, 2 * s + 1)) for s in range(40)]
    found = [_limit(*pair, groups=10) for pair in draws]
    values = torch.tensor([estimate.value for estimate in found])
    plain = sum(frechet_distance(*pair) for pair in draws) / 40
    error = float(values.std()) / 40**0.5
    assert plain - truth > 10 * error
    assert abs(float(values.mean()) - truth) < 4 * error
    assert sum(estimate.holds(truth) for estimate in found) >= 33


def test_equal_laws_are_at_distance_zero():
    """Fails if the quadratic part is counted twice, or not at all: the interval's half must be
    1.6 to 2.9 deviations over 40 draws of one law, and hold 0 in 33."""
    law = np.zeros(8), np.eye(8)
    found = [_limit(_rows(law, 160, 2 * s), _rows(law, 160, 2 * s + 1)) for s in range(40)]
    values = torch.tensor([estimate.value for estimate in found])
    halves = torch.tensor([(estimate.high - estimate.low) / 2 for estimate in found])
    assert abs(float(values.mean())) < 4 * float(values.std()) / 40**0.5
    assert 1.6 < float(halves.mean() / values.std()) < 2.9
    assert sum(estimate.holds(0) for estimate in found) >= 33


def test_the_quadratic_part_is_its_variance():
    """Fails if weights or axes are wrong: for equal laws N(0, I) in d features the distance's
    quadratic part is a quarter of the squared difference of the covariances and the squared one
    of the means, a sum of squares of independent normal numbers."""
    width, count = 4, 2000
    law = np.zeros(width), np.eye(width)
    found = [
        quadratic_part(*(Groups.over([_rows(law, count, 2 * s + side)]) for side in (0, 1)))
        for s in range(20)
    ]
    # off the diagonal 6 entries of weight 1/2 and variance 2/n, on it 4 of weight 1/4 and 4/n
    expected = 2 * (6 * (0.5 * 2) ** 2 + 4 * (0.25 * 4) ** 2 + width * 2**2) / count**2
    assert sum(found) / 20 == pytest.approx(expected, rel=0.15)


def test_constant_features_change_nothing():
    """Fails if short ranks turn into NaN, noise or a refusal: eight constants on both sides, and
    features that vary on one side only, which add their variance."""
    one, other = _rows(_law(6, 4), 200, 0), _rows(_law(6, 5), 200, 1)
    plain = _limit(one, other)
    ones = torch.ones(200, 8)
    wide = _limit(torch.cat([one, ones], 1), torch.cat([other, ones], 1))
    assert wide.value == pytest.approx(plain.value, rel=1e-8)
    assert wide.high == pytest.approx(plain.high, rel=1e-6)
    noise = _rows(_law(1, 6), 200, 2)
    half = _limit(torch.cat([one, noise], 1), torch.cat([other, noise * 0], 1))
    added = float(noise.var() + noise.mean() ** 2)
    assert half.value == pytest.approx(plain.value + added, rel=0.02)
    assert np.isfinite(half.low + half.high)


def test_few_samples_are_told_or_refused():
    """Fails if a number comes from fewer rows than two a feature, or from three a feature
    without a word."""
    law = _law(16, 7)
    assert "few samples: 50 rows for 16" in _limit(_rows(law, 50, 0), _rows(law, 500, 1)).method
    assert "few" not in _limit(_rows(law, 200, 0), _rows(law, 500, 1)).method
    for count in (30, 16):
        with pytest.raises(BadInput, match=f"{count} pictures are too few"):
            _limit(_rows(law, 500, 1), _rows(law, count, 0), groups=10)
    with pytest.raises(BadInput, match="least of 0 rows"):
        _limit(_rows(law, 500, 1), _rows(law, 16, 0))
    with pytest.raises(BadInput, match="4 groups"):
        _limit(_rows(law, 500, 1), _rows(law, 500, 0), groups=4)
    with pytest.raises(BadInput, match="16 features against 20 of 5"):
        frechet_limit(
            Groups.over([_rows(law, 500, 1)]),
            Groups.over([_rows(_law(5, 0), 500, 1)]),
            features="numbers",
        )


def test_it_says_what_it_is():
    """Fails if the plain value, the sizes or the name are lost."""
    one, other = _rows(_law(5, 8), 100, 0), _rows(_law(5, 9), 120, 1)
    found = _limit(one, other)
    assert (found.name, found.count, found.reference) == ("Fréchet distance", 100, 120)
    assert f"{frechet_distance(one, other):.4g}" in found.method
    groups = [Groups.over([part]) for part in (one, other)]
    assert frechet_limit(*groups, features="inception").name == "FID"
