"""A plan fitted to a closed-form model is better on seeds that it never saw."""

import core_laws as laws
import torch

from unmist.base.noise import Noise
from unmist.core.condition import Cond
from unmist.core.default import default_solver, default_spacing
from unmist.core.plan import descend
from unmist.core.schedules import Exploding, Flow
from unmist.training.tune import BASE, candidates, compared, errors, fine_paths, walked

EXACT = laws.mixture()


def paths(schedule, first, count):
    """Seeds and the fine solutions of the mixture."""
    noise = Noise(0, "tune", tuple(range(first, first + count)))
    like = torch.zeros(count, 2, dtype=torch.float64)
    return fine_paths(EXACT, schedule, noise, like, steps=80)


def test_the_base_is_the_default():
    """Fails if what is fitted begins from another solver than sampling's own."""
    assert default_solver() == BASE


def test_better_on_other_seeds():
    """Fails if levels and gains found on 32 seeds do not halve the error on 256 others."""
    for schedule, steps in ((Exploding(), 4), (Exploding(), 6), (Flow(), 5)):
        fit, held = paths(schedule, 0, 32), paths(schedule, 1000, 256)
        plan = descend(default_spacing()(schedule, steps))
        plain = errors(walked(EXACT, plan, default_solver(), held), held.ends)
        levels, gains = candidates(EXACT, schedule, steps, fit)
        for found, share in ((levels, 0.85), (gains, 0.5)):
            plan = descend(found.spacing(schedule, steps))
            assert len(plan.moves) == found.steps == steps
            gap, doubt = compared(errors(walked(EXACT, plan, found.solver, held), held.ends), plain)
            assert gap + 2 * doubt < 0
            assert gap < (share - 1) * float(plain.mean())


def test_nothing_to_gain_is_no_harm():
    """Fails if fitting moves levels where every plan is exact: a mean that is one point."""

    def point(x, here, cond=None, *, there=None):
        return torch.full_like(x, 0.3)

    noise = Noise(0, "tune", tuple(range(8)))
    fit = fine_paths(point, Exploding(), noise, torch.zeros(8, 2).double(), steps=16)
    for found in candidates(point, Exploding(), 3, fit):
        assert found.solver.predict == found.solver.correct == ((0.0, 0.0),) * 3
        ends = walked(point, descend(found.spacing(Exploding(), 3)), found.solver, fit)
        assert float(errors(ends, fit.ends).max()) < 1e-6


def test_conditions_of_few_rows():
    """Fails if derivatives, which are taken on some of the seeds, see others' conditions."""

    def told(x, here, cond=None, *, there=None):
        mean = torch.where(cond.values["side"] > 0, 1.0, -1.0)[:, None]
        at = here.like(x)
        return (x * at.alpha * 0.04 + mean * at.sigma**2) / (at.alpha**2 * 0.04 + at.sigma**2)

    sides = torch.tensor([1, -1, -1]).repeat(8)
    noise, like = Noise(0, "tune", tuple(range(24))), torch.zeros(24, 1).double()
    fit = fine_paths(told, Exploding(), noise, like, Cond({"side": sides}), steps=64)
    assert torch.equal(fit.ends[:, 0] > 0, sides > 0)
    assert torch.equal(fit.first(2).cond.values["side"], sides[:2])
    plan = descend(default_spacing()(Exploding(), 4))
    plain = errors(walked(told, plan, BASE, fit), fit.ends)
    *_, found = candidates(told, Exploding(), 4, fit)
    ends = walked(told, descend(found.spacing(Exploding(), 4)), found.solver, fit)
    assert float(errors(ends, fit.ends).mean()) < 0.5 * float(plain.mean())
