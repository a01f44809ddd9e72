"""Denoisers: scale-free, true to independent computations, and the exact mode to the bit."""

import math

import core_laws as laws
import pytest
import torch

from unmist.core.condition import Cond, Tokens
from unmist.core.denoiser import Chunked, NetDenoiser, Within, steer
from unmist.core.exact import Gaussian, Mixture, Points
from unmist.core.level import NOISE, Level
from unmist.core.plan import descend
from unmist.core.prediction import Edm, Eps, Velocity
from unmist.core.schedules import Exploding, Flow
from unmist.core.solver import Euler, Heun, Multistep
from unmist.core.spacing import Karras, Logistic
from unmist.core.walk import final, serve, trace, walk

POINTS = Points(laws.normal(20, 2, seed=8))
CLOSED = {
    "mixture": laws.mixture(),
    "gaussian": Gaussian(torch.tensor([0.3, -1.0]), torch.tensor([[1.0, 0.4], [0.4, 0.5]])),
    "points": POINTS,
    "within": Within(laws.mixture(), 0.1, 5.0),
    "steered": steer(laws.mixture(), lambda x, at: -(x / at.like(x).alpha).pow(2).sum(1)),
}
LEVELS = Level(torch.tensor([1.0, 0.7, 0.05, 1.0]), torch.tensor([0.02, 0.7, 1.0, 60.0]))


@pytest.mark.parametrize("name", CLOSED)
def test_scale_free(name):
    # fails if D(c*x, c*level) is not D(x, level)
    x = laws.normal(4, 2)
    mean = CLOSED[name](x, LEVELS)
    for c in (0.01, 30.0):
        scaled = CLOSED[name](c * x, Level(c * LEVELS.alpha, c * LEVELS.sigma))
        torch.testing.assert_close(scaled, mean, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["mixture", "points"])
def test_mean_by_brute_force(name):
    # fails if the mean is not the average of the data under p(x0 | x_t): 300,000 weighted draws
    exact, level = CLOSED[name], Level(torch.tensor(0.8), torch.tensor(0.7))
    data, x = exact.sample(300_000, seed=2), laws.normal(5, 2)
    for row in x:
        fit = -((row - level.alpha * data) ** 2).sum(1) / (2 * level.sigma**2)
        share = fit.softmax(0)
        want = (share[:, None] * data).sum(0)
        sizes = (share[:, None] ** 2 * (data - want) ** 2).sum(0).sqrt()
        assert bool(((exact(row[None], level)[0] - want).abs() < 5 * sizes + 1e-12).all())


@pytest.mark.parametrize("name", ["mixture", "points"])
def test_score_is_the_gradient(name):
    # fails if the score is not the derivative of log p_t, or log p_t is not normalised
    exact, x = CLOSED[name], laws.normal(4, 2).requires_grad_(True)
    (slope,) = torch.autograd.grad(exact.log_prob(x, LEVELS).sum(), x)
    torch.testing.assert_close(exact.score(x.detach(), LEVELS), slope, rtol=1e-8, atol=1e-9)
    side = torch.linspace(-7, 7, 400, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    level = Level(torch.tensor(0.8), torch.tensor(0.5))
    mass = exact.log_prob(grid, level).exp().sum() * (side[1] - side[0]) ** 2
    assert float(mass) == pytest.approx(1, abs=1e-6)


def test_samples_have_the_moments():
    # fails if exact draws, against which all samplers are judged, are not from the law
    exact, level = laws.mixture(), Level(torch.tensor(0.8), torch.tensor(0.5))
    x = exact.sample(200_000, level, seed=1)
    mean = (exact.weights[:, None] * exact.means).sum(0)
    off = exact.means - mean
    cov = torch.einsum("k,kde->de", exact.weights, exact.covs + off[:, :, None] * off[:, None])
    torch.testing.assert_close(x.mean(0), 0.8 * mean, rtol=0, atol=0.01)
    torch.testing.assert_close(
        x.T.cov(), 0.64 * cov + 0.25 * torch.eye(2).double(), rtol=0, atol=0.01
    )


def test_gaussian_is_the_linear_formula():
    # fails if the posterior mean is not m + S*a*(a^2*S + s^2)^-1*(x - a*m)
    exact, x = CLOSED["gaussian"], laws.normal(6, 2)
    a, s = 0.6, 0.9
    mean, cov = exact.means[0], exact.covs[0]
    gain = a * cov @ torch.linalg.inv(a**2 * cov + s**2 * torch.eye(2).double())
    got = exact(x, Level(*torch.tensor([a, s], dtype=torch.float64)))
    torch.testing.assert_close(got, mean + (x - a * mean) @ gain.T, rtol=1e-12, atol=1e-12)


def test_at_noise_the_mean_of_the_data():
    # fails if a closed form breaks at alpha = 0
    x = laws.normal(3, 2)
    exact = laws.mixture()
    want = (exact.weights[:, None] * exact.means).sum(0).expand(3, 2)
    torch.testing.assert_close(exact(x, NOISE), want)
    torch.testing.assert_close(POINTS(x, NOISE), POINTS.data.mean(0).expand(3, 2))


def test_points_without_underflow():
    # fails if far-off samples at low noise lose all their weights: the nearest point answers
    x = torch.tensor([[1e3, 1e3]]).double()
    mean = POINTS(x, Level(torch.tensor(1.0), torch.tensor(1e-3)))
    nearest = POINTS.data[(POINTS.data - x).pow(2).sum(1).argmin()]
    torch.testing.assert_close(mean[0], nearest)


def test_steering_is_the_products_mean():
    # fails if D + s*(sigma^2/alpha)*grad log p(y | x_t) is not the mean given y in closed form
    cov, level = (
        torch.tensor([[1.0, 0.6], [0.6, 0.8]]).double(),
        Level(torch.tensor(0.8).double(), torch.tensor(0.6).double()),
    )
    whole = Gaussian(torch.zeros(2), cov)

    def log_p(x, at):  # y = x0[1] + 0.5*n, observed to be 1
        mean = whole(x, at)
        eye = torch.eye(2).double()
        left = torch.linalg.inv(torch.linalg.inv(cov) + at.alpha**2 / at.sigma**2 * eye)
        return -((1 - mean[:, 1]) ** 2) / (2 * (left[1, 1] + 0.25))

    precision = torch.linalg.inv(cov)
    precision[1, 1] += 4
    given = torch.linalg.inv(precision)
    known = Gaussian(given @ torch.tensor([0.0, 4.0]).double(), given)
    x = laws.normal(5, 2)
    torch.testing.assert_close(steer(whole, log_p)(x, level), known(x, level), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(steer(whole, log_p)(x, NOISE), whole(x, NOISE))


def test_within_asks_no_further():
    # fails if a network is asked beyond the levels that it was trained at, or eps at NOISE
    seen = []

    def spy(x, here, cond=None, *, there=None):
        seen.append(here.ratio)
        return x

    held = Within(spy, 0.01, 50.0)
    x = laws.normal(3, 2)
    for level in (NOISE, Exploding().bottom, Exploding().top, LEVELS[1]):
        held(x, level)
    got = torch.stack(seen)
    assert torch.allclose(got, torch.tensor([50.0, 0.01, 50.0, 1.0]).double(), rtol=1e-6)
    net = NetDenoiser(laws.SmallNet().double(), Eps())
    assert bool(Within(net)(laws.normal(2, 3, 4, 4), NOISE).isfinite().all())


def test_within_changes_little():
    # fails if holding the level moves a mean that hardly depends on it there
    exact, x = laws.mixture(), laws.normal(50, 2)
    assert float((Within(exact, high=80.0)(x, NOISE) - exact(x, NOISE)).abs().max()) < 0.05


# ---- the exact mode ---

NET = NetDenoiser(laws.SmallNet(), Velocity())
PLAN = descend(Logistic()(Flow(), 4))


def run(denoise, ids):
    noise = laws.ids(1).select(ids)
    x = noise(torch.zeros(len(ids), 3, 9, 7), 0)
    return final(walk(denoise, x, PLAN, laws.Adams(), noise)).x


@pytest.mark.parametrize("ids", [(5,), (1, 5, 3), tuple(range(19, -1, -1)), (5, 11, 5)])
def test_exact_mode_is_exact(ids):
    # fails if a row's bits depend on the batch: its size, its order, its company
    exact = Chunked(NET, 8)
    alone = {i: run(exact, (i,)) for i in set(ids)}
    for row, i in zip(run(exact, ids), ids, strict=True):
        assert torch.equal(row, alone[i][0])


def test_exact_mode_among_strangers():
    # fails if the bits change when other requests share the calls
    exact, noise = Chunked(NET, 8), laws.ids(3)
    x = noise(torch.zeros(3, 3, 9, 7), 0)
    others = [
        trace(x[:2] * 3, descend(Karras()(Exploding(), 7)), Heun(), noise.select((8, 9))),
        trace(x[1:] * 2, descend(Karras()(Exploding(), 3)), Multistep(), noise.select((1, 2))),
    ]
    ours = trace(x, PLAN, laws.Adams(), noise)
    ends = {}
    for number, state in serve(exact, [others[0], ours, others[1]]):
        ends[number] = state.x
    assert torch.equal(ends[1], run(exact, (0, 1, 2)))


@pytest.mark.parametrize("count", [1, 3, 20])
def test_default_mode_is_close(count):
    # fails if pictures of different batches differ by more than 1e-4
    whole = run(NET, tuple(range(20)))
    assert float((run(NET, tuple(range(count))) - whole[:count]).abs().max()) < 1e-4


def test_chunks_keep_conditions_and_levels_together():
    # fails if the padding pairs a row with another row's condition, level or goal
    def told(x, here, cond=None, *, there=None):
        values = cond.values["label"] + 10 * here.sigma + 100 * there.sigma
        return values[:, None].to(x) * torch.ones_like(x)

    x, count = torch.zeros(11, 2), 11
    labels = torch.arange(count)
    level = Level(torch.ones(count), torch.linspace(0.1, 1, count))
    goal = Level(torch.ones(count), torch.linspace(0.01, 0.1, count))
    cond = Cond({"label": labels})
    whole = told(x, level, cond, there=goal)
    assert torch.equal(Chunked(told, 4)(x, level, cond, there=goal), whole)


def test_conditions_join_with_padding():
    # fails if joined rows lose their mask, their order, or take another's tokens
    short = Cond({"text": Tokens(torch.ones(2, 3, 4), torch.ones(2, 3, dtype=torch.bool))})
    long = Cond(
        {"text": Tokens(2 * torch.ones(1, 5, 4), torch.ones(1, 5, dtype=torch.bool))},
        {"text": torch.tensor([False])},
    )
    both = Cond.join([short, long])
    values, mask = both.values["text"]
    assert values.shape == (3, 5, 4)
    assert mask.sum(1).tolist() == [3, 3, 5]
    assert both.keep["text"].tolist() == [True, True, False]
    assert float(values[2].min()) == 2.0
    one = both.rows(torch.tensor([2]))
    assert float(one.values["text"].values.mean()) == 2.0


def test_edm_spread_is_used():
    # fails if sigma_data does not reach the mean: a zero network leaves skip*x alone
    def zero(x, clock, cond):
        return 0 * x

    x, level = laws.normal(3, 2), Level(torch.tensor(1.0), torch.tensor(0.5))
    got = NetDenoiser(zero, Edm(sigma_data=0.5))(x, level)
    torch.testing.assert_close(got, x / 2)
    exact = Mixture(torch.ones(1), torch.zeros(1, 2), 0.25 * torch.eye(2)[None])
    torch.testing.assert_close(got, exact(x, level))  # the best linear guess
    assert math.isclose(float(Euler().order), 1)
