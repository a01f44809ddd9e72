"""Posterior and particles against the exact conditional law of mixtures."""

import pytest
import torch

from unmist.base.noise import Noise
from unmist.core.exact import Gaussian, Mixture
from unmist.core.level import DATA, NOISE, Level
from unmist.core.plan import descend
from unmist.core.schedule import preserving
from unmist.editing.measure import Mask, Pool, Seen
from unmist.editing.particles import Particles
from unmist.editing.posterior import Posterior

COV = torch.tensor(
    [[1.0, 0.6, 0.2, 0.0], [0.6, 0.8, 0.3, 0.1], [0.2, 0.3, 0.9, -0.4], [0.0, 0.1, -0.4, 0.7]]
).double()
PLAIN = Gaussian(torch.tensor([0.3, -0.2, 0.5, 0.0]), COV)
FIRST = torch.tensor([1.0, 1.0, 0.0, 0.0]).double()
MIXED = Mixture(
    torch.tensor([0.5, 0.5]),
    torch.tensor([[1.0, 1.0], [-1.0, 0.2]]),
    torch.tensor([[[0.1, 0.0], [0.0, 0.1]], [[0.3, 0.1], [0.1, 0.1]]]),
)


class Lines:
    """A mixture of vectors as a denoiser of pictures (b, 1, d)."""

    def __init__(self, law):
        self.law = law

    def __call__(self, x, here, cond=None, *, there=None):
        return self.law(x.flatten(1), here).reshape(x.shape)


CASES = {
    "mask": (Mask(FIRST), torch.eye(4)[:2]),
    "noisy mask": (Mask(FIRST, 0.5), torch.eye(4)[:2]),
    "pool": (Pool(2, 0.1), torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])),
    "seen": (Seen(0.7), torch.eye(4)),
}


@pytest.mark.parametrize("ratio", [0.05, 0.7, 3.0, 30.0])
@pytest.mark.parametrize("name", CASES)
def test_exact_for_a_gaussian(name, ratio):
    """Fails if the mean is not E[x0 | x_t, y], in closed form, with as many rounds as y is long."""
    seen, operator = CASES[name]
    y = seen.forward(torch.tensor([[[0.8, -1.0, 0.4, 0.1]]]).double())
    known = y.flatten()[: len(operator)]
    level = preserving(-2 * torch.tensor(ratio).double().log())
    x = PLAIN.sample(5, level, seed=1)[:, None]
    told = Posterior(Lines(PLAIN), seen, y, rounds=len(operator))(x, level)
    exact = PLAIN.given(operator, known, seen.sigma)(x.flatten(1), level)
    assert torch.allclose(told.flatten(1), exact, atol=1e-8)


def test_piGDM_is_exact_where_its_covariance_is():
    """Fails if rounds = 0 is not the published method: exact for white data."""
    white = Gaussian(torch.zeros(4), torch.eye(4))
    y, level = torch.tensor([[[0.8, -1.0, 0.0, 0.0]]]).double(), Level(0.6, 0.8)
    x = white.sample(5, level, seed=1)[:, None]
    told = Posterior(Lines(white), Mask(FIRST, 0.3), y, rounds=0)(x, level)
    exact = white.given(torch.eye(4)[:2], y.flatten()[:2], 0.3)(x.flatten(1), level)
    assert torch.allclose(told.flatten(1), exact, atol=1e-10)


def test_rows_levels_and_noise():
    """Fails if rows depend on company, on their level's shape, or NOISE is not refused gently."""
    y = torch.tensor([[[0.8, -1.0, 0.0, 0.0]], [[0.1, 0.3, 0.0, 0.0]]]).double()
    x = torch.tensor([[[0.8, -1.0, 0.5, 0.2]], [[0.3, 0.3, 1.0, 0.0]]]).double()
    levels = Level(torch.tensor([0.6, 0.9]), torch.tensor([0.8, 0.3]))
    both = Posterior(Lines(PLAIN), Mask(FIRST), y)(x, levels)
    for row in (0, 1):
        own = Posterior(Lines(PLAIN), Mask(FIRST), y[row : row + 1])(x[row : row + 1], levels[row])
        assert torch.allclose(own, both[row : row + 1], atol=1e-12)
    assert torch.equal(Posterior(Lines(PLAIN), Mask(FIRST), y)(x, NOISE), Lines(PLAIN)(x, NOISE))
    assert not both.requires_grad


def test_scale_free():
    """Fails if D(c*x, c*level) is not D(x, level)."""
    y = torch.tensor([[[0.8, -1.0, 0.0, 0.0]]]).double()
    x = torch.tensor([[[0.8, -1.0, 0.5, 0.2]]]).double()
    told = Posterior(Lines(PLAIN), Mask(FIRST, 0.2), y)
    assert torch.allclose(told(x, Level(0.6, 0.8)), told(5 * x, Level(3.0, 4.0)), atol=1e-12)


def test_particles_put_the_shares_of_modes_right():
    """Fails if led particles do not bring the shares of two modes near the exact ones.

    300 groups: the share has a standard error of 0.013; one particle alone is 0.2 off.
    """
    law = Mixture(
        torch.tensor([0.2, 0.8]),
        torch.tensor([[1.2, 1.2], [-1.2, -1.2]]),
        torch.stack([0.4 * torch.eye(2), 0.2 * torch.eye(2)]),
    )
    y = torch.tensor([[[0.3, 0.0]]]).double()
    exact = float(law.given(torch.eye(2)[:1], y.flatten()[:1]).weights[0])
    lead = Posterior(Lines(law), Mask(torch.tensor([1.0, 0.0])), y, rounds=1)
    plan = descend(preserving(torch.linspace(-7, 7, 18, dtype=torch.float64)))
    like = torch.zeros(300, 1, 2, dtype=torch.float64)
    off = {}
    for count in (1, 8):
        herd = Particles(lead, count).walk(like, plan, Noise(0, "law", tuple(range(300))))
        *_, last = herd
        assert last.level is DATA
        assert torch.allclose(last.x[:, 0, 0], y.flatten()[0], atol=1e-2)
        off[count] = abs(float(law.responsibilities(last.x.flatten(1))[:, 0].mean()) - exact)
    assert off[8] < 0.05
    assert off[1] > 0.1


def test_a_group_is_drawn_alike_in_any_company():
    """Fails if a row's particles depend on the other rows."""
    y = torch.tensor([[[0.1, 0.0]]]).double()
    lead = Posterior(Lines(MIXED), Mask(torch.tensor([1.0, 0.0])), y, rounds=1)
    levels = preserving(torch.linspace(-6, 6, 8, dtype=torch.float64))

    def drawn(*rows):
        like = torch.zeros(len(rows), 1, 2, dtype=torch.float64)
        *_, last = Particles(lead, 4).walk(like, descend(levels), Noise(0, "law", rows))
        return last.x

    assert torch.allclose(drawn(0, 1, 2, 3)[2], drawn(2)[0], atol=1e-12)
