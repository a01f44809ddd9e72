"""Twisted particles: several tries a picture, weighed and drawn anew while the noise falls.

`Posterior` takes the picture for a Gaussian around the mean; where it has several modes their
shares come out wrong. Here each row is a group of particles that Posterior leads. What it did to
their law is known step by step, so weights put it right (twisted diffusion sampler, 2306.17776,
alg. 1), exactly so as the particles grow in number. The cost is that of as many pictures.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import Noise, keyed
from unmist.core.condition import Cond
from unmist.core.level import lift
from unmist.core.plan import Plan
from unmist.core.variance import reverse
from unmist.core.walk import State, started
from unmist.editing.posterior import Posterior

__all__ = ["Particles"]


@dataclass(frozen=True, eq=False)
class Particles:
    """`count` particles a row, led by `lead`, drawn anew where fewer than `least` of them count."""

    lead: Posterior
    count: int = 8
    least: float = 0.5

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 < self.least <= 1:
            what = f"{self.count} particles, least {self.least}"
            raise BadInput(what, where="editing.Particles", mend="1 or more, a share in (0, 1]")

    def walk(
        self, like: Tensor, plan: Plan, noise: Noise, cond: Cond | None = None
    ) -> Iterator[State]:
        """Down a plan's stops, ancestrally; x has b*count rows until the last State, which has b.

        One particle a row is drawn by weight at the end. calls counts those of a row's particles.
        """
        index = torch.arange(len(like)).repeat_interleave(self.count)
        own = _herded(noise, self.count)
        cond = cond.rows(index) if cond is not None else None
        lead = self.lead if len(self.lead.y) == 1 else replace(self.lead, y=self.lead.y[index])
        x, logs = started(like[index], plan, own), torch.zeros(len(like), self.count).double()
        before = logs
        for number, (here, move) in enumerate(plan.legs(), start=1):
            told = lead.told(x, here, cond, there=move.to)
            logs, before = logs + told.log_p.view_as(logs) - before, told.log_p.view_as(logs)
            picked, logs = self._drawn(logs, noise, number)
            before, step = before.flatten()[picked].view_as(logs), reverse(here, move.to)
            x, plain, mean = x[picked], told.plain[picked], told.mean[picked]
            eps = own(x, number)
            x = lift(step.keep, x) * x + lift(step.take, x) * mean + lift(step.std, x) * eps
            if not move.to.is_data:
                push = (mean - plain) * lift(step.take / step.std, x)
                logs = logs - (push * (eps + push / 2)).flatten(1).sum(1).double().view_as(logs)
            yield State(move.to, x, mean, number * self.count)
        chosen = _systematic(logs.softmax(1), 1, noise, len(plan.moves) + 1).flatten()
        yield State(plan.moves[-1].to, x[chosen], None, len(plan.moves) * self.count)

    def _drawn(self, logs: Tensor, noise: Noise, number: int) -> tuple[Tensor, Tensor]:
        """Which particles go on (b*count,), and their weights: even where they were drawn anew."""
        shares = logs.softmax(1)
        poor = 1 / (shares**2).sum(1) < self.least * self.count
        stay = torch.arange(logs.numel()).view_as(logs)
        anew = _systematic(shares, self.count, noise, number)
        picked = torch.where(poor[:, None], anew, stay).flatten()
        return picked, torch.where(poor[:, None], 0.0, logs)


def _herded(noise: Noise, count: int) -> Noise:
    """A stream for each particle: f(seed, purpose, the row, the number of the particle in it)."""
    ids = tuple(number * count + i for number in noise.ids for i in range(count))
    return replace(noise, purpose=f"{noise.purpose}, {count} particles", ids=ids)


def _systematic(shares: Tensor, count: int, noise: Noise, number: int) -> Tensor:
    """`count` draws a row by shares (b, k), evenly spread: indices (b, count) into b*k."""
    rows, width = shares.shape
    purpose = f"{noise.purpose}, drawn anew"
    starts = [keyed(noise.seed, purpose, row, number).random() for row in noise.ids]
    places = (torch.tensor(starts, dtype=torch.float64)[:, None] + torch.arange(count)) / count
    found = torch.searchsorted(shares.cumsum(1), places).clamp(max=width - 1)
    return found + width * torch.arange(rows)[:, None]
