"""The loop: what it asks, what it leaves alone, many requests in one batch."""

import core_laws as laws
import pytest
import torch

from unmist.core.denoiser import Chunked, NetDenoiser
from unmist.core.level import DATA, Level
from unmist.core.plan import Plan, Renoise, Step, ancestral, ascend, churn, descend, jumps, langevin
from unmist.core.prediction import Velocity
from unmist.core.schedules import Cosine, Exploding, Flow
from unmist.core.solver import Euler, Heun, Multistep, SdeMultistep
from unmist.core.spacing import EvenTime, Karras, Logistic
from unmist.core.table import Table
from unmist.core.unipc import UniPC
from unmist.core.walk import final, serve, started, trace, walk

EXACT = laws.mixture()
SIX = (
    (descend(Karras()(Exploding(), 7)), Heun()),
    (descend(EvenTime()(Flow(), 5)), Multistep(2)),
    (ancestral(descend(Logistic()(Cosine(), 9)), 1.0), Euler()),
    (descend(Logistic()(Table(), 12)), laws.Adams(3)),
    (churn(descend(Karras()(Exploding(), 6)), 5.0), UniPC(3)),
    (descend(Karras()(Exploding(), 4)), SdeMultistep()),
)


class Spy:
    """Remembers the levels that it is asked at."""

    def __init__(self, denoise):
        self.denoise, self.levels = denoise, []

    def __call__(self, x, here, cond=None, *, there=None):
        assert x.requires_grad is False
        assert torch.is_grad_enabled() is False
        self.levels.append(here)
        return self.denoise(x, here, cond, there=there)


@pytest.mark.parametrize("name", laws.all_solvers())
def test_never_asked_at_data(name):
    # fails if a plan that starts at, passes through or ends at DATA puts the question there
    solver = laws.all_solvers()[name]
    plans = [
        descend(EvenTime()(Flow(), 4)),
        ancestral(descend(EvenTime()(Flow(), 4)), 1.0),
        jumps(descend(EvenTime()(Cosine(), 6)), length=2, times=2),
        Plan(Exploding().top, (Step(DATA), Renoise(Cosine()(0.4)), Step(DATA))),
    ]
    plans += [] if solver.stochastic else [ascend(EvenTime()(Flow(), 4))]
    for plan in plans:
        spy, x = Spy(EXACT), laws.normal(3, 2)
        states = list(walk(spy, x, plan, solver, laws.ids(3)))
        assert len(states) == len(plan.moves)
        assert not any(level.is_data for level in spy.levels)
        assert states[-1].calls == len(spy.levels)


def test_calls_are_counted():
    # fails if NFE, the clock of sampling, is not the number of questions
    levels = Logistic()(Cosine(), 10)
    for solver, calls in ((Euler(), 10), (UniPC(3), 10), (laws.Adams(3), 10), (Heun(), 18)):
        spy = Spy(EXACT)
        last = final(walk(spy, laws.normal(3, 2), descend(levels), solver, laws.ids(3)))
        assert (last.calls, len(spy.levels)) == (calls, calls)  # Heun: Euler's at both ends


def test_gradients_stay_on_in_the_caller():
    # fails if no_grad is held open across a yield: looks would stop the training around them
    weight = torch.ones(1, requires_grad=True)
    steps = walk(EXACT, laws.normal(3, 2), SIX[1][0], Multistep(2), laws.ids(3))
    for _ in range(2):
        next(steps)
        assert torch.is_grad_enabled()
        (weight * 3).sum().backward()
    served = serve(EXACT, [trace(laws.normal(3, 2), *SIX[1], laws.ids(3))])
    next(served)
    assert torch.is_grad_enabled()
    assert float(weight.grad) == 6.0


def test_x_is_not_kept_in_a_graph():
    # fails if a start that wants gradients drags a graph through the whole walk
    x = laws.normal(3, 2).requires_grad_(True)
    assert not final(walk(EXACT, x, *SIX[1], laws.ids(3))).x.requires_grad


def test_the_start_is_left_alone():
    # fails if a step writes into its input
    x = laws.normal(3, 2)
    before = x.clone()
    for plan, solver in SIX:
        final(walk(EXACT, x, plan, solver, laws.ids(3)))
    assert torch.equal(x, before)


def requests():
    """Six requests of different plans, solvers, lengths and sizes, with ids of their own."""
    for number, (plan, solver) in enumerate(SIX):
        noise = laws.ids(0).select(range(10 * number, 10 * number + 1 + number % 3))
        x = started(torch.zeros(len(noise.ids), 3, 6, 5), plan, noise)
        yield x, plan, solver, noise


@pytest.mark.parametrize("mode", ["exact", "default"])
def test_six_requests_at_once(mode):
    # fails if a request among strangers is not what it is alone: to the bit in the exact mode
    net = NetDenoiser(laws.SmallNet(), Velocity())
    denoise = Chunked(net, 4) if mode == "exact" else net
    alone = [final(walk(denoise, *request)) for request in requests()]
    ends = dict(serve(denoise, [trace(*request) for request in requests()]))
    for number, state in enumerate(alone):
        assert ends[number].calls == state.calls
        assert ends[number].level.is_data
        far = float((ends[number].x - state.x).abs().max() / state.x.abs().max())
        assert far == 0 if mode == "exact" else far < 1e-4


def test_serving_shares_the_calls():
    # fails if requests are run one after another: rounds are as many as the longest needs
    spy = Spy(NetDenoiser(laws.SmallNet(), Velocity()))
    ends = dict(serve(spy, [trace(*request) for request in requests()]))
    assert len(spy.levels) == max(state.calls for state in ends.values())


def test_states_tell_the_truth():
    # fails if a state's level is not the move's, or its mean not the last one asked for
    plan, means = langevin(descend(Karras()(Exploding(), 5))), []

    def asked(x, here, cond=None, *, there=None):
        means.append(EXACT(x, here))
        return means[-1]

    for move, state in zip(
        plan.moves, walk(asked, laws.normal(3, 2) * 80, plan, Euler(), laws.ids(3)), strict=True
    ):
        assert torch.equal(state.level.sigma, move.to.sigma)
        assert torch.equal(state.mean, means[-1])
        assert state.calls == len(means)


def test_each_move_has_noise_of_its_own():
    # fails if two renoises draw the same numbers, or the start's again
    drawn = []

    def noise(x, move):
        drawn.append(move)
        return laws.ids(3)(x, move)

    plan = ancestral(descend(Karras()(Exploding(), 6)), 1.0)
    final(walk(EXACT, laws.normal(3, 2), plan, Euler(), noise))
    assert len(drawn) == len(set(drawn)) == 5
    assert 0 not in drawn


def test_the_start_has_the_marginal_of_unit_data():
    # fails if a start at a finite top lacks the data's own spread
    for schedule in (Exploding(), Table(), Flow()):
        plan = descend(Logistic()(schedule, 5))
        noise = laws.ids(4)
        x = torch.zeros(4, 2).double()
        size = (plan.start.alpha**2 + plan.start.sigma**2).sqrt()
        torch.testing.assert_close(started(x, plan, noise), size * noise(x, 0))


def test_a_renoise_forgets():
    # fails if means from before a renoise are used after it: a restart must equal a fresh start
    levels = Karras(low=0.1)(Exploding(), 5)
    plan = descend(levels)
    again = Plan(plan.start, (*plan.moves[:4], Renoise(levels[2], 0.0), *plan.moves[2:]))
    for solver in (Multistep(2), UniPC(2), laws.Adams(3), SdeMultistep()):

        def still(x, move):
            return torch.zeros_like(x)

        states = list(walk(EXACT, laws.normal(3, 2) * 80, again, solver, still))
        fresh = Plan(levels[2], plan.moves[2:])
        lone = final(walk(EXACT, states[4].x, fresh, solver, still)).x
        torch.testing.assert_close(states[-1].x, lone, rtol=0, atol=0)


def test_level_rows():
    # fails if a shared level is not the same in every row
    rows = Level(torch.tensor(0.6), torch.tensor(0.8)).rows(3)
    assert rows.shape == (3,)
    assert rows.rows(3) is rows
