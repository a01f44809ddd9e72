"""What a student of one, two or four steps learns: its teacher's own way between its levels.

The student's step from a level to the next is fitted to the end of the teacher's path from the same
x, x from real data noised to that level. Consistency models in several steps (2403.06807) learn the
same map from their own answers further on; here the teacher walks the whole stretch, in few calls,
so the target does not move while the student learns, and nothing adversarial is needed.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import Noise
from unmist.core.condition import Cond
from unmist.core.default import default_solver, default_spacing
from unmist.core.denoiser import Denoiser, Network
from unmist.core.level import Level, lift, noised
from unmist.core.plan import Plan, Step
from unmist.core.prediction import Prediction
from unmist.core.schedule import Schedule
from unmist.core.solver import euler_parts
from unmist.core.spacing import Logistic, Spacing, falling
from unmist.core.walk import final, walk

__all__ = ["Distilling", "Student", "student_levels"]

HIGHEST = 80.0  # of sigma/alpha, where a schedule's top is NOISE


@dataclass(frozen=True, kw_only=True)
class Student:
    """What makes a recipe a student's.

    teacher: the SHA-256 of its weights; ratios: sigma/alpha where the student's steps begin, the
    last ends at DATA; inner: calls of the teacher for one step's target; huber: the error, as a
    root mean square, beyond which it counts by its size and not by its square.
    """

    teacher: str
    ratios: tuple[float, ...]
    inner: int = 4
    huber: float = 0.03

    def __post_init__(self) -> None:
        if not falling(self.ratios):
            mend = "sigma/alpha, noisiest first, all above 0"
            raise BadInput(f"ratios {self.ratios}", where="student", mend=mend)
        if self.inner < 1 or not self.huber > 0:
            what = f"inner {self.inner}, huber {self.huber}"
            raise BadInput(what, where="student", mend="1 or more, above 0")


def student_levels(
    schedule: Schedule, steps: int, spacing: Spacing | None = None
) -> tuple[float, ...]:
    """Where a student's steps begin: the schedule's top, and on by the teacher's spacing."""
    levels = (spacing or default_spacing())(schedule, steps).log_ratio
    if schedule.top.is_noise:
        levels = levels.clamp(max=math.log(HIGHEST))
    return tuple(levels.exp().tolist())


@dataclass(frozen=True, eq=False)
class Distilling:
    """An objective like `unmist.core.objective.Objective`: the same loop minimises it."""

    teacher: Denoiser
    schedule: Schedule
    prediction: Prediction
    student: Student

    def levels(self, u: Tensor) -> Level:
        """One of the student's own for each u (b,) in (0, 1), in equal shares."""
        logs = torch.tensor(self.student.ratios, dtype=torch.float64).log()
        place = (u * len(logs)).long().clamp(max=len(logs) - 1)
        return self.schedule.process(-2 * logs[place])

    def __call__(
        self, net: Network, x0: Tensor, eps: Tensor, level: Level, cond: Cond | None = None
    ) -> Tensor:
        """Loss a row (b,): the student's interval mean against its teacher's, in unit size."""
        x, there = noised(x0, level, eps), self.next(level)
        keep, take = (torch.as_tensor(part) for part in euler_parts(level, there))
        goal = (self.arrived(x, level, there, cond) - lift(keep, x) * x) / lift(take, x)
        skip, out = self.prediction.skip(level), self.prediction.out(level)
        clock = self.prediction.clock(level.rows(len(x))).to(x)
        answer = net(lift(self.prediction.scale(level), x) * x, clock, cond)[:, : x.shape[1]]
        error = answer - (goal - lift(skip, x) * x) / lift(out, x)
        size = self.student.huber
        return (error.square().flatten(1).mean(1) + size**2).sqrt() - size

    def next(self, level: Level) -> Level:
        """Where the student's step from each of the levels (b,) ends."""
        logs = torch.tensor(self.student.ratios, dtype=torch.float64).log()
        place = (level.log_ratio[..., None] - logs).abs().argmin(-1)
        last = place == len(logs) - 1
        after = self.schedule.process(-2 * logs[(place + 1).clamp(max=len(logs) - 1)])
        return Level(torch.where(last, 1.0, after.alpha), torch.where(last, 0.0, after.sigma))

    def arrived(self, x: Tensor, here: Level, there: Level, cond: Cond | None) -> Tensor:
        """The end of the teacher's path, walked in `inner` steps between levels (b,)."""
        shape = default_spacing()
        assert isinstance(shape, Logistic)
        first, end = (shape.quantile(level.log_ratio) for level in (here, there))
        stops = [
            self.schedule.process(
                -2 * shape.log_ratio(first + (end - first) * i / self.student.inner)
            )
            for i in range(1, self.student.inner)
        ]
        still = Noise(0, "steps draw nothing", tuple(range(len(x))))
        plan = Plan(here, (*map(Step, stops), Step(there)))
        return final(walk(self.teacher, x, plan, default_solver(), still, cond)).x
