"""The patch critic of an autoencoder: is this piece of a sample real or given back?"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import silu

from unmist.networks.family import check_shape
from unmist.nn.blocks import Downsample, convolution, zeroed
from unmist.nn.fold import fold
from unmist.nn.seeded import seeded

__all__ = ["Critic", "CriticModule"]


@dataclass(frozen=True, kw_only=True)
class Critic:
    """Isola et al. 2017 (1611.07004, sec. 3.2.2): one answer a patch of some 30 pixels a side."""

    width: int = 16

    def build(self, shape: tuple[int, ...], seed: int = 0) -> "CriticModule":
        """For samples (c, *s), 1 to 3 axes; equal seeds give equal weights."""
        check_shape(shape)
        with seeded(seed):
            return CriticModule(shape, self.width)


class CriticModule(nn.Module):
    """x (b, c, *s) -> one number a patch (b, 1, *s/8); zero when new, above it for real."""

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        axes = len(shape) - 1
        self.stem = convolution(axes, (shape[0] * 2**axes, width), 3)
        self.ways = nn.ModuleList(
            Downsample(axes, (width * step, 2 * width * step)) for step in (1, 2)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(1, 2 * width * step) for step in (1, 2))
        self.head = zeroed(convolution(axes, (4 * width, 1), 1))

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, *s/8), rounded up."""
        hidden = silu(self.stem(fold(x, 2)))
        for way, norm in zip(self.ways, self.norms, strict=True):
            hidden = silu(norm(way(hidden)))
        return self.head(hidden)
