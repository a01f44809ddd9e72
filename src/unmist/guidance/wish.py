"""What guidance is told row by row: scales and negative wishes, carried in the conditions.

Rows are permuted, cut into chunks and joined with strangers' on their way to the network, and
`Cond` is what stays with them. So a scale a row and a negative wish are entries of it, under names
with a colon, which no condition has: guidance reads them and takes them out before the network.

    "free:"       the scale of classifier-free guidance, (b,)
    "free:text"   the scale of one condition
    "auto:"       the scale of autoguidance, and "classifier:" of classifier guidance
    "not:text"    the value that stands in the other half instead of nothing
"""

import torch
from torch import Tensor

from unmist.core.condition import Cond

__all__ = ["AUTO", "CLASSIFIER", "FREE", "away", "bare", "negated", "scale_of", "scaled"]

FREE, AUTO, CLASSIFIER, NOT = "free:", "auto:", "classifier:", "not:"


def scaled(cond: Cond | None, scale: Tensor, entry: str = FREE) -> Cond:
    """The same conditions with a scale a row, (b,); entry: whose, as `FREE + "text"`."""
    cond = cond or Cond({})
    assert scale.ndim == 1, "one scale a row"
    return Cond({**cond.values, entry: scale}, cond.keep)


def negated(cond: Cond, negative: Cond) -> Cond:
    """The same conditions with a wish to be led away from; its own masks say in which rows."""
    assert set(negative.values) <= set(cond.values), "a negative wish of something not asked for"
    values = {NOT + name: value for name, value in negative.values.items()}
    kept = {NOT + name: negative.kept(name) for name in negative.values}
    return Cond({**cond.values, **values}, {**cond.keep, **kept})


def bare(cond: Cond | None) -> Cond | None:
    """What the network is told; None where that is nothing."""
    if cond is None:
        return None
    values = {name: value for name, value in cond.values.items() if ":" not in name}
    keep = {name: mask for name, mask in cond.keep.items() if ":" not in name}
    return Cond(values, keep) if values else None


def away(cond: Cond) -> Cond:
    """The other half: the negative wish where a row has one, and nothing where it has none."""
    own = bare(cond) or Cond({})
    values = {name: cond.values.get(NOT + name, value) for name, value in own.values.items()}
    keep = {
        name: cond.kept(NOT + name)
        if NOT + name in cond.values
        else torch.zeros_like(own.kept(name))
        for name in own.values
    }
    return Cond(values, keep)


def scale_of(cond: Cond | None, entry: str, otherwise: float, rows: int) -> Tensor:
    """(rows,) float64: the scale that each row brings, `otherwise` where it brings none."""
    same = torch.full((rows,), float(otherwise), dtype=torch.float64)
    if cond is None or entry not in cond.values:
        return same
    given = cond.values[entry]
    assert isinstance(given, Tensor)
    return torch.where(cond.kept(entry).cpu(), given.double().cpu(), same)
