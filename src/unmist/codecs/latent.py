"""Latents: what an autoencoder makes of pictures, lines, volumes or clips (2112.10752)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.codecs.autoencoder import Autoencoder, padded
from unmist.codecs.bottleneck import Bottleneck, Kl
from unmist.codecs.family import codecs
from unmist.codecs.pixels import Pixels, refuse_infinite
from unmist.nn.fold import crop
from unmist.nn.seeded import seeded

__all__ = ["Latent", "tiles"]

MOST = 1 << 26
"""Numbers of the widest layer that are decoded at a time: 256 MB of float32."""


@codecs("latent")
@dataclass(frozen=True, kw_only=True)
class Latent:
    """`channels` latents for each block of `factor` pixels a side, a power of two.

    width, blocks: of the autoencoder at its finest level, and residual blocks a level; bottleneck:
    kl or vq. Measured when it is taught: `pixels`, the unit of its own input, the `shape` (c, *s)
    of its samples, and `digest`, its weights' SHA-256. Measured when a model is taught in its
    latents: `mean` and `spread` of each channel. net: the weights, once they were read.
    """

    factor: int = 4
    channels: int = 4
    width: int = 32
    blocks: int = 1
    bottleneck: Bottleneck = field(default_factory=Kl)
    shape: tuple[int, ...] = ()
    pixels: Pixels | None = None
    digest: str = ""
    mean: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    net: Autoencoder | None = field(
        default=None, compare=False, repr=False, metadata={"plain": False}
    )

    def __post_init__(self) -> None:
        if self.factor not in (1, 2, 4, 8, 16, 32, 64):
            raise BadInput(f"factor {self.factor}", where="codec", mend="1, 2, 4, 8, 16, 32 or 64")
        if min(self.channels, self.width, self.blocks) < 1:
            raise BadInput("a size below 1", where="codec", mend="channels, width, blocks: 1 …")
        measured = (self.mean, self.spread)
        if any(len(part) not in (0, self.channels) for part in measured) or (
            self.spread and not 0 < min(self.spread) <= max(self.spread) < math.inf
        ):
            what = f"mean {self.mean} and spread {self.spread} for {self.channels} channels"
            raise BadInput(what, where="codec", mend="leave them out: they are measured")

    def inner(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(channels, *s/factor), rounded up."""
        if self.shape and (shape[0], len(shape)) != (self.shape[0], len(self.shape)):
            made, given = ("x".join(map(str, one)) for one in (self.shape, shape))
            mend = "teach another codec on such data"
            raise BadInput(f"a codec of {made} beside samples of {given}", where="codec", mend=mend)
        return (self.channels, *(-(-n // self.factor) for n in shape[1:]))

    def build(self, shape: tuple[int, ...], seed: int) -> Autoencoder:
        """The untaught autoencoder for samples (c, *s); equal seeds give equal weights."""
        axes, pixels = len(shape) - 1, shape[0]
        if self.channels > (most := pixels * self.factor**axes):
            what = f"{self.channels} latents for {most} numbers"
            raise BadInput(what, where="codec.channels", mend=f"at most {most}")
        with seeded(seed):
            return Autoencoder(
                axes, (pixels, self.channels), self.factor, self.width, self.blocks, self.bottleneck
            )

    @torch.no_grad()
    def latents(self, values: Tensor) -> Tensor:
        """uint8 (b, c, *s) -> float32 (b, k, *s/factor) in the autoencoder's own unit."""
        net, pixels = self._opened(values.device)
        rows = max(1, min(64, MOST // math.prod((self.width, *values.shape[2:]))))
        parts = values.split(rows)
        return torch.cat([net.latents(padded(pixels.encode(one), self.factor)) for one in parts])

    def whitened(self, latents: Tensor) -> Tensor:
        """Latents in the autoencoder's unit -> mean 0 and spread 1 a channel."""
        mean, spread = self._unit(latents)
        return (latents - mean) / spread

    def encode(self, values: Tensor) -> Tensor:
        """uint8 (b, c, *s) -> float32 (b, k, *s/factor): the means, nothing is drawn."""
        return self.whitened(self.latents(values))

    @torch.no_grad()
    def decode(
        self, x: Tensor, sizes: tuple[int, ...] | None = None, *, most: int = MOST
    ) -> Tensor:
        """float (b, k, *s/factor) -> uint8 (b, c, *s), row by row, so that company changes nothing.

        sizes: s, None for those it was taught on where they fit, or else s/factor*factor. Large
        samples are decoded in tiles that overlap by as much as a pixel depends on; most: numbers of
        the widest layer in a tile.
        """
        refuse_infinite(x)
        net, pixels = self._opened(x.device)
        mean, spread = self._unit(x)
        latents = x.to(torch.float32) * spread + mean
        whole = tuple(n * self.factor for n in x.shape[2:])
        if sizes is None:
            own = self.shape[1:]
            fits = own and self.inner(self.shape)[1:] == tuple(x.shape[2:])
            sizes = own if fits else whole
        parts = [pixels.decode(crop(self._row(net, row, most), sizes)) for row in latents.split(1)]
        return torch.cat(parts)

    def _row(self, net: Autoencoder, latents: Tensor, most: int) -> Tensor:
        """The decoder's answer (1, c, *s) to one row, tile by tile where it is large."""
        sizes, reach = tuple(latents.shape[2:]), net.reach
        fine = self.factor // net.fold
        side = int((most / self.width) ** (1 / len(sizes)) / fine) - 2 * reach
        if max(sizes) <= max(side, 1) + 2 * reach:
            return net.restored(latents)
        assert self.pixels is not None
        shape = (1, len(self.pixels.mean), *(n * self.factor for n in sizes))
        back = latents.new_empty(shape)
        for tile in tiles(sizes, max(side, 1), reach):
            seen = net.restored(latents[(..., *(slice(low, high) for low, high, _, _ in tile))])
            inside = (slice((a - low) * self.factor, (b - low) * self.factor)
                      for low, _, a, b in tile)  # fmt: skip
            place = (slice(a * self.factor, b * self.factor) for _, _, a, b in tile)
            back[(..., *place)] = seen[(..., *inside)]
        return back

    def _opened(self, device: torch.device) -> tuple[Autoencoder, Pixels]:
        assert self.net is not None, "a codec whose weights were not read"
        assert self.pixels is not None, "a codec that was not taught"
        return self.net.to(device), self.pixels

    def _unit(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and spread as float32 (k, 1, …)."""
        assert self.mean, "a codec whose latents were not measured"
        shape = (-1,) + (1,) * (like.ndim - 2)
        return (
            torch.tensor(self.mean, device=like.device).reshape(shape),
            torch.tensor(self.spread, device=like.device).reshape(shape),
        )


Span = tuple[int, int, int, int]


def tiles(sizes: tuple[int, ...], side: int, reach: int) -> Iterator[tuple[Span, ...]]:
    """Tiles of `side` that cover a grid, an axis each as (from, to, own from, own to).

    What a tile sees goes beyond its own by `reach` on each side, as far as the grid does.
    """
    axes = [
        [
            (max(0, a - reach), min(n, a + side + reach), a, min(n, a + side))
            for a in range(0, n, side)
        ]
        for n in sizes
    ]
    yield from product(*axes)
