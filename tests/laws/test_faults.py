"""Planted faults: each, put into the source for a moment, must break the law that names it."""

import core_laws as laws
import pytest
import torch

from unmist.core.level import DATA, Level, lift, renoised
from unmist.core.plan import Plan, Renoise, Step, ancestral, descend, langevin
from unmist.core.prediction import Velocity, mean_of
from unmist.core.schedule import preserving
from unmist.core.schedules import Exploding
from unmist.core.solver import Euler, Heun, Multistep, euler_step
from unmist.core.spacing import Discrete, Logistic
from unmist.core.table import Table
from unmist.core.walk import final, trace, walk

EXACT = laws.mixture()


def sampled(plan, solver, bias):
    """The law of moments, on a plan."""
    x = laws.exact_start(EXACT, plan.start)
    laws.law_moments(final(walk(laws.Many(EXACT), x, plan, solver, laws.ids(8))).x, EXACT, bias)


def law_forgetting():
    """What follows a renoise is what follows a fresh start there."""
    levels = Logistic()(Exploding(), 5)
    plan = descend(levels)
    again = Plan(plan.start, (*plan.moves[:3], Renoise(levels[1], 0.0), *plan.moves[1:]))
    states = list(walk(EXACT, laws.normal(3, 2) * 80, again, Multistep(2), laws.ids(3)))
    fresh = Plan(levels[1], plan.moves[1:])
    lone = final(walk(EXACT, states[3].x, fresh, Multistep(2), laws.ids(3))).x
    assert torch.equal(states[-1].x, lone)


def law_leading():
    """'leading' is 0, n/N, 2n/N … (DDIM's range(0, 1000, 20)), noisiest first."""
    assert Discrete("leading").indices(1000, 50).tolist() == list(range(0, 1000, 20))[::-1]
    assert Discrete("leading", 1).indices(1000, 10).tolist() == list(range(1, 1000, 100))[::-1]


def law_moments_of(name):
    step = descend(Logistic(width=1.6)(Exploding(), 25))
    plans = {
        "plain": (step, Heun(), 0.01),
        "eta 1": (ancestral(descend(Logistic(width=1.6)(Exploding(), 100)), 1.0), Euler(), 0.03),
        "langevin": (langevin(step, times=1, share=0.3), Heun(), 0.01),
    }
    sampled(*plans[name])


# name -> (function, piece of its source, the fault, the law that must break)
FAULTS = {
    "old level for the new one, in the question": (
        Heun.__call__,
        "second = yield from mean_at(ahead, there, there)",
        "second = yield from mean_at(ahead, here, there)",
        lambda: laws.law_order(Heun(), preserving),
    ),
    "old level for the new one, in the loop": (
        trace,
        "here = move.to",
        "here = here",
        lambda: law_moments_of("plain"),
    ),
    "old level for the new one, in the step": (
        euler_step,
        "euler_parts(here, there)",
        "euler_parts(there, there)",
        lambda: laws.law_order(Euler(), preserving),
    ),
    "memory kept across a renoise": (
        trace,
        "move.gain), ()",
        "move.gain), past",
        law_forgetting,
    ),
    "levels broadcast from the right": (
        lift,
        "value.reshape(*value.shape, *[1] * (x.ndim - value.ndim))",
        "value",
        lambda: laws.law_rows_alone(Euler()),
    ),
    "float64 creeping in": (
        lift,
        ".to(x)",
        "",
        lambda: laws.law_dtype(Euler(), (4,)),
    ),
    "v by alpha^2 + sigma^2": (
        Velocity.out,
        "-level.sigma * unit(level)",
        "-level.sigma * unit(level) ** 2",
        lambda: laws.law_scale_free(Velocity()),
    ),
    "the mean's network term with the wrong sign": (
        mean_of,
        "(out, output)",
        "(-out, output)",
        lambda: laws.law_round_trip(Velocity(), Table()),
    ),
    "the gain overwritten": (
        renoised,
        "(gain * spread",
        "(1.0 * spread",
        lambda: laws.law_posterior(preserving, larger=True),
    ),
    "noise put in place of x": (
        renoised,
        "blend(x, keep,",
        "blend(x, 0.0,",
        lambda: law_moments_of("langevin"),
    ),
    "noise of sigma' and not of what is missing": (
        renoised,
        "gain * spread",
        "gain * to_sigma",
        lambda: law_moments_of("eta 1"),
    ),
    "eta without its square": (
        ancestral,
        "(eta * share) ** 2",
        "eta * share",
        lambda: laws.law_posterior(preserving),
    ),
    "'leading' off by one": (
        Discrete.indices,
        "+ self.offset",
        "+ self.offset + 1",
        law_leading,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_caught(name):
    # fails if the law lets the fault through, or does not hold without it
    function, old, new, law = FAULTS[name]
    law()
    with laws.planted(function, old, new), pytest.raises(AssertionError):
        law()


def test_the_round_trip_alone_would_miss_v():
    # fails if this fault shows in the round trip: then the scale law would not be needed for it
    with laws.planted(Velocity.out, "unit(level)", "unit(level) ** 2"):
        laws.law_round_trip(Velocity(), Table())
    assert DATA.is_data
    assert Step(Level(torch.ones(()), torch.ones(()))).to.shape == ()
