"""The patch transformer, for one to three axes of any size."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm

from unmist.core.condition import Signals, Sockets, Tokens
from unmist.networks.family import check_shape, check_signals, networks, refuse_unless
from unmist.nn.attention import CrossAttention, SelfAttention
from unmist.nn.blocks import heads_of, zeroed
from unmist.nn.embeddings import Clock, grid_positions
from unmist.nn.fold import crop, fold, unfold
from unmist.nn.seeded import seeded

__all__ = ["DiT", "DiTModule"]


@networks("dit")
@dataclass(frozen=True, kw_only=True)
class DiT:
    """Peebles & Xie 2023 (DiT), adaLN-zero: patches of `patch` pixels a side become places.

    `depth` blocks of attention and a two-layer network of `ratio` times the `width`, in heads of
    about `head` channels; clock and vector scale, shift and gate every block, tokens are asked by
    cross-attention, a map is read with the picture. `dropout` in [0, 1) acts in training only.
    The defaults have 4.1 M parameters and 182 M multiply-adds a sample of 3x32x32.
    """

    width: int = 192
    depth: int = 6
    head: int = 64
    patch: int = 4
    ratio: int = 4
    dropout: float = 0.0

    def __post_init__(self) -> None:
        sizes = (self.width, self.depth, self.head, self.patch, self.ratio)
        refuse_unless(min(sizes) >= 1, f"a size of {min(sizes)}", "all sizes are 1 or more")
        refuse_unless(0 <= self.dropout < 1, f"dropout {self.dropout}", "0 <= dropout < 1")

    def build(
        self, shape: tuple[int, ...], sockets: Sockets, seed: int = 0, *, answers: int = 1
    ) -> "DiTModule":
        """A network for samples (c, *s), 1 to 3 axes, answering answers*c channels.

        Equal seeds give equal weights.
        """
        check_shape(shape)
        with seeded(seed):
            return DiTModule(self, shape, sockets, answers)


class DiTModule(nn.Module):
    """The weights of a `DiT`. New, its output is exactly zero."""

    def __init__(
        self, settings: DiT, shape: tuple[int, ...], sockets: Sockets, answers: int = 1
    ) -> None:
        super().__init__()
        channels, cell = shape[0], settings.patch ** (len(shape) - 1)
        self.sockets, self.patch, width = sockets, settings.patch, settings.width
        self.stem = nn.Linear((channels + sockets.map) * cell, width)
        self.clock = Clock(width)
        self.vector = nn.Linear(sockets.vector, width) if sockets.vector else None
        self.mix = nn.Linear(width, width)
        depth = range(settings.depth)
        self.blocks = nn.ModuleList(Block(settings, sockets.tokens) for _ in depth)
        self.shares = [6 * width] * settings.depth + [2 * width]
        self.change = zeroed(nn.Linear(width, sum(self.shares)))
        self.last = zeroed(nn.Linear(width, answers * channels * cell))

    def forward(self, x: Tensor, clock: Tensor, signals: Signals) -> Tensor:
        """x (b, c, *s), clock (b,) about -10 … 10, signals as built for -> (b, answers*c, *s)."""
        check_signals(self.sockets, signals)
        seen = x if signals.map is None else torch.cat((x, signals.map.to(x.dtype)), 1)
        cells = fold(seen, self.patch)
        *changes, last = self.changes(clock, signals.vector)
        places = self.stem(cells.flatten(2).transpose(1, 2))
        places = places + grid_positions(tuple(cells.shape[2:]), places.shape[2]).to(places)
        for block, change in zip(self.blocks, changes, strict=True):
            places = block(places, change, signals.tokens)
        places = self.last(modulated(places, *last.chunk(2, 2)))
        cells = places.transpose(1, 2).unflatten(2, cells.shape[2:])
        return crop(unfold(cells, self.patch), tuple(x.shape[2:]))

    def changes(self, clock: Tensor, vector: Tensor | None) -> tuple[Tensor, ...]:
        """What each block is told, (b, 1, share) each, in one layer for all of them."""
        wide = self.clock(clock)
        if vector is not None and self.vector is not None:
            wide = wide + self.vector(vector.to(wide.dtype))
        wide = nn.functional.silu(self.mix(wide))
        return self.change(wide)[:, None].split(self.shares, 2)


class Block(nn.Module):
    """Attention, attention to tokens, two layers; each a branch that starts as nothing."""

    def __init__(self, settings: DiT, tokens: int) -> None:
        super().__init__()
        width, heads = settings.width, heads_of(settings.width, settings.head)
        self.own = SelfAttention(width, heads)
        self.other = CrossAttention(width, tokens, heads) if tokens else None
        self.wide = nn.Linear(width, settings.ratio * width)
        self.narrow = nn.Linear(settings.ratio * width, width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor, change: Tensor, tokens: Tokens | None) -> Tensor:
        """x (b, n, c), change (b, 1, 6c): scale-1, shift and gate for both branches."""
        scale, shift, gate, scale_two, shift_two, gate_two = change.chunk(6, 2)
        x = x + gate * self.dropout(self.own(modulated(x, scale, shift)))
        if self.other is not None and tokens is not None:
            x = x + self.other(layer_norm(x, x.shape[2:]), *tokens)
        hidden = gelu(self.wide(modulated(x, scale_two, shift_two)), approximate="tanh")
        return x + gate_two * self.dropout(self.narrow(hidden))


def modulated(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Layer norm of x (b, n, c) times 1 + scale (b, 1, c), plus shift (b, 1, c)."""
    return torch.addcmul(shift, layer_norm(x, x.shape[2:]), 1 + scale)
