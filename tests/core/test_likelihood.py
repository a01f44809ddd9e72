"""Bits per dimension: the bound, the path and the exact entropy, on laws that are known."""

import math

import core_laws as laws
import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.base.noise import Noise
from unmist.core.denoiser import NetDenoiser
from unmist.core.exact import Gaussian, Points
from unmist.core.level import Level, noised
from unmist.core.likelihood import Bound, Continuous, Discrete, bound, ladder, path_nats
from unmist.core.prediction import Edm
from unmist.core.schedules import Cosine, Exploding, Flow
from unmist.core.variance import Fixed, Larger

FINE = Exploding(sigma_min=2e-3)
PROCESSES = {"edm": FINE, "cosine": Cosine(), "flow": Flow()}


def rows(count):
    return Noise(2, "likelihood", tuple(range(count)))


class Even:
    """Normal draws whose rows fill the law evenly, in random order: a hundredth of the variance."""

    def __call__(self, x, move):
        draw, n = np.random.default_rng(move), len(x)
        places = np.stack([draw.permutation(n) for _ in range(x[0].numel())], 1)
        z = torch.special.ndtri(torch.from_numpy((places + 0.5) / n))
        return z.reshape(x.shape).to(x)


class With:
    """An exact denoiser under another rule for the variance."""

    def __init__(self, exact, rule):
        self.exact, self.rule = exact, rule

    def spread(self, x, here, cond=None, *, there):
        mean = self.exact(x, here)
        return mean, self.rule.gain(mean, here, there)


def bits(nats, d):
    return float(nats.mean()) / d / math.log(2)


@pytest.mark.parametrize("schedule", PROCESSES.values(), ids=PROCESSES)
def test_bound_path_and_entropy_agree(schedule):
    """Fails if any term of either route is off by 0.01 bits a dimension."""
    exact = laws.mixture()
    x0 = exact.sample(3000, seed=3)
    truth = -bits(exact.log_prob(x0), 2)
    by_bound = bound(exact, x0, ladder(schedule, 300), Even(), Continuous())
    by_path = path_nats(exact, x0, ladder(schedule, 80), Even(), Continuous(), probes=0)
    assert bits(by_path, 2) == pytest.approx(truth, abs=0.01)
    assert bits(by_bound.total, 2) == pytest.approx(truth, abs=0.01)


def test_the_path_gives_each_sample_its_own_density():
    # fails if the path is right on average only
    exact = laws.mixture()
    x0 = exact.sample(50, seed=4)
    nats = path_nats(exact, x0, ladder(FINE, 200), rows(50), Continuous(), probes=0)
    assert torch.allclose(-nats, exact.log_prob(x0), atol=0.03)


def test_random_signs_are_right_on_average():
    # fails if Hutchinson's estimate of the trace is biased
    exact = laws.mixture()
    x0 = exact.sample(1, seed=4).expand(1000, 2)
    level = Level(torch.tensor(0.8), torch.tensor(0.6))
    one = noised(x0, level, laws.normal(1, 2).expand(1000, 2))
    from unmist.core.likelihood import _rest
    from unmist.core.walk import State

    signs = [rows(1000)(x0, 1).sign()]
    guessed = _rest(exact, State(level, one, None, 0), signs)
    known = _rest(exact, State(level, one[:1], None, 0), [])
    error = float(guessed.std()) / 1000**0.5
    assert abs(float(guessed.mean() - known)) < 4 * error + 1e-9


@pytest.mark.parametrize("steps", [4, 40])
def test_on_gaussian_data_the_bound_with_the_best_variance_is_tight(steps):
    """Fails if the step's optimum is not the exact reverse kernel: then few steps cost bits."""
    exact = Gaussian(torch.zeros(3), torch.eye(3) * 0.49)
    x0 = exact.sample(4000, seed=5)
    truth = -bits(exact.log_prob(x0), 3)
    levels = ladder(FINE, steps)
    best = bits(bound(exact, x0, levels, Even(), Continuous()).total, 3)
    fixed = bits(bound(With(exact, Fixed()), x0, levels, Even(), Continuous()).total, 3)
    larger = bits(bound(With(exact, Larger()), x0, levels, Even(), Continuous()).total, 3)
    assert best == pytest.approx(truth, abs=0.01)
    assert best < larger < fixed
    assert fixed - truth > 0.2 / steps


def test_the_bound_counts_the_choice_among_discrete_values():
    """Fails if the discrete decoder or the steps lose a bit: four equally likely pictures are 2."""
    values = torch.tensor([[10, 200], [90, 30], [160, 160], [240, 90]])
    decoder = Discrete((127.5,), (60.0,))
    data = ((values - 127.5) / 60).double()[:, None]
    x0 = data.repeat(16, 1, 1)
    found = bound(With(Points(data), Fixed()), x0, ladder(FINE, 600), rows(64), decoder)
    assert float(found.total.mean()) / math.log(2) == pytest.approx(2, abs=0.06)
    assert float(found.last.abs().max()) < 0.05


def test_the_discrete_decoder_is_a_probability():
    # fails if the chances of all levels do not sum to 1, or the nearest is not the likeliest
    decoder = Discrete((3.0, 1.0), (2.0, 0.5), count=6)
    level = Level(torch.tensor(0.7), torch.tensor(0.4))
    x = laws.normal(4, 2, 1)
    total = torch.zeros(4, dtype=torch.float64)
    for k in range(6):
        for j in range(6):
            x0 = (
                torch.tensor([(k - 3) / 2, (j - 1) / 0.5]).double().reshape(1, 2, 1).expand(4, 2, 1)
            )
            total += decoder(x0, x, level).exp()
    assert torch.allclose(total, torch.ones(4).double())


def test_a_network_goes_through_both_routes():
    # fails if gradients are off inside the path, or float32 breaks a route
    net = NetDenoiser(laws.SmallNet(1), Edm())
    x0 = laws.normal(3, 1, 4, 4).float().clamp(-1, 1)
    found = bound(net, x0, ladder(Exploding(), 6), rows(3), Continuous())
    path = path_nats(net, x0, ladder(Exploding(), 6), rows(3), Continuous())
    assert isinstance(found, Bound)
    assert bool(torch.isfinite(found.total).all())
    assert bool(torch.isfinite(path).all())
    assert path.std() > 0


def test_an_uneven_ladder_is_refused():
    # fails if Simpson's rule is used where it does not hold
    with pytest.raises(BadInput, match="even"):
        path_nats(laws.mixture(), laws.normal(2, 2), ladder(FINE, 5), rows(2), Continuous())
