"""The Inception network whose features define the FID, after its published graph.

The graph of 2015-12-05 that Heusel et al. 2017 (1706.08500) and Salimans et al. 2016 (1606.03498)
measure with: Szegedy et al. 2015 (1512.00567), 94 convolutions, 2,048 pooled features, 1,008
logits. What sets it apart from the network of the paper is known from pytorch-fid 0.3.0 and
torch-fidelity 0.4.0: average pools do not count their padding, the last block pools by the maximum,
and pictures are stretched as TensorFlow 1 does, corner to corner of the pixel grid (pytorch-fid
goes by the pixels' centres instead). With equal random weights features and logits equal those of
torch-fidelity to the last bit on the CPU. Layers carry the published names, so the published
weights fit as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, batch_norm, linear, max_pool2d, relu
from torch.nn.utils import skip_init

from unmist.metrics.pictures import coloured, digest_of, frozen

__all__ = ["PUBLISHED", "InceptionFeatures", "InceptionNet", "stretched"]

SIDE = 299
WIDTH = 2048
CLASSES = 1008
PUBLISHED = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""SHA-256 of the published weights, pt_inception-2015-12-05-6726825d.pth, of 95,628,359 bytes."""


class Unit(NamedTuple):
    """One convolution: its published name, width, kernel; with `same`, padded to keep the size."""

    name: str
    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    same: bool = True

    def built(self, width: int) -> "_Convolution":
        """The layer, for inputs of `width` channels."""
        return _Convolution(width, self)


Pool = Callable[[Tensor], Tensor]
Chain = tuple[Pool | Unit | tuple[Unit, ...], ...]
"""What follows one another; units in a tuple of their own stand side by side."""

THREE, FIVE = (3, 3), (5, 5)
LYING, UPRIGHT = (1, 7), (7, 1)
LYING_3, UPRIGHT_3 = (1, 3), (3, 1)


def _mean(x: Tensor) -> Tensor:
    """Over 3x3, the padding not counted."""
    return avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _most(x: Tensor) -> Tensor:
    return max_pool2d(x, 3, stride=1, padding=1)


def _halved(x: Tensor) -> Tensor:
    return max_pool2d(x, 3, stride=2)


def _fine(pooled: int) -> tuple[Chain, ...]:
    """At 35x35."""
    name = "branch3x3dbl"
    return (
        (Unit("branch1x1", 64),),
        (Unit("branch5x5_1", 48), Unit("branch5x5_2", 64, FIVE)),
        (Unit(f"{name}_1", 64), Unit(f"{name}_2", 96, THREE), Unit(f"{name}_3", 96, THREE)),
        (_mean, Unit("branch_pool", pooled)),
    )


def _middle(inner: int) -> tuple[Chain, ...]:
    """At 17x17: 7x7 as 1x7 and 7x1."""
    name, deep = "branch7x7", "branch7x7dbl"
    return (
        (Unit("branch1x1", 192),),
        (
            Unit(f"{name}_1", inner),
            Unit(f"{name}_2", inner, LYING),
            Unit(f"{name}_3", 192, UPRIGHT),
        ),
        (
            Unit(f"{deep}_1", inner),
            Unit(f"{deep}_2", inner, UPRIGHT),
            Unit(f"{deep}_3", inner, LYING),
            Unit(f"{deep}_4", inner, UPRIGHT),
            Unit(f"{deep}_5", 192, LYING),
        ),
        (_mean, Unit("branch_pool", 192)),
    )


def _coarse(pool: Pool) -> tuple[Chain, ...]:
    """At 8x8: 3x3 as 1x3 beside 3x1."""
    name, deep = "branch3x3", "branch3x3dbl"
    return (
        (Unit("branch1x1", 320),),
        (Unit(f"{name}_1", 384), _beside(f"{name}_2")),
        (Unit(f"{deep}_1", 448), Unit(f"{deep}_2", 384, THREE), _beside(f"{deep}_3")),
        (pool, Unit("branch_pool", 192)),
    )


def _beside(name: str) -> tuple[Unit, ...]:
    return Unit(f"{name}a", 384, LYING_3), Unit(f"{name}b", 384, UPRIGHT_3)


def _shrinking(name: str, width: int) -> Unit:
    return Unit(name, width, THREE, 2, same=False)


STEM: Chain = (
    _shrinking("Conv2d_1a_3x3", 32),
    Unit("Conv2d_2a_3x3", 32, THREE, same=False),
    Unit("Conv2d_2b_3x3", 64, THREE),
    _halved,
    Unit("Conv2d_3b_1x1", 80),
    Unit("Conv2d_4a_3x3", 192, THREE, same=False),
    _halved,
)
BLOCKS: dict[str, tuple[Chain, ...]] = {
    "Mixed_5b": _fine(32),
    "Mixed_5c": _fine(64),
    "Mixed_5d": _fine(64),
    "Mixed_6a": (
        (_shrinking("branch3x3", 384),),
        (
            Unit("branch3x3dbl_1", 64),
            Unit("branch3x3dbl_2", 96, THREE),
            _shrinking("branch3x3dbl_3", 96),
        ),
        (_halved,),
    ),
    "Mixed_6b": _middle(128),
    "Mixed_6c": _middle(160),
    "Mixed_6d": _middle(160),
    "Mixed_6e": _middle(192),
    "Mixed_7a": (
        (Unit("branch3x3_1", 192), _shrinking("branch3x3_2", 320)),
        (
            Unit("branch7x7x3_1", 192),
            Unit("branch7x7x3_2", 192, LYING),
            Unit("branch7x7x3_3", 192, UPRIGHT),
            _shrinking("branch7x7x3_4", 192),
        ),
        (_halved,),
    ),
    "Mixed_7b": _coarse(_mean),
    "Mixed_7c": _coarse(_most),
}


class _Norm(nn.Module):
    """What a batch norm does once trained: fixed mean and variance, epsilon 0.001."""

    def __init__(self, width: int) -> None:
        super().__init__()
        for name in ("weight", "running_var"):
            self.register_buffer(name, torch.ones(width))
        for name in ("bias", "running_mean"):
            self.register_buffer(name, torch.zeros(width))

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def forward(self, x: Tensor) -> Tensor:
        fixed = self.running_mean, self.running_var, self.weight, self.bias
        return batch_norm(x, *fixed, eps=1e-3)


class _Convolution(nn.Module):
    """relu(norm(conv(x)))."""

    def __init__(self, width: int, unit: Unit) -> None:
        super().__init__()
        room = "same" if unit.same else "valid"
        self.conv = skip_init(
            nn.Conv2d, width, unit.width, unit.kernel, unit.stride, room, bias=False
        )
        self.bn = _Norm(unit.width)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)))


class _Chains(nn.ModuleDict):
    """Chains from one input, their outputs one after the other along the channels."""

    def __init__(self, width: int, chains: tuple[Chain, ...]) -> None:
        super().__init__()
        self.chains = chains
        self.width = sum(self._lay(width, chain) for chain in chains)

    def _lay(self, width: int, chain: Chain) -> int:
        """Build a chain's layers by name; the width it ends with."""
        for link in chain:
            side_by_side = (link,) if isinstance(link, Unit) else link
            if isinstance(side_by_side, tuple):
                for unit in side_by_side:
                    self[unit.name] = unit.built(width)
                width = sum(unit.width for unit in side_by_side)
        return width

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._along(x, chain) for chain in self.chains], 1)

    def _along(self, x: Tensor, chain: Chain) -> Tensor:
        for link in chain:
            if isinstance(link, Unit):
                x = self[link.name](x)
            elif isinstance(link, tuple):
                x = torch.cat([self[unit.name](x) for unit in link], 1)
            else:
                x = link(x)
        return x


class InceptionNet(_Chains):
    """Pictures (b, 3, h, w) of any size, 0 … 255 -> features (b, 2048).

    23.9 M weights, zero until they are filled, and 5.7 G multiplications a picture.
    """

    def __init__(self) -> None:
        super().__init__(3, (STEM,))
        for name, chains in BLOCKS.items():
            block = self[name] = _Chains(self.width, chains)
            self.width = block.width
        self.fc = skip_init(nn.Linear, self.width, CLASSES)
        for part in self.parameters():
            nn.init.zeros_(part)

    def forward(self, x: Tensor) -> Tensor:
        """The features."""
        x = super().forward((stretched(x.float()) - 128) / 128)
        for name in BLOCKS:
            x = self[name](x)
        return x.mean((2, 3))

    def logits(self, features: Tensor, *, bias: bool = True) -> Tensor:
        """(b, 1008) from features; the published Inception Score leaves out the bias."""
        weight, shift = self.fc.parameters()
        return linear(features, weight, shift if bias else None)


@dataclass(frozen=True, eq=False)
class InceptionFeatures:
    """The 2,048 pooled features. Only the published weights are called "inception" (and give FID).

    `source` is the SHA-256 of the file that the weights were converted from; weights from any other
    are called "inception-like" with a digest of their own.
    """

    net: InceptionNet
    source: str = ""
    name: str = field(init=False)

    def __post_init__(self) -> None:
        frozen(self.net)
        name = "inception"
        if self.source != PUBLISHED:
            name = f"inception-like-{digest_of(self.net.state_dict())[:8]}"
        object.__setattr__(self, "name", name)

    @property
    def width(self) -> int:
        """2,048."""
        return WIDTH

    @torch.no_grad()
    def __call__(self, values: Tensor) -> Tensor:
        """uint8 (b, 1 or 3, h, w) -> float32 (b, 2048); grey is repeated to three channels."""
        return self.net(coloured(values, self.name))

    def probabilities(self, values: Tensor) -> Tensor:
        """uint8 (b, 1 or 3, h, w) -> float32 (b, 1008)."""
        return self.probabilities_of(self(values))

    @torch.no_grad()
    def probabilities_of(self, features: Tensor) -> Tensor:
        """(b, 1008) from features, without the bias, as the Inception Score was published."""
        return self.net.logits(features, bias=False).softmax(1)


def stretched(x: Tensor, side: int = SIDE) -> Tensor:
    """(b, c, h, w) -> (b, c, side, side), bilinear as in TensorFlow 1.

    Pixel i of the output lies at i*n/side of the input's n, counted from the first pixel's middle;
    nothing is smoothed where a picture shrinks.
    """
    for axis in (3, 2):
        n = x.shape[axis]
        place = torch.arange(side, dtype=x.dtype, device=x.device) * (n / side)
        low = place.long()
        part = (place - low).view(-1, *[1] * (3 - axis))
        one, other = (x.index_select(axis, i) for i in (low, (low + 1).clamp(max=n - 1)))
        x = one + (other - one) * part
    return x
