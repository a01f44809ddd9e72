"""Contrast brought back and values kept in range, by hand."""

import core_laws as laws
import torch
from guided import COND, EXACT, LEVELS, X

from unmist.core.condition import Cond
from unmist.core.level import NOISE
from unmist.guidance.free import Free
from unmist.guidance.threshold import Rescaled, Thresholded


def test_rescaling_brings_the_spread_back():
    """Fails if share 1 does not give the conditional mean's spread, or share 0 changes a thing."""
    x, cond = laws.normal(3, 2, 5, 5), Cond({"c": torch.zeros(3)})

    def told(x, here, cond=None, *, there=None):
        return torch.where(cond.kept("c").reshape(-1, 1, 1, 1), 0.8 * x + 0.1, -0.2 * x)

    free, here = Free(told, 4.0), LEVELS["one"]
    spread = Rescaled(free, 1.0)(x, here, cond).flatten(1).std(1)
    torch.testing.assert_close(spread, (0.8 * x).flatten(1).std(1))
    torch.testing.assert_close(Rescaled(free, 0.0)(x, here, cond), free(x, here, cond))


def test_thresholding_by_hand():
    """Fails if more than the stated share is clamped, the range is not met, or rows mix."""
    values = torch.stack([torch.linspace(-3, 2, 200), torch.linspace(-0.5, 0.9, 200)])
    x = values.reshape(2, 1, 200).double()
    got = Thresholded(lambda x, *_, there=None: x, 0.99)(x, NOISE)
    most = values[0].abs().sort().values[197]
    torch.testing.assert_close(got[0], x[0].clamp(-most, most) / most)
    assert torch.equal(got[1], x[1])
    moved = Thresholded(lambda x, *_, there=None: x, 0.99, (5.0,), (2.0,))(5 + 2 * x, NOISE)
    torch.testing.assert_close(moved, 5 + 2 * got)


def test_gradients_pass_through():
    """Fails if a guided mean cannot be differentiated in x, as posterior guidance needs."""
    x = X.clone().requires_grad_(True)
    guide = Thresholded(Rescaled(Free(EXACT, 2.0)), reach=(50.0,))
    (slope,) = torch.autograd.grad(guide(x, LEVELS["one"], COND).sum(), x)
    assert bool(slope.isfinite().all())
    assert float(slope.abs().max()) > 0
