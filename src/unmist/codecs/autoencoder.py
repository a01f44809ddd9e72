"""The autoencoder of latent diffusion: convolutions down and up, for one to three axes.

Nothing in it looks beyond a few places: no attention, and norms over the channels of each place
alone. So a large sample is decoded tile by tile with the numbers that the whole would give.
"""

import math
from itertools import chain, pairwise

from torch import Tensor, nn
from torch.nn.functional import layer_norm, pad, silu

from unmist.codecs.bottleneck import Bottleneck, Narrow
from unmist.nn.blocks import Downsample, Upsample, convolution, zeroed
from unmist.nn.fold import crop, fold, margins, unfold

__all__ = ["Autoencoder", "LocalBlock", "PlaceNorm", "padded"]


class PlaceNorm(nn.Module):
    """Mean 0 and variance 1 over the channels of each place, then a scale and a shift a channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, *s) -> the same shape."""
        layer, places = self.layer, x.movedim(1, -1)
        seen = layer_norm(places, layer.normalized_shape, layer.weight, layer.bias, layer.eps)
        return seen.movedim(-1, 1)


class LocalBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))): a residual block that knows no whole.

    `unmist.nn.blocks.ResidualBlock` takes its norms over all places, so what a tile sees would
    depend on where it is cut. New, it is the identity.
    """

    def __init__(self, axes: int, width: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = PlaceNorm(width), PlaceNorm(width)
        self.first = convolution(axes, (width, width), 3)
        self.second = zeroed(convolution(axes, (width, width), 3))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, *s) -> the same shape."""
        hidden = self.first(silu(self.first_norm(x)))
        return x + self.second(silu(self.second_norm(hidden)))


class Autoencoder(nn.Module):
    """Samples (b, c, *s) of mean 0 and spread 1, s multiples of the factor, to latents and back.

    Two pixels a side become channels first; each further halving doubles the width. The decoder
    mirrors the encoder. New, it gives back 0.
    """

    def __init__(
        self, axes: int, channels: tuple[int, int], factor: int, width: int, blocks: int,
        bottleneck: Bottleneck,
    ) -> None:  # fmt: skip
        super().__init__()
        self.factor, self.fold, self.channels = factor, min(2, factor), channels[1]
        levels = max(1, int(math.log2(factor)))
        widths = [width * 2**level for level in range(levels)]
        outer, inner = channels[0] * self.fold**axes, channels[1]
        ways = list(pairwise(widths))

        def stage(wide: int) -> nn.Module:
            return nn.Sequential(*(LocalBlock(axes, wide) for _ in range(blocks)))

        self.stem = convolution(axes, (outer, widths[0]), 3)
        self.down = nn.ModuleList(map(stage, widths))
        self.smaller = nn.ModuleList(Downsample(axes, way) for way in ways)
        self.down_norm = PlaceNorm(widths[-1])
        self.narrow = convolution(axes, (widths[-1], bottleneck.answers(inner)), 1)
        self.between: Narrow = bottleneck.build(inner)
        self.widen = convolution(axes, (inner, widths[-1]), 3)
        self.up = nn.ModuleList(map(stage, reversed(widths)))
        self.larger = nn.ModuleList(Upsample(axes, (wide, thin)) for thin, wide in reversed(ways))
        self.up_norm = PlaceNorm(widths[0])
        self.last = zeroed(convolution(axes, (widths[0], outer), 3))
        convolved = sum(2 * blocks / 2**level for level in range(levels))
        self.reach = math.ceil(1 + convolved + 2 / 2**levels) + 1
        """Latents on each side on which a latent's own pixels depend, at most."""

    def raw(self, x: Tensor) -> Tensor:
        """(b, c, *s) -> what the bottleneck is given, (b, answers, *s/factor)."""
        hidden = self.stem(fold(x, self.fold))
        for stage, smaller in zip(self.down, [*self.smaller, None], strict=True):
            hidden = stage(hidden)
            hidden = hidden if smaller is None else smaller(hidden)
        return self.narrow(silu(self.down_norm(hidden)))

    def latents(self, x: Tensor) -> Tensor:
        """(b, c, *s) -> (b, k, *s/factor), without any chance."""
        return self.between.mean(self.raw(x))

    def restored(self, latents: Tensor) -> Tensor:
        """(b, k, *s) -> (b, c, *s*factor)."""
        return self.pictured(self.between.given(latents))

    def pictured(self, given: Tensor) -> Tensor:
        """What the decoder makes of what the bottleneck lets through."""
        hidden = self.widen(given)
        for stage, larger in zip(self.up, [*self.larger, None], strict=True):
            hidden = stage(hidden)
            if larger is not None:
                hidden = larger(hidden, tuple(2 * n for n in hidden.shape[2:]))
        return unfold(self.last(silu(self.up_norm(hidden))), self.fold)

    def repeated(self, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """In training: x (b, c, *s) -> what is given back, and the bottleneck's price a number.

        eps, standard normal of the shape of x, is where the latents' own noise is taken from.
        """
        whole = padded(x, self.factor)
        raw = self.raw(whole)
        own = fold(padded(eps, self.factor), self.factor)
        given, price = self.between.drawn(raw, own[:, : self.channels])
        return crop(self.pictured(given), tuple(x.shape[2:])), price / x[0].numel()

    def forward(self, x: Tensor, clock: Tensor | None = None, cond: object = None) -> Tensor:
        """What comes back of x (b, c, *s), without any chance; there is no clock and no wish."""
        del clock, cond
        back = self.restored(self.latents(padded(x, self.factor)))
        return crop(back, tuple(x.shape[2:]))


def padded(x: Tensor, multiple: int) -> Tensor:
    """x (b, c, *s), edges repeated on both sides to a multiple; `crop` undoes it."""
    edges = margins(tuple(x.shape[2:]), multiple)
    if not any(chain(*edges)):
        return x
    return pad(x, tuple(chain(*reversed(edges))), mode="replicate")
