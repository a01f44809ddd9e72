"""A plan and its coefficients fitted to one model: what `unmist tune` stores."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.core.adams import Adams
from unmist.core.level import Level, Number, blend, lift
from unmist.core.schedule import Schedule
from unmist.core.solver import Asking, Seen, euler_parts, mean_at, solvers
from unmist.core.spacing import counted, falling, spacings

__all__ = ["Fitted", "Listed"]

SAME = 1e-6  # of log(sigma/alpha): levels as near as that are one


@spacings("listed")
@dataclass(frozen=True)
class Listed:
    """Levels by their sigma/alpha, noisiest first; for another number of steps, as dense as these.

    They are held inside the schedule's ends; where the first is below the schedule's top, x starts
    there, as pure noise of that level's size.
    """

    ratios: tuple[float, ...] = (80.0, 0.002)

    def __post_init__(self) -> None:
        if not falling(self.ratios):
            mend = "list sigma/alpha, noisiest first, all above 0"
            raise BadInput(f"ratios {self.ratios}", where="spacing.listed", mend=mend)

    def __call__(self, schedule: Schedule, steps: int) -> Level:
        """(steps,) levels; the list's own where it has as many."""
        logs = torch.tensor(self.ratios, dtype=torch.float64).log()
        if counted(steps) != len(logs):
            logs = _stretched(logs, steps)
        bottom, top = schedule.bottom.log_ratio, schedule.top.log_ratio
        logs = logs.clamp(min=bottom, max=top)
        if bool((logs.diff() >= 0).any()):
            mend = "list levels inside the schedule's ends"
            raise BadInput(f"ratios {self.ratios}", where="spacing.listed", mend=mend)
        return schedule.process(-2 * logs)


def _stretched(logs: Tensor, steps: int) -> Tensor:
    """`steps` places along the list, even in its index."""
    if len(logs) == 1:
        raise BadInput("one level is no density", where="spacing.listed", mend="ask for 1 step")
    place = torch.linspace(0, len(logs) - 1, steps, dtype=torch.float64)
    low = place.floor().long().clamp(max=len(logs) - 2)
    share = place - low
    return logs[low] * (1 - share) + logs[low + 1] * share


@solvers("fitted")
@dataclass(frozen=True)
class Fitted:
    """Adams with stored corrections at the levels it was fitted at; elsewhere Adams itself.

    For the i-th of `ratios`, predict[i] holds what the last two means count beyond Adams' weights
    in the step down from there, correct[i] the same in the correction of the step that led there:
    x' += take*sum_j gain_j*(D_(i-j) - D_i). Weights still add up, so the solver stays exact where
    the mean is constant. Gains are found by `unmist.training.tune`.
    """

    base: Adams = field(default_factory=lambda: Adams(3, scale=1.3))
    ratios: tuple[float, ...] = ()
    predict: tuple[tuple[float, float], ...] = ()
    correct: tuple[tuple[float, float], ...] = ()
    stochastic = False

    def __post_init__(self) -> None:
        if not len(self.ratios) == len(self.predict) == len(self.correct):
            mend = "one pair of gains a level"
            raise BadInput("tables of different lengths", where="solver.fitted", mend=mend)

    @property
    def order(self) -> int:
        """The base's."""
        return self.base.order

    @property
    def memory(self) -> int:
        """Two means, whatever the base uses."""
        return 2

    def __call__(
        self,
        x: Tensor,
        here: Level,
        there: Level,
        past: tuple[Seen, ...],
        noise: Callable[[Tensor], Tensor],
    ) -> Asking:
        """Correct, then predict, each with its gains."""
        mean = yield from mean_at(x, here, there)
        older = [old.mean for old in past[::-1]]
        nodes = [(here, mean), *((old.level, old.mean) for old in past[::-1])][: self.order]
        if past and self.order > 1 and not here.is_data:  # what is finished stays
            last = past[-1]
            better = self.base._advance(last.x, last.level, here, nodes)
            better = _more(better, (last.level, here), self._gains(here, self.correct), mean, older)
            done = here.sigma == 0
            x = torch.where(lift(done, x).bool(), x, better) if bool(done.any()) else better
        ahead = self.base._advance(x, here, there, nodes)
        ahead = _more(ahead, (here, there), self._gains(here, self.predict), mean, older)
        return ahead, Seen(here, x, mean)

    def _gains(self, at: Level, table: tuple[tuple[float, float], ...]) -> tuple[Number, ...]:
        """Those of the listed level that `at` is, 0 where it is none."""
        if not table or at.is_noise or at.is_data:  # an end has no finite ratio
            return (0.0, 0.0)
        if not at.shape:
            place = self._places.get(round(float(at.log_ratio) / SAME))
            return (0.0, 0.0) if place is None else table[place]
        logs = torch.tensor(self.ratios, dtype=torch.float64).log()
        far, place = (at.log_ratio[..., None] - logs).abs().min(-1)
        gains = torch.tensor(table, dtype=torch.float64)[place]
        return torch.where((far < SAME)[..., None], gains, 0.0).unbind(-1)

    @cached_property
    def _places(self) -> dict[int, int]:
        """Where in the tables a level stands, by its log(sigma/alpha) in units of `SAME`."""
        found = {}
        for place, ratio in enumerate(self.ratios):
            near = round(math.log(ratio) / SAME)
            found |= {near - 1: place, near: place, near + 1: place}
        return found


def _more(
    ahead: Tensor, step: tuple[Level, Level], gains: tuple[Number, ...], mean: Tensor,
    older: list[Tensor],
) -> Tensor:  # fmt: skip
    """ahead + take*sum_j gain_j*(D_(i-j) - D_i)."""
    take = euler_parts(*step)[1]
    terms = zip(gains, older, strict=False)
    used = [(gain, old) for gain, old in terms if isinstance(gain, Tensor) or gain]
    return blend(ahead, 1.0, *((gain * take, old - mean) for gain, old in used))
