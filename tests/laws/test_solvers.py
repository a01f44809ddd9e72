"""Solvers: declared order, finite ends, dtype, levels of any shape, exactness."""

import math

import core_laws as laws
import pytest
import torch

from unmist.core.denoiser import NetDenoiser
from unmist.core.exact import Gaussian
from unmist.core.level import DATA, Level
from unmist.core.plan import Plan, Step, ancestral, ascend, descend
from unmist.core.prediction import Edm, predictions
from unmist.core.schedule import exploding, preserving
from unmist.core.schedules import Exploding, Flow
from unmist.core.solver import Euler, Multistep, SdeMultistep
from unmist.core.spacing import EvenLogSnr, EvenTime, Logistic
from unmist.core.walk import final, walk

SOLVERS, SCHEDULES = laws.all_solvers(), laws.all_schedules()
SMOOTH = [name for name, solver in SOLVERS.items() if not solver.stochastic]
every = pytest.mark.parametrize("name", SOLVERS)


@pytest.mark.parametrize("name", SMOOTH)
def test_declared_order(name):
    # fails if halving the steps of an interior segment does not divide the error by 2^order
    laws.law_order(SOLVERS[name], preserving)


@pytest.mark.parametrize("name", SMOOTH)
def test_one_error_under_every_process(name):
    # fails if anything but the ratio sigma/alpha matters to a solver
    errors = [laws.endpoint_error(SOLVERS[name], p, 24) for p in laws.PROCESSES.values()]
    assert max(errors) - min(errors) < 1e-9


def test_published_third_order_is_second():
    # fails if the published 3M is repaired in place (parity would be lost) or ours loses its factor
    errors = {
        published: [
            laws.endpoint_error(Multistep(3, warm=True, published=published), preserving, n)
            for n in (96, 192)
        ]
        for published in (False, True)
    }
    orders = {key: math.log2(a / b) for key, (a, b) in errors.items()}
    assert orders[False] > 2.75
    assert 1.8 < orders[True] < 2.3


def sde_variance(steps: int) -> float:
    """Of x at r = 0.2 exactly: a Gaussian's mean is linear, so x is a sum of the draws' answers."""
    exact = Gaussian(torch.zeros(1), torch.tensor([[0.25]]))
    plan, total = laws.segment(exploding, steps), 0.0
    for source in range(steps + 1):

        def draw(x, move, source=source):
            return torch.full_like(x, float(move == source))

        start = torch.full((1, 1), math.sqrt(16.25) if source == 0 else 0.0).double()
        total += float(final(walk(exact, start, plan, SdeMultistep(), draw)).x) ** 2
    return total


def test_sde_is_second_order_in_law():
    # fails if the noisy 2M is first order: its variance's error must fall by 4 with half the step
    errors = [abs(sde_variance(n) - 0.29) for n in (12, 24)]
    assert errors[0] / errors[1] > 3.2
    assert errors[1] < 2e-3


@every
def test_exact_where_the_mean_is_constant(name):
    # fails if a solver's weights do not add up: then x - alpha*D scales by sigma'/sigma exactly
    x, mean = laws.normal(3, 2, 4), laws.normal(3, 2, 4, seed=1)
    plan = laws.segment(preserving, 5)
    last = final(walk(lambda *_, **__: mean, x, plan, SOLVERS[name], lambda x, move: 0 * x))
    start, end = plan.start, last.level
    left = end.sigma / start.sigma * (x - start.alpha * mean)
    if SOLVERS[name].stochastic:  # its drift fades the rest by e^-h more
        left = left * end.ratio / start.ratio
    torch.testing.assert_close(last.x, end.alpha * mean + left, rtol=1e-12, atol=1e-12)


@every
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_finite_at_both_ends_in_float32(name, schedule):
    # fails if inf - inf or 0/0 reaches x on the way from the top (NOISE where it is one) to DATA
    net, top = laws.SmallNet(), SCHEDULES[schedule].top
    denoise, x = NetDenoiser(net, Edm()), laws.normal(2, 3, 4, 4).float()
    x = torch.hypot(top.like(x).alpha, top.like(x).sigma) * x
    for spacing, count in ((EvenTime(), 1), (EvenTime(), 4), (Logistic(), 4)):
        plan = descend(spacing(SCHEDULES[schedule], count))
        assert plan.start.is_noise == top.is_noise
        for state in walk(denoise, x, plan, SOLVERS[name], laws.ids(2)):
            assert state.x.dtype == torch.float32
            assert bool(state.x.isfinite().all())
        assert state.level.is_data
        assert float(state.x.abs().max()) < 1e4


@every
def test_ancestral_from_noise_passes_through_data(name):
    # fails if the plan that eta = 1 makes from NOISE, down to DATA and up again, breaks a solver
    plan = ancestral(descend(Logistic()(Flow(), 5)), 1.0)
    assert plan.moves[0].to.is_data
    denoise, x = NetDenoiser(laws.SmallNet(), predictions["v"]()), laws.normal(2, 3, 4, 4).float()
    for state in walk(denoise, x, plan, SOLVERS[name], laws.ids(2)):
        assert bool(state.x.isfinite().all())


@pytest.mark.parametrize("name", SMOOTH)
def test_up_from_data_is_finite_in_float32(name):
    # fails if inversion, which leaves DATA by a step up, meets 0/0
    denoise, x = NetDenoiser(laws.SmallNet(), predictions["v"]()), laws.normal(2, 3, 4, 4).float()
    for state in walk(denoise, x, ascend(EvenTime()(Flow(), 4)), SOLVERS[name], laws.ids(2)):
        assert bool(state.x.isfinite().all())


@every
@pytest.mark.parametrize("shape", [(), (4,), (4, 1, 6)])
def test_dtype_is_kept(name, shape):
    # fails if a float64 level turns float32 pictures, and all that follows, into float64
    laws.law_dtype(SOLVERS[name], shape)


@every
def test_rows_at_levels_of_their_own(name):
    # fails if a (b,) level is not row i's: every row must move as it does alone
    laws.law_rows_alone(SOLVERS[name])


@every
def test_finished_frames_stay_to_the_bit(name):
    # fails if rolling per-frame levels (b, 1, frames) touch frames that have arrived, or go NaN
    frames, sigma = 6, torch.tensor([0.0, 0.0, 0.2, 0.5, 0.8, 1.0]).double()
    stops = []
    for less in (0.0, 0.3, 0.6):
        left = (sigma - less).clamp(min=0).reshape(1, 1, frames)
        stops.append(Level(1 - left, left))
    x = laws.normal(2, 3, frames, 5).float()
    denoise = NetDenoiser(laws.PerFrame(), predictions["v"]())
    before, done = x, stops[0].sigma.flatten() == 0
    plan = Plan(stops[0], (Step(stops[1]), Step(stops[2]), Step(DATA)))
    for state in walk(denoise, x, plan, SOLVERS[name], laws.ids(2)):
        assert bool(state.x.isfinite().all())
        assert torch.equal(state.x[:, :, done], before[:, :, done])
        before, done = state.x, state.level.sigma.flatten().expand(frames) == 0


def test_even_log_snr_and_unit_gaussian():
    # fails if Adams' polynomial is not in tau: for spread s its second order is exact in one step
    exact = Gaussian(torch.zeros(2), torch.eye(2))
    levels = EvenLogSnr(0.01, 80)(Exploding(), 6)
    x = laws.normal(5, 2) * 80
    solver = laws.Adams(2)
    states = list(walk(exact, x, descend(levels), solver, laws.ids(5)))
    want = x / math.sqrt(1 + 80**2)
    # Euler's first step is corrected exactly by the second mean; from then on nothing errs
    assert float((states[-1].x - want).abs().max()) > 0
    slow = final(walk(exact, x, descend(levels), Euler(), laws.ids(5)))
    gap = [float((found.x - want).abs().max()) for found in (states[-1], slow)]
    assert gap[0] < 0.05 * gap[1]
