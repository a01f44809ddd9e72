"""The U-Net: convolutions at falling and rising resolution, for one to three axes of any size."""

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d, silu
from torch.utils.checkpoint import checkpoint

from unmist.base.faults import BadInput
from unmist.core.condition import Signals, Sockets, Tokens
from unmist.networks.family import check_shape, check_signals, networks, refuse_unless
from unmist.nn.attention import in_forward_mode
from unmist.nn.blocks import (
    AttentionBlock,
    Downsample,
    ResidualBlock,
    Upsample,
    convolution,
    groups_of,
    heads_of,
    zeroed,
)
from unmist.nn.embeddings import Clock
from unmist.nn.fold import crop, fold, unfold
from unmist.nn.seeded import seeded

__all__ = ["UNet", "UNetModule"]

LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


@networks("unet")
@dataclass(frozen=True, kw_only=True)
class UNet:
    """Ho et al. 2020 with adaptive group norm (Dhariwal & Nichol 2021), few operations where fine.

    Blocks of `fold` pixels a side become channels first (1: none), so the finest level works at
    half size with `width` channels. Each further level halves the size and has its multiple of
    the width (`levels`), and `blocks` residual blocks on the way down and again on the way up.
    Levels named in `attention` (0 is the finest) attend once, on the way down, among their places
    and to tokens, in heads of about `head` channels. `dropout` in [0, 1) acts in training only.
    `factorised`, for two axes and more, attends within each slice of the first axis (a frame) and
    along it at each place, apart: for clips and series of pictures, at a fraction of the cost.
    With `recompute` a level's activations are not kept in training but worked out again on the way
    back (1604.06174): the same gradients, a third more time, room for large volumes and clips.
    The defaults have 4.4 M parameters and 134 M multiply-adds a sample of 3x32x32.
    """

    width: int = 64
    levels: tuple[int, ...] = (1, 2, 4)
    blocks: tuple[int, ...] = (1, 1, 1)
    attention: tuple[int, ...] = (1, 2)
    head: int = 64
    fold: int = 2
    dropout: float = 0.0
    recompute: bool = False
    factorised: bool = False

    def __post_init__(self) -> None:
        sizes = (self.width, self.head, self.fold, *self.levels, *self.blocks)
        refuse_unless(bool(self.levels), "no levels", "levels = [1, 2, 4], for one")
        refuse_unless(min(sizes) >= 1, f"a size of {min(sizes)}", "all sizes are 1 or more")
        refuse_unless(
            len(self.blocks) == len(self.levels),
            f"{len(self.levels)} levels but blocks for {len(self.blocks)}",
            "give one number of blocks a level",
        )
        refuse_unless(
            all(0 <= level < len(self.levels) for level in self.attention),
            f"attention at levels {self.attention} of {len(self.levels)}",
            f"levels count from 0 to {len(self.levels) - 1}",
        )
        refuse_unless(0 <= self.dropout < 1, f"dropout {self.dropout}", "0 <= dropout < 1")

    def build(
        self, shape: tuple[int, ...], sockets: Sockets, seed: int = 0, *, answers: int = 1
    ) -> "UNetModule":
        """A network for samples (c, *s), 1 to 3 axes, answering answers*c channels.

        Equal seeds give equal weights.
        """
        check_shape(shape)
        refuse_unless(
            not self.factorised or len(shape) > 2,
            "one axis has no slices to attend in apart",
            "leave network.factorised out",
        )
        with seeded(seed):
            return UNetModule(self, shape, sockets, answers)


class UNetModule(nn.Module):
    """The weights of a `UNet`. New, its output is exactly zero."""

    def __init__(
        self, settings: UNet, shape: tuple[int, ...], sockets: Sockets, answers: int = 1
    ) -> None:
        super().__init__()
        channels, axes = shape[0], len(shape) - 1
        self.sockets, self.fold, self.recompute = sockets, settings.fold, settings.recompute
        widths = [settings.width * multiple for multiple in settings.levels]
        cell, wide = settings.fold**axes, 4 * settings.width
        # one cell is one place: 1x1 in and out, for 3x3 over few channels is slow and adds nothing
        # that the next block does not do
        edge = 1 if settings.fold > 1 else 3
        told = channels + sockets.map + sockets.frames
        self.stem = convolution(axes, (told * cell, widths[0]), edge)
        self.clock = Clock(wide)
        self.vector = nn.Linear(sockets.vector, wide) if sockets.vector else None
        self.mix = nn.Linear(wide, wide)
        levels = range(len(widths))
        self.down = nn.ModuleList(Stage(settings, axes, k, sockets.tokens) for k in levels)
        self.up = nn.ModuleList(Stage(settings, axes, k, None) for k in levels)
        pairs = list(pairwise(widths))
        self.smaller = nn.ModuleList(Downsample(axes, pair) for pair in pairs)
        self.larger = nn.ModuleList(Upsample(axes, (coarse, fine)) for fine, coarse in pairs)
        self.last_norm = nn.GroupNorm(groups_of(widths[0]), widths[0])
        self.last = zeroed(convolution(axes, (widths[0], answers * channels * cell), edge))
        stages = cast("list[Stage]", [*self.down, *reversed(self.up)])
        self.shares = [stage.share for stage in stages]
        self.change = nn.Linear(wide, sum(self.shares))

    def forward(self, x: Tensor, clock: Tensor, signals: Signals) -> Tensor:
        """x (b, c, *s), clock (b,) about -10 … 10, signals as built for -> (b, answers*c, *s).

        clock (b, 1, frames): one a frame, where built so.
        """
        check_signals(self.sockets, signals)
        wide, number = self.told(clock, signals.vector), iter(range(len(self.shares)))
        parts = [x, *([] if signals.map is None else [signals.map.to(x.dtype)])]
        if self.sockets.frames:
            parts.append(spread_out(clock / 10, x))
        seen = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        hidden = self.stem(channels_last(fold(seen, self.fold)))
        changes = [wide] if wide.ndim > 2 else self.change(wide).split(self.shares, 1)

        def change() -> Tensor:
            """What the next stage is told: (b, share), or (b, share, slices)."""
            own = next(number)
            if wide.ndim == 2:
                return changes[own]
            slices = adaptive_avg_pool1d(wide.transpose(1, 2), hidden.shape[2]).transpose(1, 2)
            return self.change(slices).split(self.shares, 2)[own].transpose(1, 2)

        skips = []
        for stage, smaller in zip(self.down, [*self.smaller, None], strict=True):
            hidden = self._at(stage, hidden, change(), signals.tokens)
            skips.append(hidden)
            hidden = hidden if smaller is None else smaller(hidden)
        for stage, larger in zip(reversed(self.up), [*reversed(self.larger), None], strict=True):
            hidden = self._at(stage, hidden, change(), None)
            skips.pop()
            if larger is not None:
                hidden = skips[-1] + larger(hidden, tuple(skips[-1].shape[2:]))
        hidden = self.last(silu(self.last_norm(hidden)))
        return crop(unfold(hidden, self.fold), tuple(x.shape[2:]))

    def _at(self, stage: nn.Module, x: Tensor, change: Tensor, tokens: Tokens | None) -> Tensor:
        """One level on one way."""
        if not (self.recompute and self.training and torch.is_grad_enabled()):
            return stage(x, change, tokens)
        return checkpoint(stage, x, change, tokens, use_reentrant=False)  # type: ignore[return-value]

    def told(self, clock: Tensor, vector: Tensor | None) -> Tensor:
        """What all blocks are told before their one layer: (b, wide), or (b, frames, wide)."""
        if clock.ndim > 1 and not self.sockets.frames:
            mend = "train with rolling=0.5"
            raise BadInput("its network knows one level a sample", where="network", mend=mend)
        wide = self.clock(clock.flatten()).unflatten(0, clock.shape[::2])
        if vector is not None and self.vector is not None:
            known = self.vector(vector.to(wide.dtype))
            wide = wide + (known if wide.ndim == 2 else known[:, None])
        return silu(self.mix(wide))


class Stage(nn.Module):
    """One level on one way: residual blocks, then attention where the level has it."""

    def __init__(self, settings: UNet, axes: int, level: int, tokens: int | None) -> None:
        super().__init__()
        width, count = settings.width * settings.levels[level], settings.blocks[level]
        self.blocks = nn.ModuleList(
            ResidualBlock(axes, (width, width), settings.dropout) for _ in range(count)
        )
        attends = tokens is not None and level in settings.attention
        heads = heads_of(width, settings.head)
        self.attention = (
            AttentionBlock(width, heads, tokens or 0, factorised=settings.factorised)
            if attends
            else None
        )
        self.share = 2 * width * count

    def forward(self, x: Tensor, change: Tensor, tokens: Tokens | None) -> Tensor:
        """x (b, c, *s), change (b, share) -> (b, c, *s)."""
        for block, own in zip(self.blocks, change.chunk(len(self.blocks), 1), strict=True):
            x = block(x, own)
        return x if self.attention is None else self.attention(x, tokens)


def spread_out(clock: Tensor, x: Tensor) -> Tensor:
    """clock (b,) or (b, 1, frames) at every place of x (b, c, *s): (b, 1, *s)."""
    shape = clock.shape if clock.ndim > 1 else (len(clock), 1)
    return clock.reshape(*shape, *[1] * (x.ndim - len(shape))).to(x).expand(-1, 1, *x.shape[2:])


def channels_last(x: Tensor) -> Tensor:
    """Pictures and volumes in channels-last layout: oneDNN's convolutions are faster there.

    1.1 to 2 times in two axes, 1.2 to 1.5 in three.
    """
    if x.ndim in LAYOUTS and not in_forward_mode():
        return x.contiguous(memory_format=LAYOUTS[x.ndim])
    return x.contiguous()
