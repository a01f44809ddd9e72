"""The family of conditions: frozen settings that read values and build their embedder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from unmist.base.faults import BadInput
from unmist.base.kinds import Kinds
from unmist.core.condition import Sockets, Tokens

__all__ = ["Column", "Condition", "Reader", "Value", "chosen", "conditions", "wrong_wish"]

Value = Tensor | Tokens

Reader = Callable[[Sequence], tuple[Value, Tensor]]
"""Plain values, one a row -> what the embedder is given, and (b,) bool: which rows have any."""


@dataclass(frozen=True, eq=False)
class Column:
    """What training data say of each row; names: what the numbers of classes stand for."""

    values: Sequence | np.ndarray
    names: tuple[str, ...] = ()


class Condition(Protocol):
    """Settings of one thing that a model is told.

    `build` gives an embedder: (value or None, keep (b,) bool, x (b, c, *s)) -> Signals. A row that
    is not kept says the same, to the bit, whatever its value, and as where there is no value at
    all; what it says is learned by itself and belongs to no value.
    """

    open: ClassVar[tuple[str, ...]]
    """The settings that are read from the data where they are empty."""

    def settled(self, column: Column) -> "Condition":
        """The same with what was open taken from the training rows. Raises BadInput."""
        ...

    def sockets(self, shape: tuple[int, ...]) -> Sockets:
        """What its embedder plugs in, beside samples (c, *s)."""
        ...

    def build(self, shape: tuple[int, ...], seed: int) -> nn.Module:
        """The embedder beside samples (c, *s); equal seeds give equal weights."""
        ...

    def reader(self, cache: Path | None = None) -> Reader:
        """How plain values become tensors; what is costly to read may be kept in `cache`."""
        ...

    def wish(self, text: str) -> object:
        """The plain value that a user means. BadInput where the condition cannot follow it."""
        ...

    def doubt(self, text: str) -> str:
        """What may not come out as meant, in words; "" for nothing."""
        ...

    def turn(self) -> tuple[str, ...]:
        """The wishes drawn in turn where nothing is asked; none: it is then left out."""
        ...


conditions: Kinds[Condition] = Kinds("condition")


def chosen(values: Tensor, keep: Tensor, nothing: Tensor) -> Tensor:
    """Rows of values (b, k) where kept, `nothing` (k,) elsewhere, never through NaN or infinity."""
    return torch.where(keep[:, None], values, nothing.to(values))


def wrong_wish(what: str, mend: str) -> BadInput:
    """A wish that cannot be followed, in one line."""
    return BadInput(what, where="wish", mend=mend)
