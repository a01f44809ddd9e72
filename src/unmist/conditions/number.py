"""A number that is known of each sample, as a vector."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from unmist.base.faults import BadInput
from unmist.conditions.family import Column, Reader, Value, chosen, conditions, wrong_wish
from unmist.core.condition import Signals, Sockets
from unmist.nn.seeded import seeded

__all__ = ["Number", "NumberEmbedder"]


@conditions("number")
@dataclass(frozen=True, kw_only=True)
class Number:
    """A number from `low` to `high`, as sines and cosines of its place between them.

    Rows of NaN have none. Both ends are those of the training rows where nothing is said.
    """

    open: ClassVar[tuple[str, ...]] = ("low", "high")

    low: float = 0.0
    high: float = 0.0
    width: int = 128

    def __post_init__(self) -> None:
        if self.low > self.high or self.width < 2:
            raise BadInput(f"{self}", where="number", mend="low below high, width 2 or more")

    def settled(self, column: Column) -> "Number":
        """With the least and the largest of the data."""
        known = [float(value) for value in column.values if math.isfinite(value)]
        if not known or min(known) == max(known):
            raise BadInput("the data hold no two different numbers", where="number")
        if self.low < self.high:
            return self
        return replace(self, low=min(known), high=max(known))

    def sockets(self, shape: tuple[int, ...]) -> Sockets:
        """A vector."""
        return Sockets(vector=self.width)

    def build(self, shape: tuple[int, ...], seed: int) -> "NumberEmbedder":
        """Waves, a layer, and a vector for nothing."""
        with seeded(seed):
            return NumberEmbedder(self)

    def reader(self, cache: Path | None = None) -> Reader:
        """Numbers -> float32 (b,)."""
        return measured

    def wish(self, text: str) -> float:
        """The number, where it lies between both ends."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not self.low <= value <= self.high:
            mend = f"give a number from {self.low:g} to {self.high:g}"
            raise wrong_wish(f"'{text[:40]}' cannot be followed", mend)
        return value

    def doubt(self, text: str) -> str:
        """None: what can be followed is."""
        return ""

    def turn(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


def measured(rows: Sequence) -> tuple[Value, Tensor]:
    """float32 (b,) and whether each is known; None and NaN are not."""
    value = torch.tensor([math.nan if row is None else float(row) for row in rows])
    return value, value.isfinite()


class NumberEmbedder(nn.Module):
    """The place in [0, 1] at rates of 1 to 2^6 half turns, one layer, SiLU."""

    rates: Tensor

    def __init__(self, settings: Number, waves: int = 16) -> None:
        super().__init__()
        self.low, self.range = settings.low, settings.high - settings.low
        self.layer = nn.Linear(2 * waves, settings.width)
        self.nothing = nn.Embedding(1, settings.width)
        rates = math.pi * 64 ** torch.linspace(0, 1, waves)
        self.register_buffer("rates", rates, persistent=False)

    def forward(self, value: Tensor | None, keep: Tensor, x: Tensor) -> Signals:
        """value float (b,) -> vector (b, width)."""
        at = torch.zeros(len(keep), dtype=self.rates.dtype, device=keep.device)
        if value is not None:
            at = torch.where(keep, (value.to(at) - self.low) / self.range, at)
        angle = at[:, None] * self.rates
        waves = torch.cat((angle.sin(), angle.cos()), 1) * 2**0.5
        return Signals(
            vector=chosen(nn.functional.silu(self.layer(waves)), keep, self.nothing.weight[0])
        )
