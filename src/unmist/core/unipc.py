"""UniPC: a predictor and, from the same call, a corrector of the step before (2302.04867)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.core.level import Level, lift
from unmist.core.solver import Asking, Seen, euler_step, mean_at, solvers, stride, touches_end

__all__ = ["UniPC"]


@solvers("unipc")
@dataclass(frozen=True)
class UniPC:
    """UniPC-p with B(h) = e^h - 1 in the mean's form ('bh2'), one call a step.

    The mean asked for at `here` first corrects the step that led there, then predicts the next.
    """

    order: int = 2
    stochastic = False

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3):
            raise BadInput(f"order {self.order}", where="solver.unipc", mend="1, 2 or 3")

    @property
    def memory(self) -> int:
        """The corrector reaches one step further back than the predictor."""
        return self.order

    def __call__(
        self,
        x: Tensor,
        here: Level,
        there: Level,
        past: tuple[Seen, ...],
        noise: Callable[[Tensor], Tensor],
    ) -> Asking:
        """Correct, then predict."""
        mean = yield from mean_at(x, here, there)
        usable = tuple(old for old in past if not touches_end(old.level))
        if usable and not touches_end(here):
            x = self._advance(usable, here, Seen(here, x, mean))
        seen = Seen(here, x, mean)
        if touches_end(here, there):
            return euler_step(x, mean, here, there), seen
        return self._advance((*usable, seen), there, None), seen

    def _advance(self, points: tuple[Seen, ...], there: Level, arrived: Seen | None) -> Tensor:
        """From the newest point to `there`; with what was `arrived` at as one more node."""
        start, older = points[-1], points[:-1][::-1][: self.order - 1]
        h = stride(start.level, there)
        nodes = [stride(start.level, old.level) / h for old in older]
        slopes = [
            (old.mean - start.mean) / lift(r, start.x) for old, r in zip(older, nodes, strict=True)
        ]
        if arrived is not None:
            nodes.append(torch.ones_like(h))
            slopes.append(arrived.mean - start.mean)
        ahead = euler_step(start.x, start.mean, start.level, there)
        base = -torch.expm1(-h)
        for weight, slope in zip(_weights(nodes, h), slopes, strict=True):
            ahead = ahead + lift(there.alpha * base * weight, start.x) * slope
        return ahead


def _weights(nodes: list[Tensor], h: Tensor) -> list[Tensor]:
    """Solve sum_j r_j^(i-1)*w_j = b_i; one node has the closed form 1/2 (2302.04867, eq. 11)."""
    if not nodes:
        return []
    if len(nodes) == 1:
        return [torch.full_like(h, 0.5)]
    count = len(nodes)
    matrix = torch.stack([torch.stack([r**i for r in nodes], -1) for i in range(count)], -2)
    right = torch.stack(_moments(count, h), -1)
    return list(torch.linalg.solve(matrix, right).unbind(-1))


def _moments(count: int, h: Tensor) -> list[Tensor]:
    """b_i = i!*phi_(i+1)(-h)*h/(1 - e^-h), i from 1."""
    step = -h
    level = torch.expm1(step) / step
    values = []
    for i in range(1, count + 1):
        level = (level - 1 / math.factorial(i)) / step
        values.append(level * step * math.factorial(i) / torch.expm1(step))
    return values
