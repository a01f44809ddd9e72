"""The sample itself at a low resolution: what the second stage of a cascade is told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from unmist.base.faults import BadInput
from unmist.conditions.family import Column, Reader, Value, conditions
from unmist.conditions.image import stacked
from unmist.core.condition import Signals, Sockets

__all__ = ["Small", "SmallEmbedder", "augmented"]


@conditions("small")
@dataclass(frozen=True, kw_only=True)
class Small:
    """Means of blocks of `factor` pixels a side, through noise (2106.15282, sec. 4).

    In training each row's noise has a standard deviation drawn even from 0 … `augment`, in units of
    127.5 levels, and the network is told which: so what another model drew, which is never quite
    like the data's own means, can be given with as much noise as hides the difference.
    """

    open: ClassVar[tuple[str, ...]] = ("channels",)

    channels: int = 0
    factor: int = 4
    augment: float = 0.5

    def __post_init__(self) -> None:
        if self.channels < 0 or not 2 <= self.factor <= 64 or not 0 <= self.augment <= 10:
            mend = "factor 2 … 64, augment 0 … 10; leave channels out"
            raise BadInput(f"{self}", where="small", mend=mend)

    def settled(self, column: Column) -> "Small":
        """With as many channels as the data's samples have."""
        return replace(self, channels=len(column.values[0]))

    def sockets(self, shape: tuple[int, ...]) -> Sockets:
        """A map: the channels, how much noise is in them, and whether they are there."""
        return Sockets(map=self.channels + 2)

    def build(self, shape: tuple[int, ...], seed: int) -> "SmallEmbedder":
        """Nothing is learned here."""
        return SmallEmbedder(self.channels, self.augment)

    def reader(self, cache: Path | None = None) -> Reader:
        """Samples uint8 (c, *s) -> their means, -1 … 1, and a channel for the noise, none yet."""
        return self._read

    def _read(self, rows: Sequence) -> tuple[Value, Tensor]:
        found, keep = stacked(self.channels, rows)
        whole = (found if found.ndim > 2 else found[..., None]).float()
        sizes = [-(-n // self.factor) for n in whole.shape[2:]]
        means = interpolate(whole, size=sizes, mode="area") / 127.5 - 1
        return torch.cat((means, torch.zeros_like(means[:, :1])), 1), keep

    def wish(self, text: str) -> str:
        """The name of a picture's file: whoever asks opens it and fits it to the sample."""
        return text

    def doubt(self, text: str) -> str:
        """None: any picture is followed."""
        return ""

    def turn(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


def augmented(small: Tensor, level: Tensor, eps: Tensor) -> Tensor:
    """Of small (b, c + 1, *s), level (b,), eps (b, c, *s): means + level*eps, and the level."""
    lifted = level.to(small).reshape(-1, *[1] * (small.ndim - 1))
    means = small[:, :-1] + lifted * eps
    return torch.cat((means, lifted.expand_as(small[:, :1])), 1)


class SmallEmbedder(nn.Module):
    """A map (b, c + 2, *s): means, the noise in them, and ones; all zero where not kept."""

    def __init__(self, channels: int, augment: float) -> None:
        super().__init__()
        self.channels, self.augment = channels, augment

    def forward(self, value: Tensor | None, keep: Tensor, x: Tensor) -> Signals:
        """value (b, c + 1, *s') of any size, enlarged to x's; noised here in training only."""
        kept = keep.view(-1, *[1] * (x.ndim - 1))
        seen = x.new_zeros(len(x), self.channels + 1, *x.shape[2:])
        if value is not None and value.ndim == x.ndim:
            value = torch.where(kept, value.to(x), 0.0)
            if self.training:
                value = self._noised(value)
            finer = any(n > m for n, m in zip(value.shape[2:], x.shape[2:], strict=True))
            mode = "area" if finer else "nearest"
            seen = torch.where(kept, interpolate(value, size=list(x.shape[2:]), mode=mode), seen)
        return Signals(map=torch.cat((seen, kept.to(seen).expand_as(seen[:, :1])), 1))

    def _noised(self, value: Tensor) -> Tensor:
        """By torch's own generator, as dropout: the training step sets it by samples seen."""
        level = self.augment * torch.empty(len(value)).uniform_()
        eps = torch.empty(value[:, :-1].shape).normal_()
        return augmented(value, level, eps.to(value))
