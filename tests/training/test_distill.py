"""A student learns its teacher's map between its own levels, in the loop that trains everything."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from unmist.base.faults import BadInput
from unmist.base.noise import Noise, keyed
from unmist.core.denoiser import NetDenoiser
from unmist.core.exact import Gaussian
from unmist.core.fitted import Listed
from unmist.core.level import DATA, Level
from unmist.core.plan import descend
from unmist.core.prediction import Edm
from unmist.core.schedules import Exploding, Flow
from unmist.core.solver import Euler, Heun
from unmist.core.student import Interval
from unmist.core.walk import final, started, walk
from unmist.training.distill import Distilling, Student, student_levels
from unmist.training.ema import Average
from unmist.training.loop import Batches, Learner, Schooling
from unmist.training.optimizer import AdamW

MEAN, SPREAD = torch.tensor([0.6, -0.4]), torch.tensor([[0.5, 0.2], [0.2, 0.3]])
EXACT = Gaussian(MEAN, SPREAD)


class Affine(nn.Module):
    """A matrix and an offset for each of two clocks: what the map of a Gaussian is."""

    def __init__(self, split: float) -> None:
        super().__init__()
        self.split = split
        self.matrix = nn.Parameter(torch.zeros(2, 2, 2))
        self.offset = nn.Parameter(torch.zeros(2, 2))

    def forward(self, x, clock, cond=None):
        which = (clock > self.split).long()
        return torch.einsum("bij,bj->bi", self.matrix[which], x) + self.offset[which]


def exact_map(x, here: Level, there: Level):
    """Along a Gaussian's flow, the part along each axis scales with its spread there."""
    values, axes = torch.linalg.eigh(SPREAD.double())
    sizes = [(at.alpha**2 * values + at.sigma**2).sqrt() for at in (here, there)]
    off = (x.double() - here.alpha * MEAN) @ axes
    return there.alpha * MEAN + (off * sizes[1] / sizes[0]) @ axes.T


def test_levels_are_the_students_own():
    """Fails if training asks other levels than sampling will, or some of them more often."""
    schedule = Exploding()
    ratios = student_levels(schedule, 4)
    task = Distilling(EXACT, schedule, Edm(), Student(teacher="", ratios=ratios))
    found = task.levels((torch.arange(64).double() + 0.5) / 64).ratio
    counts = [int(((found / ratio - 1).abs() < 1e-9).sum()) for ratio in ratios]
    assert counts == [16] * 4
    after = task.next(schedule.process(-2 * torch.tensor(ratios, dtype=torch.float64).log()))
    torch.testing.assert_close(after.ratio, torch.tensor([*ratios[1:], 0.0]).double())


@pytest.mark.parametrize("schedule", [Exploding(), Flow()], ids=["exploding", "flow"])
def test_the_target_is_the_exact_map(schedule):
    """Fails if the teacher's path, in few calls, does not end where the Gaussian's flow does."""
    ratios = student_levels(schedule, 2)
    task = Distilling(EXACT, schedule, Edm(), Student(teacher="", ratios=ratios, inner=12))
    here = schedule.process(-2 * torch.tensor([*ratios, *ratios], dtype=torch.float64).log())
    x = torch.from_numpy(keyed(0, "x").standard_normal((4, 2))) * here.sigma[:, None]
    found, there = task.arrived(x, here, task.next(here), None), task.next(here)
    for row in range(4):
        want = exact_map(x[row : row + 1], here[row], there[row])
        torch.testing.assert_close(found[row : row + 1], want, atol=0.01, rtol=0)


def test_a_student_of_a_gaussian_recovers_its_map():
    """Fails if two steps of the trained student end beyond 0.03 from the exact flow."""
    schedule, draw = Exploding(), keyed(1, "data")
    rows = draw.multivariate_normal(MEAN.numpy(), SPREAD.numpy(), size=1024)
    table = torch.from_numpy(rows).float()
    ratios = student_levels(schedule, 2)
    task = Distilling(EXACT, schedule, Edm(), Student(teacher="", ratios=ratios, inner=6))
    learner = Learner(
        net=Affine(split=math.log(ratios[0] * ratios[1]) / 8),
        objective=task,
        optimizer=AdamW(rate=0.03, weight_decay=0.0),
        average=Average(0.05),
        schooling=Schooling(samples=32 * 200, batch=32, drop=0.0),
        batches=Batches(len(table), lambda rows: (table[rows], None)),
    )
    while not learner.done:
        learner.advance()
    student = Interval(NetDenoiser(learner.ema, Edm()), ratios)
    plan, noise = descend(Listed(ratios)(schedule, 2)), Noise(0, "sample", tuple(range(256)))
    x = started(torch.zeros(256, 2), plan, noise)
    last = final(walk(student, x, plan, Euler(), noise))
    assert last.calls == 2
    error = (last.x - exact_map(x, plan.start, DATA)).pow(2).mean().sqrt()
    assert float(error) < 0.03


def test_a_student_refuses_other_steps():
    """Fails if a solver that asks inside an interval, or another plan, is answered."""
    ratios = (80.0, 1.2)
    student, noise = Interval(EXACT, ratios), Noise(0, "sample", (0, 1))
    plan = descend(Listed(ratios)(Exploding(), 2))
    x = started(torch.zeros(2, 2), plan, noise)
    final(walk(student, x, plan, Euler(), noise))
    with pytest.raises(BadInput, match="own levels"):
        final(walk(student, x, plan, Heun(), noise))
    with pytest.raises(BadInput, match="own levels"):
        final(walk(student, x, descend(Listed(ratios)(Exploding(), 3)), Euler(), noise))
    with pytest.raises(BadInput, match="own levels"):
        student(x, plan.start)


def test_settings_are_checked():
    """Fails if levels that do not fall, or a target of no calls, are taken."""
    good = Student(teacher="", ratios=(80.0, 1.0))
    for wrong in ({"ratios": (1.0, 80.0)}, {"ratios": ()}, {"inner": 0}, {"huber": 0.0}):
        with pytest.raises(BadInput):
            replace(good, **wrong)
