"""The building blocks of the U-Net, for one to three axes."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm, interpolate, silu

from unmist.nn.attention import CrossAttention, SelfAttention

__all__ = [
    "AttentionBlock",
    "Downsample",
    "ResidualBlock",
    "Upsample",
    "convolution",
    "groups_of",
    "heads_of",
    "zeroed",
]

CONVOLUTION = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def convolution(axes: int, width: tuple[int, int], size: int, stride: int = 1) -> nn.Module:
    """A convolution over 1 … 3 axes, (in, out) channels wide, odd `size`; keeps ceil(s/stride).

    In three axes its weights lie channels-last: only so does oneDNN keep the volumes so, too.
    """
    layer = CONVOLUTION[axes](*width, size, stride=stride, padding=size // 2)
    return layer.to(memory_format=torch.channels_last_3d) if axes == 3 else layer


def zeroed(layer: nn.Module) -> nn.Module:
    """The same layer with weight and bias zero: a residual branch then starts as nothing."""
    for part in layer.parameters(recurse=False):
        nn.init.zeros_(part)
    return layer


def groups_of(width: int) -> int:
    """Groups of about 16 channels, in a number that divides the width."""
    return math.gcd(width, max(1, width // 16))


def heads_of(width: int, head: int) -> int:
    """Heads of about `head` channels, in a number that divides the width."""
    return next(n for n in range(max(1, width // head), 0, -1) if width % n == 0)


class ResidualBlock(nn.Module):
    """x + conv(silu(modulated norm(conv(silu(norm(x)))))): (b, in, *s) -> (b, out, *s).

    Adaptive group normalisation (Dhariwal & Nichol 2021, section 3): the second normalisation is
    scaled and shifted by numbers a sample, `change` (b, 2*out), or (b, 2*out, slices) a slice of
    the first axis. The last convolution starts at zero, so a new block is its short cut.
    """

    def __init__(self, axes: int, width: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.first_norm = nn.GroupNorm(groups_of(width[0]), width[0])
        self.first = convolution(axes, width, 3)
        self.groups = groups_of(width[1])
        self.dropout = nn.Dropout(dropout)
        self.second = zeroed(convolution(axes, (width[1], width[1]), 3))
        same = width[0] == width[1]
        self.short = nn.Identity() if same else convolution(axes, width, 1)

    def forward(self, x: Tensor, change: Tensor) -> Tensor:
        """`change` holds scale-1 and shift, each (b, out) or (b, out, slices)."""
        hidden = self.first(silu(self.first_norm(x)))
        told = change.reshape(*change.shape, *[1] * (x.ndim - change.ndim))
        scale, shift = told.chunk(2, 1)
        hidden = group_norm(hidden, self.groups)
        hidden = silu(shift.addcmul(hidden, 1 + scale))
        return self.short(x) + self.second(self.dropout(hidden))


class AttentionBlock(nn.Module):
    """x + attention among places, + attention to tokens where there are any; nothing when new.

    factorised: each place asks the places of its own slice of the first axis, and its own place in
    the other slices (space and time apart: 2204.03458, sec. 3), instead of all places of all.
    """

    def __init__(
        self, width: int, heads: int, token_width: int, *, factorised: bool = False
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups_of(width), width)
        self.own = SelfAttention(width, heads)
        zeroed(self.own.out)
        self.along = SelfAttention(width, heads) if factorised else None
        if self.along is not None:
            zeroed(self.along.out)
        self.other = CrossAttention(width, token_width, heads) if token_width else None

    def forward(self, x: Tensor, tokens: tuple[Tensor, Tensor] | None) -> Tensor:
        """x (b, c, *s); tokens are values (b, m, k) and mask (b, m)."""
        places = self.norm(x).flatten(2).transpose(1, 2)
        mixed = self.own(places) if self.along is None else self._apart(places, x.shape[2])
        if self.other is not None and tokens is not None:
            mixed = mixed + self.other(places, *tokens)
        return x + mixed.transpose(1, 2).unflatten(2, x.shape[2:])

    def _apart(self, places: Tensor, slices: int) -> Tensor:
        """Of places (b, slices*n, c): among the n of each slice, and along the slices."""
        assert self.along is not None
        rows = places.unflatten(1, (slices, -1))
        within = self.own(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])
        turned = rows.transpose(1, 2)
        along = self.along(turned.flatten(0, 1)).unflatten(0, turned.shape[:2]).transpose(1, 2)
        return (within + along).flatten(1, 2)


class Downsample(nn.Module):
    """Half the size, rounded up: a convolution of stride 2."""

    def __init__(self, axes: int, width: tuple[int, int]) -> None:
        super().__init__()
        self.layer = convolution(axes, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in, *s) -> (b, out, *ceil(s/2))."""
        return self.layer(x)


class Upsample(nn.Module):
    """Twice the size, cropped to the size asked for: a 1x1 convolution, then nearest neighbours.

    The convolution works at the small size, where it costs a quarter (an eighth).
    """

    def __init__(self, axes: int, width: tuple[int, int]) -> None:
        super().__init__()
        self.layer = convolution(axes, width, 1)

    def forward(self, x: Tensor, sizes: tuple[int, ...]) -> Tensor:
        """(b, in, *ceil(sizes/2)) -> (b, out, *sizes)."""
        large = interpolate(self.layer(x), scale_factor=2.0, mode="nearest")
        for axis, n in enumerate(sizes, 2):
            if large.shape[axis] != n:  # a slice of everything would still cost a pass backward
                large = large.narrow(axis, 0, n)
        return large
