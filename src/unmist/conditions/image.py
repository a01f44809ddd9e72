"""A picture beside the sample: what is to be translated, coloured, continued."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from unmist.base.faults import BadInput
from unmist.conditions.family import Column, Reader, conditions
from unmist.core.condition import Signals, Sockets

__all__ = ["Image", "ImageEmbedder", "stacked"]


@conditions("image")
@dataclass(frozen=True, kw_only=True)
class Image:
    """A picture of the sample's size with `channels` of its own, read by the network with it.

    Its map has one channel more, which says whether there is a picture at all: a black one is not
    the same as none.
    """

    open: ClassVar[tuple[str, ...]] = ("channels",)

    channels: int = 0

    def __post_init__(self) -> None:
        if self.channels < 0:
            raise BadInput(f"channels is {self.channels}", where="image", mend="leave it out")

    def settled(self, column: Column) -> "Image":
        """With as many channels as the data's pictures have."""
        shapes = {np.shape(picture) for picture in column.values if picture is not None}
        if len(shapes) != 1 or len(shape := shapes.pop()) < 2:
            raise BadInput("the data hold no pictures of one shape", where="image")
        if self.channels not in (0, shape[0]):
            what = f"channels is {self.channels}, the data's pictures have {shape[0]}"
            raise BadInput(what, where="image", mend="leave it out")
        return replace(self, channels=shape[0])

    def sockets(self, shape: tuple[int, ...]) -> Sockets:
        """A map."""
        return Sockets(map=self.channels + 1)

    def build(self, shape: tuple[int, ...], seed: int) -> "ImageEmbedder":
        """Nothing is learned here."""
        return ImageEmbedder(self.channels)

    def reader(self, cache: Path | None = None) -> Reader:
        """Pictures uint8 (c, *s) -> uint8 (b, c, *s)."""
        return partial(stacked, self.channels)

    def wish(self, text: str) -> str:
        """The name of a picture's file: whoever asks opens it and fits it to the sample."""
        return text

    def doubt(self, text: str) -> str:
        """None: any picture is followed."""
        return ""

    def turn(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


def stacked(channels: int, rows: Sequence) -> tuple[Tensor, Tensor]:
    """uint8 (b, c, *s), and which rows are no None; (b, c) where all are."""
    keep = torch.tensor([row is not None for row in rows])
    shape = next((np.shape(row) for row in rows if row is not None), (channels,))
    nothing = np.zeros(shape, np.uint8)
    found = np.stack([nothing if row is None else np.asarray(row) for row in rows])
    return torch.from_numpy(found), keep


def beside(value: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Pictures (b, c, *s) at the sizes of what they stand beside, where all are s over one number.

    The means of blocks: beside latents a picture is as fine as they are.
    """
    pairs = list(zip(value.shape[2:], sizes, strict=True))
    factor = -(-pairs[0][0] // pairs[0][1])
    if factor < 2 or any(-(-n // factor) != m for n, m in pairs):
        return value
    return interpolate(value, size=list(sizes), mode="area")


class ImageEmbedder(nn.Module):
    """Values from -1 to 1, zero where not kept, and a channel of ones where kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, value: Tensor | None, keep: Tensor, x: Tensor) -> Signals:
        """value uint8 or float 0 … 255 (b, c, *s), s as x's -> map (b, c + 1, *s)."""
        kept = keep.view(-1, *[1] * (x.ndim - 1))
        seen = x.new_zeros(len(x), self.channels, *x.shape[2:])
        if value is not None and value.ndim == x.ndim:
            value = beside(value.to(seen), tuple(x.shape[2:]))
            if value.shape[1:] != seen.shape[1:]:
                found, wanted = (tuple(part.shape[1:]) for part in (value, seen))
                raise BadInput(f"a picture of shape {found} beside {wanted}", where="image")
            seen = torch.where(kept, value.to(seen) / 127.5 - 1, seen)
        return Signals(map=torch.cat((seen, kept.to(seen).expand_as(seen[:, :1])), 1))
