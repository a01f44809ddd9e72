import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torchmetrics.image.fid import FrechetInceptionDistance

from unmist.base.faults import BadInput
from unmist.metrics.frechet import (
    Moments,
    frechet_distance,
    frechet_of_moments,
    frechet_score,
)


def _draw(count, width, seed, scale=1.0):
    draw = np.random.default_rng(seed)
    mix = draw.normal(size=(width, width)) / width**0.5
    rows = draw.normal(size=(count, width)) @ mix * scale + draw.normal(size=width)
    return torch.from_numpy(rows)


def _plain(one, other):
    """The textbook formula with scipy's matrix root."""
    c, k = np.cov(one.numpy().T), np.cov(other.numpy().T)
    gap = one.numpy().mean(0) - other.numpy().mean(0)
    return float(gap @ gap + np.trace(c + k - 2 * np.real(sqrtm(c @ k))))


def _law(mean, covariance):
    """Moments of a Gaussian itself rather than of draws from it."""
    return Moments(2, mean, covariance)


def test_known_gaussians_that_commute():
    """Fails if a term, a sign or the root is wrong: |m|^2 + sum (s - s')^2 for diagonal ones."""
    s, k = torch.tensor([0.5, 2.0, 3.0]).double(), torch.tensor([1.5, 0.1, 3.0]).double()
    mean = torch.tensor([1.0, -2.0, 0.5]).double()
    law = frechet_of_moments(
        _law(mean, torch.diag(s**2)), _law(torch.zeros(3).double(), torch.diag(k**2))
    )
    assert law == pytest.approx(float((mean**2).sum() + ((s - k) ** 2).sum()), rel=1e-13)


def test_known_gaussians_that_do_not_commute():
    """Fails if the root is taken of the covariances apart: in two dimensions tr (C K)^(1/2) is
    sqrt(tr C K + 2 sqrt(det C K))."""
    c = torch.tensor([[2.0, 0.9], [0.9, 0.5]]).double()
    k = torch.tensor([[1.0, -0.7], [-0.7, 3.0]]).double()
    product = c @ k
    root = (product.trace() + 2 * torch.linalg.det(product).sqrt()).sqrt()
    zero = torch.zeros(2).double()
    expected = float(c.trace() + k.trace() - 2 * root)
    assert frechet_of_moments(_law(zero, c), _law(zero, k)) == pytest.approx(expected, rel=1e-13)


def test_draws_approach_the_distance_of_their_laws():
    """Fails if the estimate has another limit: 200,000 draws in two dimensions, 5 deviations."""
    draw = np.random.default_rng(0)
    one = torch.from_numpy(draw.normal(size=(200_000, 2)))
    other = torch.from_numpy(draw.normal(size=(200_000, 2)) * [2.0, 0.5] + [1.0, 0.0])
    assert frechet_distance(one, other) == pytest.approx(1 + 1 + 0.25, abs=0.03)


@pytest.mark.parametrize(("counts", "width"), [((300, 200), 40), ((20, 30), 64), ((20, 300), 64)])
def test_both_forms_equal_the_textbook(counts, width):
    """Fails if the Gram form, the direct one or the mixed case differs from scipy's root."""
    one, other = _draw(counts[0], width, 1), _draw(counts[1], width, 2, 1.5)
    direct = frechet_of_moments(Moments.of(one), Moments.of(other))
    assert frechet_distance(one, other) == pytest.approx(direct, rel=1e-10)
    # scipy's root of a singular product is itself only good to about 1e-6
    assert frechet_distance(one, other) == pytest.approx(_plain(one, other), rel=1e-5)


def test_short_ranks():
    """Fails if zero eigenvalues turn into 1e-8 each, NaN or a refusal: constant features, and
    laws on two lines at a right angle, which share nothing."""
    one, other = torch.zeros(50, 6).double(), torch.zeros(50, 6).double()
    line = torch.linspace(-1, 1, 50).double()
    one[:, 0], other[:, 1] = line, 2 * line
    variance = float(line.var())
    for first, second in ((one, other), (one[:, :2], other[:, :2])):
        assert frechet_distance(first, second) == pytest.approx(5 * variance, rel=1e-12)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-14)
    wide = torch.cat([_draw(400, 5, 3), torch.ones(400, 300)], 1)
    assert frechet_distance(wide, wide) == pytest.approx(0, abs=1e-11)


def test_streaming_equals_whole():
    """Fails if merging loses the gap between the parts' means, or weighs parts alike."""
    x = _draw(1000, 12, 4) + 1e3
    x[:100] += 50
    whole, parts = Moments.of(x), Moments.over(x.split([100, 1, 399, 500]))
    assert parts.count == 1000
    torch.testing.assert_close(parts.mean, whole.mean, rtol=1e-14, atol=0)
    torch.testing.assert_close(parts.covariance, whole.covariance, rtol=1e-11, atol=1e-11)
    expected = torch.from_numpy(np.cov(x.numpy().T))
    torch.testing.assert_close(parts.covariance, expected, rtol=1e-11, atol=1e-11)


def test_taking_away_is_the_inverse_of_merging():
    """Fails if a part's rows leave a trace, or the moments of no rows change what they meet."""
    one, other = (Moments.of(_draw(40, 5, seed) + 100) for seed in (20, 21))
    back = one.merged(other).without(other)
    assert back.count == 40
    torch.testing.assert_close(back.mean, one.mean, rtol=1e-13, atol=0)
    torch.testing.assert_close(back.scatter, one.scatter, rtol=1e-10, atol=1e-9)
    none = Moments.none(5)
    assert none.merged(one) is one.merged(none) is one
    assert none.merged(none).count == 0


@pytest.mark.parametrize("least", [1e-3, 1e-7, 1e-9, 1e-12])
def test_nearly_short_ranks_keep_their_digits(least):
    """Fails if the triangular root is taken where its pivots are rounding errors: known laws whose
    deviations fall to `least`, in axes of their own, within 1e-7 of the closed form."""
    axes = torch.linalg.qr(_draw(12, 12, 22))[0]
    s = torch.logspace(0, float(np.log10(least)), 12).double()
    zero = torch.zeros(12).double()
    law = frechet_of_moments(
        _law(zero, axes * s**2 @ axes.T), _law(zero, axes * (s.flip(0)) ** 2 @ axes.T)
    )
    assert law == pytest.approx(float((s - s.flip(0)).square().sum()), rel=1e-7)


class _Flat(torch.nn.Module):
    num_features = 12

    def forward(self, x):
        return x.flatten(1).double() / 255


@pytest.mark.filterwarnings("ignore")
def test_torchmetrics_gives_the_same():
    """Fails if our distance is not the one others report in the same features."""
    draw = np.random.default_rng(5)
    real = torch.from_numpy(draw.integers(0, 256, (300, 3, 2, 2), dtype=np.uint8))
    fake = torch.from_numpy((draw.beta(2, 4, (250, 3, 2, 2)) * 255).astype(np.uint8))
    other = FrechetInceptionDistance(feature=_Flat(), input_img_size=(3, 2, 2))
    other.set_dtype(torch.float64)
    other.update(real, real=True)
    other.update(fake, real=False)
    ours = frechet_distance(_Flat()(fake), _Flat()(real))
    assert ours == pytest.approx(float(other.compute()), abs=1e-9)


def test_the_floor_is_what_real_pictures_get():
    """Fails if the floor is at another size: samples of the data's own law have an excess near
    zero at 100 and at 400, though the values themselves differ fourfold."""
    law = [torch.from_numpy(np.random.default_rng(s).normal(size=(2000, 24))) for s in range(3)]
    few, many = (frechet_score(law[0][:n], law[1], law[2], features="numbers") for n in (100, 400))
    assert few.value > 2 * many.value
    for score in (few, many):
        assert abs(score.excess) < 5 * score.floor_spread
        assert score.excess == score.value - score.floor
    assert (few.count, few.reference, few.floor_draws, few.width) == (100, 2000, 20, 24)


def test_floor_draws_are_disjoint_and_of_the_stated_size():
    """Fails if the floor is bootstrapped: with all training rows in one draw it is one distance."""
    train, held = _draw(50, 4, 6), _draw(40, 4, 7)
    score = frechet_score(_draw(80, 4, 8), train, held, features="numbers")
    assert (score.count, score.floor_draws) == (50, 1)
    assert score.floor == pytest.approx(frechet_distance(train, held), rel=1e-12)
    assert score.value == pytest.approx(frechet_distance(_draw(80, 4, 8)[:50], held), rel=1e-12)


def test_only_inception_is_called_fid():
    """Fails if a number in our own features can be mistaken for a published FID."""
    x = _draw(30, 4, 9)
    assert frechet_score(x, x, x, features="labels-12345678").name == "Fréchet distance"
    assert frechet_score(x, x, x, features="inception").name == "FID"


def test_refusals():
    """Fails if one picture, or features of two kinds, give a number."""
    with pytest.raises(BadInput, match="covariance of 1"):
        frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3))
    with pytest.raises(BadInput, match="3 features against 4"):
        frechet_distance(torch.zeros(5, 3), torch.zeros(5, 4))
