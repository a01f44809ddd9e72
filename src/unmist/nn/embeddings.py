"""Numbers and places as vectors: the clock, and positions on a grid."""

import math

import torch
from torch import Tensor, nn

__all__ = ["Clock", "grid_positions"]


class Clock(nn.Module):
    """clock (b,) -> (b, out): sines and cosines at fixed rates, then one layer and a SiLU.

    The rates run geometrically from 0.1 to 6 radians a unit: the slowest does not fold over the
    clock's range of about -10 … 10, the fastest tells levels apart that differ by a tenth. Sines
    are bounded, so a clock outside its range misleads the network but never overflows it.
    """

    rates: Tensor

    def __init__(self, out: int, features: int = 64) -> None:
        super().__init__()
        self.layer = nn.Linear(features, out)
        rates = 0.1 * 60 ** torch.linspace(0, 1, features // 2)
        self.register_buffer("rates", rates, persistent=False)

    def forward(self, clock: Tensor) -> Tensor:
        """Clock (b,) of any float type -> (b, out) in the type of the weights."""
        angle = clock.to(self.rates.dtype)[:, None] * self.rates
        return nn.functional.silu(self.layer(torch.cat((angle.sin(), angle.cos()), 1) * 2**0.5))


def grid_positions(sizes: tuple[int, ...], width: int) -> Tensor:
    """Sine and cosine positions of a grid, (prod(sizes), width), each axis in its share of width.

    The n-dimensional form of Vaswani et al. 2017, section 3.5, as in DiT (Peebles & Xie 2023);
    positions are counted in cells, so a larger grid continues a smaller one. Columns that do not
    divide are zero.
    """
    half = width // (2 * len(sizes))
    rates = torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float64) / max(half, 1))
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in sizes), indexing="ij")
    angles = [axis.reshape(-1, 1) * rates for axis in axes]
    table = torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], 1)
    return nn.functional.pad(table, (0, width - table.shape[1])).float()
