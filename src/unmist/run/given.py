"""What the data say of each row, as the conditions that a recipe names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unmist.base.faults import BadInput, CannotWrite
from unmist.conditions.family import Column, Condition, Reader
from unmist.conditions.label import Label
from unmist.conditions.remainder import Remainder
from unmist.conditions.small import Small
from unmist.conditions.text import Text
from unmist.core.condition import Cond, Tokens
from unmist.data.dataset import DataSet
from unmist.data.index import cache_home
from unmist.run.recipe import Recipe

__all__ = ["Given", "column_of", "cond_of", "given_of", "like", "readings", "settle"]


@dataclass(frozen=True, eq=False)
class Given:
    """The conditions of rows by their numbers, each from its column of the data."""

    columns: dict[str, tuple[Column, Reader]]
    device: torch.device

    def __call__(self, rows: np.ndarray) -> Cond | None:
        """rows (b,) int64 -> their conditions; None where the recipe names none."""
        if not self.columns:
            return None
        plain = {
            name: (reader, [column.values[int(row)] for row in rows])
            for name, (column, reader) in self.columns.items()
        }
        return cond_of(plain, self.device)


def cond_of(plain: Mapping[str, tuple[Reader, Sequence]], device: torch.device) -> Cond:
    """Plain values by name, each beside its reader, one a row, as conditions."""
    values, keep = {}, {}
    for name, (reader, rows) in plain.items():
        value, kept = reader(rows)
        if isinstance(value, Tokens):
            values[name] = Tokens(value.values.to(device), value.mask.to(device))
        else:
            values[name] = value.to(device)
        keep[name] = kept.to(device)
    return Cond(values, keep)


def given_of(recipe: Recipe, data: DataSet, device: torch.device) -> Given:
    """What the data say of their rows, for a recipe that was settled. Raises BadInput."""
    columns = {
        name: (
            _own(name, condition, column_of(name, condition, data)),
            condition.reader(readings()),
        )
        for name, condition in recipe.conditions.items()
    }
    for name, condition in recipe.conditions.items():
        if isinstance(condition, Text):  # now, not at the first step that needs each
            column, reader = columns[name]
            reader(sorted(set(column.values)))
    return Given(columns, device)


def readings() -> Path | None:
    """Where costly readings of conditions are kept; None where there is no place for a cache."""
    try:
        return cache_home(None).parent / "readings"
    except CannotWrite:
        return None


def column_of(name: str, condition: Condition, data: DataSet) -> Column:
    """Where a condition finds its values in the data; BadInput where there are none."""
    values: Sequence | np.ndarray | None
    match condition:
        case Label():
            values, what = data.labels, "labels"
        case Small() | Remainder():
            values, what = data.values, "samples"
        case Text():
            values, what = data.captions, "captions"
        case _:
            values, what = data.given.get(name), f"column '{name}'"
    if values is None:
        has = ["label"] * (data.labels is not None) + ["text"] * (data.captions is not None)
        mend = f"train without it, or on {', '.join([*has, *data.given]) or 'other data'}"
        raise BadInput(f"{data.name} has no {what}", where=f"conditions.{name}", mend=mend)
    return Column(values, data.classes if isinstance(condition, Label) else ())


def _own(name: str, condition: Condition, column: Column) -> Column:
    """Numbers of classes as the condition counts them, where the data name theirs otherwise."""
    if not isinstance(condition, Label) or condition.classes == column.names:
        return column
    if strange := [one for one in column.names if one not in condition.classes]:
        raise BadInput(
            f"the data have a class '{strange[0][:40]}' that the model does not know",
            where=f"conditions.{name}",
            mend="restore the data, or train anew",
        )
    number = np.array([*map(condition.classes.index, column.names), -1])
    return Column(number[np.asarray(column.values)], condition.classes)


def settle(recipe: Recipe, data: DataSet) -> Recipe:
    """The recipe with what its conditions leave open taken from the training rows."""
    settled = {}
    for name, condition in recipe.conditions.items():
        column = column_of(name, condition, data)
        train = Column([column.values[int(row)] for row in data.train], column.names)
        settled[name] = condition.settled(train)
    return replace(recipe, conditions=settled)


def like(asked: dict[str, Condition], there: dict[str, Condition]) -> dict[str, Condition]:
    """The asked conditions, with what they leave open as it is in those that are there."""
    filled = dict(asked)
    for name, condition in asked.items():
        other = there.get(name)
        if type(other) is type(condition):
            part: Any = condition
            empty = vars(type(part)())
            open_ = [key for key in part.open if getattr(part, key) == empty[key]]
            filled[name] = replace(part, **{key: getattr(other, key) for key in open_})
    return filled
