"""Schedules: inverses, ends, processes, shifts, the zero-terminal table."""

import math

import core_laws as laws
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.core.level import NOISE
from unmist.core.plan import Part
from unmist.core.schedule import Curve, exploding, preserving, rectified
from unmist.core.schedules import Cosine, Flow, Linear
from unmist.core.table import Table, cosine_betas, linear_betas

SCHEDULES = laws.all_schedules()
every = pytest.mark.parametrize("name", SCHEDULES)
TIMES = torch.cat([torch.logspace(-4, -1, 30), torch.linspace(0.11, 0.9999, 90)]).double()


@every
def test_there_and_back(name):
    # fails if time -> log-SNR -> time, or log-SNR -> time -> log-SNR, loses more than 1e-12
    schedule, t = SCHEDULES[name], TIMES
    if isinstance(schedule, Curve):
        t = t[(t > schedule.low) & (t < schedule.high)]
    log_snr = schedule(t).log_snr
    again = schedule(schedule.inverse(log_snr)).log_snr
    # a log-SNR of a level held in float64 is itself known to the level's rounding only
    assert float((schedule.inverse(log_snr) - t).abs().max()) < 1e-12
    assert float(((again - log_snr).abs() / log_snr.abs().clamp(min=1)).max()) < 1e-12


@every
def test_monotone_and_in_its_process(name):
    # fails if noise does not rise with time, or alpha and sigma leave the process's curve
    schedule, level = SCHEDULES[name], SCHEDULES[name](TIMES)
    assert bool((level.log_snr.diff() < 0).all())
    size = {
        preserving: level.alpha**2 + level.sigma**2,
        rectified: level.alpha + level.sigma,
        exploding: level.alpha,
    }[schedule.process]
    assert float((size - 1).abs().max()) < 1e-12


@every
def test_ends_are_the_limits(name):
    # fails if top or bottom is not where the schedule goes: sampling would start somewhere else
    schedule = SCHEDULES[name]
    edge = 1e-9 if not isinstance(schedule, Curve) else 1e-3 + 1e-12
    for end, t in ((schedule.top, 1 - edge), (schedule.bottom, edge)):
        near = schedule(t)
        assert float((near.alpha - end.alpha).abs()) < 1e-3
        assert float((near.sigma - end.sigma).abs() / end.sigma.clamp(min=1)) < 1e-3
    assert float(schedule.inverse(1e4)) == pytest.approx(0, abs=2e-3)
    assert float(schedule.inverse(-1e4)) == pytest.approx(1, abs=2e-3)


@every
@pytest.mark.parametrize("t", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_only_inside(name, t):
    # fails if a schedule answers at or beyond its ends, where the exact constants belong
    with pytest.raises(BadInput, match="inside"):
        SCHEDULES[name](t)


@every
def test_shift_multiplies_the_ratio(name):
    # fails if a shift is not sigma/alpha times the factor, moves NOISE or DATA, or does not compose
    schedule, t = SCHEDULES[name], torch.linspace(0.01, 0.99, 50).double()
    for factor in (0.3, 3.0):
        moved = schedule.shifted(factor)
        share = (moved(t).log_ratio - schedule(t).log_ratio - math.log(factor)).abs()
        assert float(share.max()) < 1e-10
        assert float((moved.inverse(moved(t).log_snr) - t).abs().max()) < 1e-10
        assert moved.top.is_noise == schedule.top.is_noise
        assert moved.bottom.is_data == schedule.bottom.is_data
        home = moved.shifted(1 / factor)
        assert float((home(t).log_ratio - schedule(t).log_ratio).abs().max()) < 1e-10


def test_flow_shift_is_the_papers():
    # fails if the shift is not t' = s*t/(1 + (s - 1)*t) (2403.03206, eq. 23)
    t, s = torch.linspace(0.05, 0.95, 10).double(), 3.0
    assert torch.allclose(Flow().shifted(s)(t).sigma, s * t / (1 + (s - 1) * t), atol=1e-14)


def test_cosine_against_its_formula():
    # fails if alpha is not cos(a)/cos(b) with s = 0.008
    t, s = torch.linspace(0.01, 0.99, 20).double(), 0.008
    angle, start = (t + s) / (1 + s) * math.pi / 2, s / (1 + s) * math.pi / 2
    assert torch.allclose(Cosine()(t).alpha, angle.cos() / math.cos(start), atol=1e-15)


def test_linear_against_quadrature():
    # fails if log alpha^2 is not minus the integral of beta: 2,000 strips of the midpoint rule
    t = 0.7
    strips = (torch.arange(2000).double() + 0.5) / 2000 * t
    area = float((0.1 + 19.9 * strips).mean() * t)
    assert float(Linear()(t).alpha ** 2) == pytest.approx(math.exp(-area), rel=1e-12)


def test_tables_of_the_reference_repositories():
    # fails if betas, their product or the cap differ from guided-diffusion's numbers
    betas = cosine_betas()
    for index, value in ((0, 4.128422e-05), (499, 3.145886e-03), (998, 0.749999), (999, 0.999)):
        assert float(betas[index]) == pytest.approx(value, rel=1e-5)
    kept = Table("cosine").levels.alpha ** 2
    assert float(kept[499]) == pytest.approx(0.493844, rel=1e-5)
    kept = Table("linear").levels.alpha ** 2
    assert float(kept[499]) == pytest.approx(0.0785872, rel=1e-5)
    assert float(kept[999]) == pytest.approx(4.03583e-05, rel=1e-5)


def test_table_sigma_keeps_its_digits():
    # fails if sigma comes from sqrt(1 - alpha^2), which next to the data loses half of them
    tiny = Table(betas=(1e-12, 1e-12, 1e-3))
    assert float(tiny.levels.sigma[1]) == pytest.approx(math.sqrt(2e-12), rel=1e-9)


def test_zero_terminal_table():
    # fails if the rescaled table is not 2305.08891, algorithm 1: first kept, last exactly NOISE
    table = Table("linear", zero_terminal=True)
    root = (1 - linear_betas()).cumprod(0).sqrt()
    wanted = (root - root[-1]) * root[0] / (root[0] - root[-1])
    assert torch.allclose(table.levels.alpha, wanted, atol=1e-12)
    assert (float(table.levels.alpha[-1]), float(table.levels.sigma[-1])) == (0.0, 1.0)
    assert table.top is NOISE
    index = torch.tensor([0.0, 0.5, 500.25, 997.9, 998.0, 998.3, 998.999]).double()
    assert float((table.index(table.at(index).log_snr) - index).abs().max()) < 1e-9


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
def test_strength_is_the_lower_part(strength):
    # fails if image-to-image's part starts elsewhere, or its own time does not invert
    part, t = Part(Cosine(), strength), torch.linspace(0.01, 0.99, 9).double()
    assert torch.equal(part(t).alpha, Cosine()(t * strength).alpha)
    assert float((part.inverse(part(t).log_snr) - t).abs().max()) < 1e-11
    assert part.top.is_noise == (strength == 1)
    if strength < 1:
        assert float(part.top.alpha) == float(Cosine()(strength).alpha)


def test_a_rising_curve_is_refused():
    # fails if a function whose noise falls with time is taken for a schedule
    with pytest.raises(BadInput, match="fall"):
        Curve(lambda t: t)
