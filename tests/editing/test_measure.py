"""Measurements: adjoints, pseudo-inverses, and the solve that a Gaussian needs."""

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.editing.measure import Blur, Grey, Mask, Pool, Seen, filled

HARD = (torch.arange(48).reshape(6, 8) % 3 > 0).double()
SOFT = torch.linspace(0, 1, 48, dtype=torch.float64).reshape(6, 8)
ALL = {
    "seen": Seen(),
    "mask": Mask(HARD),
    "soft mask": Mask(SOFT),
    "grey": Grey(),
    "grey, weights below 0": Grey((0.5, -0.2, 0.1)),
    "pool": Pool(2),
    "blur": Blur(0.8),
    "wide blur": Blur(3.0),
}


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.parametrize("name", ALL)
def test_the_adjoint_is_the_adjoint(name):
    """Fails if <A x, y> and <x, A^T y> differ."""
    seen, x = ALL[name], normal(2, 3, 6, 8)
    y = normal(*seen.forward(x).shape, seed=1)
    assert torch.allclose((seen.forward(x) * y).sum(), (x * seen.adjoint(y)).sum(), rtol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_the_smallest_picture_is_seen_as_it_should(name):
    """Fails if A A^+ y is not y for a y that is seen, or A^+ A is no projection."""
    seen, x = ALL[name], normal(2, 3, 6, 8)
    least = filled(seen, seen.forward(x))
    again = filled(seen, seen.forward(least))
    assert torch.allclose(again, least, atol=1e-9)
    if "blur" not in name:  # a blur loses what it weakens too far
        assert torch.allclose(seen.forward(least), seen.forward(x), atol=1e-9)
    else:
        assert (seen.forward(least) - seen.forward(x)).norm() < 0.06 * x.norm()
    assert least.norm() <= x.norm() * (1 + 1e-9)


@pytest.mark.parametrize("name", ALL)
def test_solve_is_the_inverse_of_the_covariance(name):
    """Fails if solve is not (spread*A A^T + noise)^-1, with one spread a row."""
    seen, spread = ALL[name], torch.tensor([0.3, 2.0])
    y = seen.forward(normal(2, 3, 6, 8))
    u = seen.solve(y, spread, 0.2)
    back = spread.double().reshape(2, 1, 1, 1) * seen.forward(seen.adjoint(u)) + 0.2 * u
    seen_at_all = (
        seen.forward(torch.ones(2, 3, 6, 8).double()) != 0 if "mask" in name else back == back
    )
    # what a wide blur leaves below its least counts as unseen: up to least^2*spread of u is missing
    assert torch.allclose(back[seen_at_all], y.expand_as(back)[seen_at_all], atol=1e-2, rtol=1e-2)


def test_other_axes():
    """Fails if lines or volumes cannot be measured."""
    for shape in ((2, 1, 12), (2, 1, 4, 6, 8)):
        x = normal(*shape)
        for seen in (Pool(2), Blur(0.7), Seen(), Mask(torch.ones(shape[2:]))):
            y = normal(*seen.forward(x).shape, seed=1)
            assert torch.allclose((seen.forward(x) * y).sum(), (x * seen.adjoint(y)).sum())


def test_a_blur_keeps_what_is_even():
    """Fails if mirrored edges lose or gain brightness."""
    even = torch.full((1, 1, 5, 9), 0.7, dtype=torch.float64)
    assert torch.allclose(Blur(4.0).forward(even), even)


def test_what_cannot_be_measured_is_refused():
    """Fails if a wrong setting goes through."""
    for make in (
        lambda: Mask(torch.tensor([1.5])),
        lambda: Pool(0),
        lambda: Blur(0.0),
        lambda: Grey((0.0, 0.0)),
        lambda: Pool(3).forward(torch.zeros(1, 1, 8, 8)),
    ):
        with pytest.raises(BadInput):
            make()
