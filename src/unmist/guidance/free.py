"""Classifier-free guidance (2207.12598) in one batch, of any number of conditions (2206.01714)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from unmist.core.condition import Cond
from unmist.core.denoiser import Denoiser
from unmist.core.level import Level, lift
from unmist.core.variance import Spread
from unmist.guidance.interval import Interval
from unmist.guidance.wish import FREE, away, bare, scale_of

__all__ = ["Free"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class _Parts:
    """One batch of several questions: for each its conditions, the rows that ask it, its weight.

    weight, plain: (parts, b, ...) float64, of the guided mean and of the same at scale 1.
    """

    conds: list[Cond]
    rows: list[Tensor]
    weight: Tensor
    plain: Tensor


@dataclass(frozen=True, eq=False)
class Free:
    """D_none + scale*(D_cond - D_none), both halves in one batch (2207.12598, eq. 6).

    At every level this is the mean of p_t(x)^(1 - scale) * p_t(x|c)^scale. scale 1 is the
    conditional model and 0 the unconditional one, and each costs one evaluation, more cost two.
    `scales`: conditions by name that are taken apart from the rest, each with its own scale:
    D_none + sum scale_i*(D_i - D_none) (2206.01714, eq. 11), which is exact for conditions that
    are independent given x_t. Outside `interval` the model with all its conditions answers.
    A row may bring its own scale and a negative wish along (`unmist.guidance.wish`). `spreads`: who
    is asked for the variance.
    """

    denoise: Denoiser
    scale: float = 1.0
    scales: Mapping[str, float] = field(default_factory=dict)
    interval: Interval = field(default=Interval())
    spreads: Spread | None = None

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """Shape of x."""
        return self.pair(x, here, cond, there=there)[0]

    def pair(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> tuple[Tensor, Tensor]:
        """The guided mean, and the one at scale 1 from the same answers."""
        if (own := bare(cond)) is None or cond is None:
            mean = self.denoise(x, here, own, there=there)
            return mean, mean
        parts = self._parts(cond, own, here, x)
        answers = self._asked(self.denoise, parts, x, here, there)
        return _sum(parts.weight, answers, parts, x), _sum(parts.plain, answers, parts, x)

    def spread(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level
    ) -> tuple[Tensor, Tensor]:
        """The guided mean, and the gain that the conditional half learned."""
        assert self.spreads is not None, "built without"
        if (own := bare(cond)) is None or cond is None:
            return self.spreads.spread(x, here, own, there=there)
        parts, gain = self._parts(cond, own, here, x), torch.zeros_like(x)
        means, gains = self._asked(self.spreads.spread, parts, x, here, there)
        sizes = [len(rows) for rows in parts.rows]
        for rows, part in zip(parts.rows, gains.split(sizes), strict=True):  # the last one counts
            gain = gain.index_copy(0, rows, part)
        return _sum(parts.weight, means, parts, x), gain

    def _parts(self, cond: Cond, own: Cond, here: Level, x: Tensor) -> _Parts:
        """Nothing, then each condition with a scale of its own, the rest, and all together."""
        rest = [name for name in own.values if name not in self.scales]
        groups = [
            ([name], FREE + name, self.scales[name]) for name in own.values if name not in rest
        ]
        groups += [(rest, FREE, self.scale)] if rest else []
        other, several = away(cond), len(groups) > 1
        conds, scales = [other], []
        level = here.rows(len(x))
        inside = self.interval.holds(level)
        for names, entry, scale in groups:
            conds.append(_with(other, own, names))
            differs = _any(own, names) | _any(other, names)
            given = scale_of(cond, entry, scale, len(x)) * differs
            scales.append(torch.where(inside, _ranked(given, inside), 0.0 if several else 1.0))
        if several:  # outside the interval all are asked together, as the model learned them
            conds.append(own)
            scales.append(torch.where(inside, 0.0, 1.0).double())
        weight = torch.stack([1 - torch.stack(scales).sum(0), *scales])
        plain = (weight[1:] != 0).double()
        plain = torch.cat((1 - plain.sum(0, keepdim=True), plain))
        used = _somewhere(weight)
        alone = used.sum(0) == 1
        used = torch.where(alone, used, used | _somewhere(plain))
        rows = [row.nonzero()[:, 0].to(x.device) for row in used]
        plain = torch.where(_ranked(alone, inside), weight, plain)
        return _Parts(conds, rows, weight, plain)

    @staticmethod
    def _asked(
        ask: Callable[..., T], parts: _Parts, x: Tensor, here: Level, there: Level | None
    ) -> T:
        """What `ask` answers to all parts' rows in one call, part after part."""
        rows = torch.cat(parts.rows)
        given = [cond.rows(own) for cond, own in zip(parts.conds, parts.rows, strict=True)]
        to = _of(there, rows, len(x)) if there is not None else None
        return ask(x[rows], _of(here, rows, len(x)), Cond.join(given), there=to)


def _of(level: Level, rows: Tensor, count: int) -> Level:
    """The levels of some rows; one level for all stays one."""
    return level if level.shape == () else level.rows(count)[rows.cpu()]


def _with(other: Cond, own: Cond, names: list[str]) -> Cond:
    """`other`, but with `names` as in `own`."""
    values = {name: (own if name in names else other).values[name] for name in own.values}
    return Cond(values, {n: (own if n in names else other).kept(n) for n in own.values})


def _any(cond: Cond, names: list[str]) -> Tensor:
    """(b,) bool on the CPU: the rows that keep at least one of `names`."""
    return torch.stack([cond.kept(name).cpu() for name in names]).any(0)


def _somewhere(weight: Tensor) -> Tensor:
    """(parts, b) bool: the rows in which a part counts at all."""
    return (weight != 0).reshape(*weight.shape[:2], -1).any(2)


def _ranked(value: Tensor, like: Tensor) -> Tensor:
    """(b,) in the rank of `like` (b, ...)."""
    return value.reshape(len(value), *[1] * (like.ndim - 1))


def _sum(weight: Tensor, answers: Tensor, parts: _Parts, x: Tensor) -> Tensor:
    """sum_k weight_k*answer_k over the rows that asked, shape of x."""
    total, sizes = torch.zeros_like(x), [len(rows) for rows in parts.rows]
    for own, rows, part in zip(weight, parts.rows, answers.split(sizes), strict=True):
        total = total.index_add(0, rows, lift(own[rows.cpu()], part) * part)
    return total
