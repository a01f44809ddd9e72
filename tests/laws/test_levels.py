"""Levels: the one lift, the forward kernel, its composition."""

import core_laws as laws
import pytest
import torch

from unmist.core.level import DATA, NOISE, Level, lift, noised, renoised

SCHEDULES = laws.all_schedules()


@pytest.mark.parametrize("name", SCHEDULES)
def test_two_kernels_make_one(name):
    # fails if q(t|s) after q(s|0) is not q(t|0): a wrong keep, or a variance that is not the rest
    schedule = SCHEDULES[name]
    t = torch.linspace(0.002, 0.998, 60, dtype=torch.float64)
    for first, second in [(0, 1), (0, 59), (10, 11), (30, 45), (58, 59)]:
        s, u = schedule(t[first]), schedule(t[second])
        one, none = torch.ones(1).double(), torch.zeros(1).double()
        signal = renoised(noised(one, s, none), s, u, none)
        old = renoised(noised(none, s, one), s, u, none)
        new = renoised(noised(none, s, none), s, u, one)
        assert abs(signal - u.alpha) <= 1e-13 * u.alpha
        assert abs(old**2 + new**2 - u.sigma**2) <= 1e-13 * u.sigma**2


@pytest.mark.parametrize("name", SCHEDULES)
def test_all_the_way_up(name):
    # fails if renoising to the top, NOISE or not, leaves anything but the marginal
    schedule = SCHEDULES[name]
    s, top = schedule(0.5), schedule.top
    one, none = torch.ones(1).double(), torch.zeros(1).double()
    assert renoised(noised(one, s, none), s, top, none) == pytest.approx(float(top.alpha))
    old = renoised(noised(none, s, one), s, top, none)
    new = renoised(noised(none, s, none), s, top, one)
    assert float(old**2 + new**2) == pytest.approx(float(top.sigma**2), rel=1e-13)


def test_renoise_goes_up_only():
    # fails if noise is taken away by the kernel that adds it, which would be a silent NaN or 0
    clean, noisy = Level(torch.tensor(0.9), torch.tensor(0.1)), NOISE
    with pytest.raises(ValueError, match="up only"):
        renoised(torch.ones(1), noisy, clean, torch.ones(1))
    with pytest.raises(ValueError, match="up only"):
        renoised(torch.ones(1), clean, DATA, torch.ones(1))


@pytest.mark.parametrize("shape", [(), (5,), (5, 1, 7), (1, 1, 7)])
def test_the_lift_is_from_the_left(shape):
    # fails if a (b,) level is broadcast from the right, against columns of pixels
    x, value = torch.zeros(5, 3, 7, 5), torch.rand(shape).double()
    lifted = lift(value, x).expand(x.shape)
    for row in range(5):
        for frame in range(7):
            index = (row, 0, frame)[: len(shape)]
            index = tuple(min(i, n - 1) for i, n in zip(index, shape, strict=True))
            assert bool((lifted[row, :, frame] == value[index].float()).all())


def test_no_prefix_is_refused():
    # fails if a level whose shape merely ends like the sample's is let through
    for shape in ((7,), (5, 7), (1, 3, 5), (5, 3, 7, 5, 1)):
        with pytest.raises(ValueError, match="no prefix"):
            lift(torch.ones(shape), torch.zeros(5, 3, 7, 5))


def test_a_level_is_a_level():
    # fails if negative, vanishing or NaN levels are let through, or digits are lost in float32
    for alpha, sigma in ((-0.1, 1.0), (0.0, 0.0), (float("nan"), 1.0), (1.0, -1.0)):
        with pytest.raises(ValueError, match="a level needs"):
            Level(torch.tensor(alpha), torch.tensor(sigma))
    assert Level(torch.tensor(0.5), torch.tensor(0.5)).alpha.dtype == torch.float64
    assert (float(NOISE.ratio), float(DATA.ratio)) == (float("inf"), 0.0)
