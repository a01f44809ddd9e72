"""Measurements: linear looks at a picture, y = A x + sigma*noise, behind one interface.

A mask sees some pixels, a pool the means of squares, grey one mixture of the channels, a blur the
blurred picture, `Seen` all of it. What is not seen is drawn by `unmist.editing.posterior`.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.core.level import lift

__all__ = ["Blur", "Grey", "Mask", "Measurement", "Pool", "Seen", "filled"]


class Measurement(Protocol):
    """A on pictures (b, c, *s), as a pair of functions; y has a batch in front as well.

    `solve` is what a Gaussian of one spread needs: everything here has A A^T of known inverse.
    """

    @property
    def sigma(self) -> float:
        """The noise's standard deviation, in the picture's own units; 0: none."""
        ...

    def forward(self, x: Tensor) -> Tensor:
        """A x."""
        ...

    def adjoint(self, y: Tensor) -> Tensor:
        """A^T y: <A x, y> = <x, A^T y>."""
        ...

    def solve(self, y: Tensor, spread: Tensor | float, noise: float) -> Tensor:
        """(spread*A A^T + noise)^+ y, variances both; spread a number or (b,). 0 where singular."""
        ...


def filled(measurement: Measurement, y: Tensor) -> Tensor:
    """A^+ y: the smallest picture that is seen as y."""
    return measurement.adjoint(measurement.solve(y, 1.0, 0.0))


def over(y: Tensor, size: Tensor) -> Tensor:
    """y/size, 0 where size is (next to) nothing."""
    seen = size > 1e-10 * size.max().clamp(min=1e-30)
    return torch.where(seen, y / torch.where(seen, size, 1.0), 0.0)


def spread_of(spread: Tensor | float, y: Tensor) -> Tensor:
    """A number or (b,) so that it multiplies y."""
    return lift(torch.as_tensor(spread, dtype=torch.float64), y)


@dataclass(frozen=True)
class Seen:
    """All of the picture, through noise: denoising."""

    sigma: float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """x."""
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        """y."""
        return y

    def solve(self, y: Tensor, spread: Tensor | float, noise: float) -> Tensor:
        """y/(spread + noise)."""
        return y / (spread_of(spread, y) + noise)


@dataclass(frozen=True, eq=False)
class Mask:
    """known*x: inpainting. known (*s), (c, *s) or (b, c, *s) in [0, 1], broadcast from the right.

    Between 0 and 1 a pixel is seen through more noise (sigma/known), and as well as any other where
    sigma is 0.
    """

    known: Tensor
    sigma: float = 0.0

    def __post_init__(self) -> None:
        if not bool(((self.known >= 0) & (self.known <= 1)).all()):
            raise BadInput("a mask outside 0 … 1", where="editing.Mask", mend="1 known, 0 unknown")

    def forward(self, x: Tensor) -> Tensor:
        """Shape of x, 0 where nothing is known."""
        return self.known.to(x) * x

    def adjoint(self, y: Tensor) -> Tensor:
        """Its own."""
        return self.known.to(y) * y

    def solve(self, y: Tensor, spread: Tensor | float, noise: float) -> Tensor:
        """Pixel by pixel; 0 where nothing is known."""
        seen = self.known.to(y)
        answer = over(y, spread_of(spread, y) * seen**2 + noise)
        return torch.where(seen > 0, answer, 0.0)


@dataclass(frozen=True)
class Grey:
    """sum_c weights[c]*x[:, c]: colourisation. (b, c, *s) -> (b, 1, *s)."""

    weights: tuple[float, ...] = (0.299, 0.587, 0.114)
    sigma: float = 0.0

    def __post_init__(self) -> None:
        if not any(self.weights):
            raise BadInput("no channel has a weight", where="editing.Grey", mend="0.3, 0.6, 0.1")

    def _lifted(self, like: Tensor) -> Tensor:
        weights = torch.tensor(self.weights, dtype=torch.float64)
        return weights.reshape(-1, *[1] * (like.ndim - 2)).to(like)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, *s)."""
        return (self._lifted(x) * x).sum(1, keepdim=True)

    def adjoint(self, y: Tensor) -> Tensor:
        """(b, c, *s)."""
        return self._lifted(y) * y

    def solve(self, y: Tensor, spread: Tensor | float, noise: float) -> Tensor:
        """One number a row."""
        return y / (spread_of(spread, y) * sum(w * w for w in self.weights) + noise)


@dataclass(frozen=True)
class Pool:
    """Means of squares (intervals, cubes) of `factor` a side: super-resolution.

    Every side of the picture is a multiple of the factor.
    """

    factor: int = 2
    sigma: float = 0.0

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise BadInput(f"factor {self.factor}", where="editing.Pool", mend="1 or more")

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, *s) -> (b, c, *s/factor)."""
        wrong = [side for side in x.shape[2:] if side % self.factor]
        if wrong:
            what = f"a side of {wrong[0]} is no multiple of {self.factor}"
            raise BadInput(what, where="editing.Pool", mend="choose another factor")
        for axis in range(2, x.ndim):
            x = x.unflatten(axis, (-1, self.factor)).mean(axis + 1)
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        """(b, c, *s/factor) -> (b, c, *s)."""
        axes = y.ndim - 2
        for axis in range(2, y.ndim):
            y = y.repeat_interleave(self.factor, axis)
        return y / self.factor**axes

    def solve(self, y: Tensor, spread: Tensor | float, noise: float) -> Tensor:
        """One number a row."""
        return y / (spread_of(spread, y) / self.factor ** (y.ndim - 2) + noise)


@dataclass(frozen=True)
class Blur:
    """A Gaussian blur of standard deviation `width` pixels, mirrored at the edges: deblurring.

    What a blur leaves below `least` of its strength counts as not seen by `solve` without noise.
    """

    width: float = 1.0
    sigma: float = 0.0
    least: float = 0.03

    def __post_init__(self) -> None:
        if not 0 < self.width <= 100:
            raise BadInput(f"width {self.width}", where="editing.Blur", mend="above 0, to 100")

    def forward(self, x: Tensor) -> Tensor:
        """Shape of x."""
        return along(x, [_blurring(side, self.width) for side in x.shape[2:]])

    def adjoint(self, y: Tensor) -> Tensor:
        """Shape of y."""
        return along(y, [_blurring(side, self.width).T for side in y.shape[2:]])

    def solve(self, y: Tensor, spread: Tensor | float, noise: float) -> Tensor:
        """In the axes of A A^T, which are products of those of its sides."""
        parts = [torch.linalg.eigh(m @ m.T) for m in self._sides(y)]
        strength = torch.ones((), dtype=torch.float64)
        for values, _ in parts:
            strength = strength[..., None] * values.clamp(min=0)
        turned = along(y, [vectors.T for _, vectors in parts])
        strength = torch.where(strength > self.least**2, strength, 0.0).to(y)
        size = spread_of(spread, y) * strength + noise
        return along(over(turned, size), [vectors for _, vectors in parts])

    def _sides(self, y: Tensor) -> list[Tensor]:
        return [_blurring(side, self.width) for side in y.shape[2:]]


def along(x: Tensor, matrices: list[Tensor]) -> Tensor:
    """Each spatial axis of x (b, c, *s) through its own matrix (n, m), m the axis's length."""
    for axis, matrix in enumerate(matrices, start=2):
        x = (x.movedim(axis, -1) @ matrix.T.to(x)).movedim(-1, axis)
    return x


@lru_cache(maxsize=32)
def _blurring(side: int, width: float) -> Tensor:
    """(side, side) float64: a Gaussian of `width`, mirrored at both ends, rows of sum 1."""
    place = torch.arange(side, dtype=torch.float64)
    matrix = torch.zeros(side, side, dtype=torch.float64)
    turns = range(-int(6 * width / side) - 1, int(6 * width / side) + 2)
    for turn in turns:  # the mirrored line repeats every two sides
        for image in (place, -1 - place):
            matrix += (-((place[:, None] - image - 2 * side * turn) ** 2) / (2 * width**2)).exp()
    return matrix / matrix.sum(1, keepdim=True)
