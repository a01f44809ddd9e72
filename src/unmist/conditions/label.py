"""A class of the data, as a vector."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean
from unmist.conditions.family import Column, Reader, Value, conditions, wrong_wish
from unmist.core.condition import Signals, Sockets
from unmist.nn.seeded import seeded

__all__ = ["Label", "LabelEmbedder"]


@conditions("label")
@dataclass(frozen=True, kw_only=True)
class Label:
    """One of `classes` by its number; its row of a learned table, `width` wide, is the vector.

    Rows of -1 have no class. "Nothing" is a row of its own, never a class: as in classifier-free
    guidance (Ho & Salimans 2022), but with a mask in place of a number that means nothing.
    """

    open: ClassVar[tuple[str, ...]] = ("classes",)

    classes: tuple[str, ...] = ()
    width: int = 128

    def __post_init__(self) -> None:
        if self.width < 1 or len(set(self.classes)) < len(self.classes):
            raise BadInput(
                f"{self}"[:80], where="label", mend="width 1 or more, classes that differ"
            )

    def settled(self, column: Column) -> "Label":
        """With the data's classes."""
        if self.classes and self.classes != column.names:
            known, named = (", ".join(part[:9])[:60] for part in (self.classes, column.names))
            raise BadInput(
                f"its classes ({known}) are not those of the data ({named})",
                where="label",
                mend="leave classes out: the data name them; or leave --from out",
            )
        return replace(self, classes=column.names)

    def sockets(self, shape: tuple[int, ...]) -> Sockets:
        """A vector."""
        return Sockets(vector=self.width)

    def build(self, shape: tuple[int, ...], seed: int) -> "LabelEmbedder":
        """A row a class, and one for nothing."""
        with seeded(seed):
            return LabelEmbedder(len(self.classes), self.width)

    def reader(self, cache: Path | None = None) -> Reader:
        """Numbers of classes -> int64 (b,)."""
        return numbered

    def wish(self, text: str) -> int:
        """The number of the class of this name."""
        if text not in self.classes:
            raise wrong_wish(f"no class '{text[:40]}'", did_you_mean(text, list(self.classes)))
        return self.classes.index(text)

    def doubt(self, text: str) -> str:
        """None: what can be followed is."""
        return ""

    def turn(self) -> tuple[str, ...]:
        """Every class."""
        return self.classes


def numbered(rows: Sequence) -> tuple[Value, Tensor]:
    """int64 (b,) and whether each is a class; None and -1 are none."""
    value = torch.tensor([-1 if row is None else int(row) for row in rows], dtype=torch.int64)
    return value, value >= 0


class LabelEmbedder(nn.Module):
    """The table; its row 0 is "nothing", row k + 1 is class k."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(classes + 1, width)

    def forward(self, value: Tensor | None, keep: Tensor, x: Tensor) -> Signals:
        """value int64 (b,) -> vector (b, width)."""
        row = torch.zeros_like(keep, dtype=torch.int64)
        if value is not None:
            row = torch.where(keep, value.to(row.device) + 1, row)
        return Signals(vector=self.table(row))
