"""Inversion: from a picture to the noise from which a plan draws that same picture.

Walking the ODE up and down again misses by the errors of the steps. `Undo` is Euler's (DDIM's) step
read backwards: it looks for the x whose step down ends where we are, so that the way down repeats
the way up to the accuracy of that search, however few the steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from unmist.base.faults import BadInput
from unmist.core.level import Level, lift
from unmist.core.solver import Ask, Asking, Seen, euler_step

__all__ = ["Undo"]


@dataclass(frozen=True)
class Undo:
    """A step up to `there` that Euler's step down undoes: `rounds` calls a step.

    Solves keep*z + take*D(z) = x for z by fixed points that start from the mean last seen; what is
    missing is added in units of alpha'/alpha, the most that the step down can carry, so that the
    rounds converge wherever the denoiser's derivative lies between 0 and 1/alpha, which is most of
    the time (2312.12540 divides by keep instead, and diverges where steps are long).
    """

    rounds: int = 2
    order = 1
    memory = 1
    stochastic = False

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise BadInput(f"{self.rounds} rounds", where="editing.Undo", mend="1 or more")

    def __call__(
        self,
        x: Tensor,
        here: Level,
        there: Level,
        past: tuple[Seen, ...],
        noise: Callable[[Tensor], Tensor],
    ) -> Asking:
        """x at `there`, noisier than `here`."""
        mean = past[-1].mean if past else x / lift(here.alpha, x)
        found = euler_step(x, mean, here, there)
        whole = lift(there.alpha / here.alpha, x)
        for _ in range(self.rounds):
            mean = yield Ask(found, there, here)
            found = found + whole * (x - euler_step(found, mean, there, here))
        return found, Seen(there, found, mean)
