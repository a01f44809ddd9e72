"""The way down of a U-Net with a head: a classifier of noisy samples."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from unmist.networks.family import check_shape, refuse_unless
from unmist.networks.unet import Stage, UNet, channels_last
from unmist.nn.blocks import Downsample, convolution, groups_of, zeroed
from unmist.nn.embeddings import Clock
from unmist.nn.fold import fold
from unmist.nn.seeded import seeded

__all__ = ["Encoder", "EncoderModule"]


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Half a U-Net (2105.05233, sec. 4.3): the levels down with the clock, means over all places.

    Half of the width of the U-Net which it leads is enough.
    """

    width: int = 32
    levels: tuple[int, ...] = (1, 2, 4)
    attention: tuple[int, ...] = (2,)
    dropout: float = 0.1

    def __post_init__(self) -> None:
        wrong = f"levels {self.levels} of width {self.width}"
        refuse_unless(bool(self.levels) and min(self.width, *self.levels) >= 1, wrong, "1 or more")

    def build(self, shape: tuple[int, ...], classes: int, seed: int = 0) -> "EncoderModule":
        """A classifier of samples (c, *s), 1 to 3 axes; equal seeds give equal weights."""
        check_shape(shape)
        with seeded(seed):
            return EncoderModule(self, shape, classes)


class EncoderModule(nn.Module):
    """x (b, c, *s), clock (b,) -> logits (b, classes); zero when new."""

    def __init__(self, settings: Encoder, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        axes, wide = len(shape) - 1, 4 * settings.width
        way = UNet(
            width=settings.width,
            levels=settings.levels,
            blocks=(1,) * len(settings.levels),
            attention=settings.attention,
            dropout=settings.dropout,
        )
        self.fold = way.fold
        widths = [settings.width * multiple for multiple in settings.levels]
        self.stem = convolution(axes, (shape[0] * way.fold**axes, widths[0]), 1)
        self.clock, self.mix = Clock(wide), nn.Linear(wide, wide)
        self.down = nn.ModuleList(Stage(way, axes, level, 0) for level in range(len(widths)))
        self.smaller = nn.ModuleList(Downsample(axes, pair) for pair in pairwise(widths))
        self.shares = [2 * width for width in widths]
        self.change = nn.Linear(wide, sum(self.shares))
        self.norm = nn.GroupNorm(groups_of(widths[-1]), widths[-1])
        self.head = zeroed(nn.Linear(widths[-1], classes))

    def forward(self, x: Tensor, clock: Tensor, signals: object = None) -> Tensor:
        """What a class is told by is not asked: `signals` is what other networks are given."""
        del signals
        changes = self.change(silu(self.mix(self.clock(clock)))).split(self.shares, 1)
        hidden = self.stem(channels_last(fold(x, self.fold)))
        for stage, change, smaller in zip(self.down, changes, [*self.smaller, None], strict=True):
            hidden = stage(hidden, change, None)
            hidden = hidden if smaller is None else smaller(hidden)
        places = silu(self.norm(hidden)).flatten(2)
        return self.head(torch.mean(places, 2))
