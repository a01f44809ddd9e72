"""The U-Net: convolutions at falling and rising resolution, for one to three axes of any size."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from unmist.base.faults import BadInput
from unmist.core.condition import Signals, Sockets
from unmist.networks.family import check_shape, check_signals, networks
from unmist.nn.blocks import (
    AttentionBlock,
    Downsample,
    ResidualBlock,
    Upsample,
    convolution,
    groups_of,
    zeroed,
)
from unmist.nn.embeddings import Clock
from unmist.nn.fold import crop, fold, unfold
from unmist.nn.seeded import seeded

__all__ = ["UNet", "UNetModule"]


@networks("unet")
@dataclass(frozen=True, kw_only=True)
class UNet:
    """Ho et al. 2020 with adaptive group norm, made for few full-resolution operations.

    width: channels at the finest level; levels: each level's multiple of it, the size halving in
    between; blocks: residual blocks a level on the way down (and again on the way up);
    attention: levels (0 the finest) that attend among their places and to tokens; head: channels
    of an attention head; fold: the edge of the pixel block that becomes channels first (1: none);
    dropout: share of hidden channels dropped in training.
    """

    width: int = 64
    levels: tuple[int, ...] = (1, 2, 3)
    blocks: int = 2
    attention: tuple[int, ...] = (1, 2)
    head: int = 64
    fold: int = 2
    dropout: float = 0.0

    def build(self, shape: tuple[int, ...], sockets: Sockets, seed: int = 0) -> "UNetModule":
        """A network for samples (c, *s); 1 to 3 axes; equal seeds give equal weights."""
        check_shape(shape)
        if min(self.width, self.blocks, self.fold, self.head, *self.levels) < 1 or not self.levels:
            raise BadInput(f"{self} has a size below 1", where="network", mend="use 1 or more")
        with seeded(seed):
            return UNetModule(self, shape, sockets)


class UNetModule(nn.Module):
    """The weights of a `UNet`."""

    def __init__(self, settings: UNet, shape: tuple[int, ...], sockets: Sockets) -> None:
        super().__init__()
        axes, self.sockets, self.fold = len(shape) - 1, sockets, settings.fold
        widths = [settings.width * multiple for multiple in settings.levels]
        cell, wide = settings.fold**axes, 4 * settings.width
        self.clock = Clock(wide)
        self.vector = nn.Linear(sockets.vector, wide) if sockets.vector else None
        self.mix = nn.Linear(wide, wide)
        self.stem = convolution(axes, ((shape[0] + sockets.map) * cell, widths[0]), 3)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.smaller, self.larger = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            stage = [Stage(settings, sockets, axes, (level, width, width)) for _ in "du"]
            self.down.append(stage[0])
            self.up.append(stage[1])
        for fine, coarse in pairwise(widths):
            self.smaller.append(Downsample(axes, (fine, coarse)))
            self.larger.append(Upsample(axes, (coarse, fine)))
        self.last_norm = nn.GroupNorm(groups_of(widths[0]), widths[0])
        self.last = zeroed(convolution(axes, (widths[0], shape[0] * cell), 3))
        stages = [*self.down, *reversed(self.up)]
        self.shares = [stage.change for stage in stages]
        self.change = nn.Linear(wide, sum(self.shares))

    def forward(self, x: Tensor, clock: Tensor, signals: Signals) -> Tensor:
        """x (b, c, *s), clock (b,) about -10 … 10 -> (b, c, *s)."""
        check_signals(self.sockets, signals)
        changes = iter(self.changes(clock, signals.vector).split(self.shares, 1))
        seen = x if signals.map is None else torch.cat((x, signals.map.to(x.dtype)), 1)
        hidden = self.stem(inner_layout(fold(seen, self.fold)))
        skips = []
        for stage, smaller in zip(self.down, [*self.smaller, None], strict=True):
            hidden = stage(hidden, next(changes), signals.tokens)
            skips.append(hidden)
            hidden = hidden if smaller is None else smaller(hidden)
        for level in reversed(range(len(self.up))):
            hidden = self.up[level](hidden, next(changes), signals.tokens)
            if level:
                below = skips[level - 1]
                hidden = below + self.larger[level - 1](hidden, tuple(below.shape[2:]))
        hidden = self.last(silu(self.last_norm(hidden)))
        return crop(unfold(hidden, self.fold), tuple(x.shape[2:]))

    def changes(self, clock: Tensor, vector: Tensor | None) -> Tensor:
        """What all blocks are told, in one layer for all of them: (b, sum of shares)."""
        wide = self.clock(clock)
        if self.vector is not None:
            wide = wide + self.vector(vector.to(wide.dtype))
        return self.change(silu(self.mix(wide)))


class Stage(nn.Module):
    """The residual blocks of one level, each followed by attention where the level has it."""

    def __init__(
        self, settings: UNet, sockets: Sockets, axes: int, place: tuple[int, int, int]
    ) -> None:
        super().__init__()
        level, width_in, width = place
        attends, heads = level in settings.attention, max(1, width // settings.head)
        self.blocks = nn.ModuleList()
        self.attention = AttentionBlock(width, heads, sockets.tokens) if attends else None
        for block in range(settings.blocks):
            pair = (width if block else width_in, width)
            self.blocks.append(ResidualBlock(axes, pair, settings.dropout))
        self.change = 2 * width * settings.blocks

    def forward(self, x: Tensor, change: Tensor, tokens: tuple[Tensor, Tensor] | None) -> Tensor:
        """x (b, in, *s) -> (b, out, *s)."""
        for block, own in zip(self.blocks, change.chunk(len(self.blocks), 1), strict=True):
            x = block(x, own)
        return x if self.attention is None else self.attention(x, tokens)


def inner_layout(x: Tensor) -> Tensor:
    """Channels last for pictures: oneDNN's convolutions are faster there; the rest as it comes."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x.contiguous()
