"""What is left of a sample where a part is hidden, and where: so a model learns to inpaint."""

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

__all__ = ["Remainder", "RemainderEmbedder", "holes"]

HIDDEN, SEEN = 0.5, 0.75  # of the draws: a box is hidden; up to here: a box alone is seen; or spots
SPOTS = 5  # draws a side that spots are interpolated from
SMOOTH = {1: "linear", 2: "bilinear", 3: "trilinear"}


@conditions("remainder")
@dataclass(frozen=True, kw_only=True)
class Remainder:
    """The sample with a part hidden, beside the mask of what is known (Palette: 2111.05826).

    In training what is hidden is drawn anew for each row: a box, all but a box, or smooth spots.
    Dropped, the network draws from noise alone, so that one model does both.
    """

    open: ClassVar[tuple[str, ...]] = ("channels",)

    channels: int = 0

    def __post_init__(self) -> None:
        if self.channels < 0:
            what = f"channels is {self.channels}"
            raise BadInput(what, where="remainder", mend="leave it out")

    def settled(self, column: Column) -> "Remainder":
        """With as many channels as the data's samples have."""
        return replace(self, channels=len(column.values[0]))

    def sockets(self, shape: tuple[int, ...]) -> Sockets:
        """A map: the channels, where they are known, and whether they were told at all."""
        return Sockets(map=self.channels + 2)

    def build(self, shape: tuple[int, ...], seed: int) -> "RemainderEmbedder":
        """Nothing is learned here."""
        return RemainderEmbedder(self.channels)

    def reader(self, cache: Path | None = None) -> Reader:
        """Samples uint8 (c, *s) -> -1 … 1, and a channel of -1: what is hidden is still open."""
        return self._read

    def _read(self, rows: Sequence) -> tuple[Value, Tensor]:
        whole, keep = stacked(self.channels, rows)
        scaled = whole.float() / 127.5 - 1
        return torch.cat((scaled, torch.full_like(scaled[:, :1], -1)), 1), keep

    def wish(self, text: str) -> object:
        """Refused: only an edit knows what is hidden."""
        mend = "unmist edit inpaint MODEL PICTURE --box x,y,width,height"
        raise BadInput("what is left of a picture is said by an edit", where="wish", mend=mend)

    def doubt(self, text: str) -> str:
        """None."""
        return ""

    def turn(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


def even(*shape: int) -> Tensor:
    """From 0 to 1, by torch's own generator, as dropout: the step sets it by samples seen."""
    return torch.empty(shape).uniform_()


def boxes(centre: Tensor, half: Tensor, sizes: Sequence[int]) -> Tensor:
    """1 in the boxes, else 0, (b, 1, *sizes): centre and half side (b, axes) as parts of a side."""
    inside = torch.ones(len(centre), 1, *sizes)
    for axis, size in enumerate(sizes):
        places = (torch.arange(size) + 0.5) / size
        near = (places - centre[:, axis, None]).abs() < half[:, axis, None]
        line = [1] * len(sizes)
        line[axis] = size
        inside = inside * near.float().view(len(centre), 1, *line)
    return inside


def holes(count: int, sizes: Sequence[int]) -> Tensor:
    """Where so many samples are known, 1 or 0 (count, 1, *sizes), by torch's own generator."""
    inside = boxes(even(count, len(sizes)), 0.1 + 0.4 * even(count, len(sizes)), sizes)
    coarse = even(count, 1, *[SPOTS] * len(sizes))
    smooth = interpolate(coarse, size=list(sizes), mode=SMOOTH[len(sizes)])
    flat = [count, 1, *[1] * len(sizes)]
    spots = (smooth > (0.3 + 0.4 * even(count)).view(flat)).float()
    kind = even(count).view(flat)
    return torch.where(kind < HIDDEN, 1 - inside, torch.where(kind < SEEN, inside, spots))


def middle(sizes: Sequence[int]) -> Tensor:
    """1 but for a box of half of each side in the middle, (1, 1, *sizes)."""
    half = torch.full((1, len(sizes)), 0.5)
    return 1 - boxes(half, half / 2, sizes)


class RemainderEmbedder(nn.Module):
    """A map (b, c + 2, *s): what is known, where, and ones; all zero where not kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, value: Tensor | None, keep: Tensor, x: Tensor) -> Signals:
        """value (b, c + 1, *s'), the last channel 1 where known, 0 where not, -1 where left open.

        Open, holes are drawn in training; else the middle is hidden. Beside latents the map has
        their size: means over blocks.
        """
        kept = keep.view(-1, *[1] * (x.ndim - 1))
        seen = x.new_zeros(len(x), self.channels + 1, *x.shape[2:])
        if value is not None and value.ndim == x.ndim:
            told = self._masked(torch.where(kept, value.to(x), 0.0))
            if told.shape[2:] != x.shape[2:]:
                told = interpolate(told, size=list(x.shape[2:]), mode="area")
            seen = torch.where(kept, told, seen)
        return Signals(map=torch.cat((seen, kept.to(seen).expand_as(seen[:, :1])), 1))

    def _masked(self, value: Tensor) -> Tensor:
        sizes = value.shape[2:]
        drawn = holes(len(value), sizes) if self.training else middle(sizes)
        known = torch.where(value[:, -1:] < 0, drawn.to(value), value[:, -1:])
        return torch.cat((value[:, :-1] * known, known), 1)
