"""The noise level, the unit of everything: x_t = alpha*x0 + sigma*eps (slides 1 and 2)."""

from dataclasses import dataclass
from functools import cached_property
from types import EllipsisType

import torch
from torch import Tensor

__all__ = ["DATA", "NOISE", "Level", "Number", "blend", "lift", "noised", "over", "renoised"]

Number = Tensor | float
"""A coefficient: float64 of a level's shape, or a plain number where a sample shares one level."""


@dataclass(frozen=True, eq=False)
class Level:
    """alpha >= 0 and sigma >= 0, not both 0; float64 on the CPU, both of one shape.

    The shape is a prefix of the sample's: () for one level, (b,) for one a row, (b, 1, frames)
    for one a frame; 1 where shared.
    """

    alpha: Tensor
    sigma: Tensor

    def __post_init__(self) -> None:
        alpha = torch.as_tensor(self.alpha, dtype=torch.float64, device="cpu")
        sigma = torch.as_tensor(self.sigma, dtype=torch.float64, device="cpu")
        if alpha.shape != sigma.shape:
            alpha, sigma = torch.broadcast_tensors(alpha, sigma)
        if not _valid(alpha, sigma):
            raise ValueError(f"a level needs alpha, sigma >= 0, not both 0: {alpha}, {sigma}")
        object.__setattr__(self, "alpha", alpha)
        object.__setattr__(self, "sigma", sigma)

    @property
    def shape(self) -> torch.Size:
        """A prefix of the sample's shape."""
        return self.alpha.shape

    @cached_property
    def parts(self) -> tuple[Number, Number]:
        """alpha and sigma, as plain numbers where the shape is ().

        An operation on those costs a fiftieth of one on tensors, which beside a small network is
        seen. Formulas in +, -, * and `over` take either.
        """
        return (self.alpha, self.sigma) if self.shape else (float(self.alpha), float(self.sigma))

    @property
    def ratio(self) -> Tensor:
        """r = sigma/alpha; inf at NOISE, 0 at DATA."""
        return self.sigma / self.alpha

    @property
    def log_ratio(self) -> Tensor:
        """log(sigma/alpha) = -log_snr/2."""
        return self.sigma.log() - self.alpha.log()

    @property
    def log_snr(self) -> Tensor:
        """2*log(alpha/sigma)."""
        return -2 * self.log_ratio

    @property
    def is_data(self) -> bool:
        """True where no row has noise left."""
        return _everywhere(self.parts[1] == 0)

    @property
    def is_noise(self) -> bool:
        """True where no row has signal left."""
        return _everywhere(self.parts[0] == 0)

    def like(self, x: Tensor) -> "Coefficients":
        """alpha and sigma in x's rank, dtype and device: the only lift there is."""
        return Coefficients(lift(self.alpha, x), lift(self.sigma, x))

    def rows(self, count: int) -> "Level":
        """The same level with `count` rows in front: () becomes (count,)."""
        if self.shape[:1] == (count,):
            return self
        inner = self.shape[1:]
        return Level(self.alpha.expand(count, *inner), self.sigma.expand(count, *inner))

    def __getitem__(self, index: "Tensor | slice | int | tuple[EllipsisType, slice]") -> "Level":
        """The level of some rows, or, by [..., slice], of some frames."""
        return Level(self.alpha[index], self.sigma[index])

    def __repr__(self) -> str:
        return f"Level(alpha={self.alpha.tolist()}, sigma={self.sigma.tolist()})"


def _valid(alpha: Tensor, sigma: Tensor) -> bool:
    """Both >= 0, not both 0, no NaN."""
    if not alpha.shape:
        a, s = float(alpha), float(sigma)
        return a >= 0 and s >= 0 and a + s > 0
    return bool(((alpha >= 0) & (sigma >= 0) & (alpha + sigma > 0)).all())


def _everywhere(test: Tensor | bool) -> bool:
    return test if isinstance(test, bool) else bool(test.all())


@dataclass(frozen=True, eq=False)
class Coefficients:
    """A level lifted to a sample: alpha and sigma broadcast against it."""

    alpha: Tensor
    sigma: Tensor


def lift(value: Tensor, x: Tensor) -> Tensor:
    """`value`, whose shape is a prefix of x's (1 where shared), in x's rank, dtype and device.

    Raises ValueError where the shape is no such prefix: broadcasting from the right would pair a
    batch of levels with columns of pixels whenever the sizes happen to agree.
    """
    fits = value.ndim <= x.ndim and all(
        size in (1, x.shape[axis]) for axis, size in enumerate(value.shape)
    )
    if not fits:
        raise ValueError(f"a level of shape {tuple(value.shape)} is no prefix of {tuple(x.shape)}")
    return value.reshape(*value.shape, *[1] * (x.ndim - value.ndim)).to(x)


def over(value: Number, by: Number, instead: float) -> Number:
    """value/by, and `instead` where `by`, never negative, is 0."""
    if isinstance(by, Tensor):
        return torch.where(by > 0, value / torch.where(by > 0, by, 1.0), instead)
    return value / by if by > 0 else instead


def blend(x: Tensor, keep: Number, *terms: tuple[Number, Tensor]) -> Tensor:
    """keep*x + the sum of share*term over `terms`; coefficients as of a level's `parts`."""
    total = (lift(keep, x) if isinstance(keep, Tensor) else keep) * x
    for share, term in terms:
        if isinstance(share, Tensor):
            total = torch.addcmul(total, lift(share, x), term)
        else:
            total = torch.add(total, term, alpha=share)
    return total


DATA = Level(torch.tensor(1.0), torch.tensor(0.0))
NOISE = Level(torch.tensor(0.0), torch.tensor(1.0))


def noised(x0: Tensor, level: Level, eps: Tensor) -> Tensor:
    """The forward process, q(x_t | x0): alpha*x0 + sigma*eps (DDPM 2006.11239, eq. 4)."""
    at = level.like(x0)
    return at.alpha * x0 + at.sigma * eps


def renoised(x: Tensor, here: Level, there: Level, eps: Tensor, gain: float = 1.0) -> Tensor:
    """q(x_there | x_here), exactly; `there` is at least as noisy as `here`.

    x' = k*x + gain*sqrt(sigma'^2 - (k*sigma)^2)*eps with k = alpha'/alpha (0 at NOISE).
    """
    (alpha, sigma), (to_alpha, to_sigma) = here.parts, there.parts
    # at NOISE a ratio is infinite
    if not _everywhere(to_sigma * alpha >= to_alpha * sigma * (1 - 1e-9)):
        raise ValueError(f"renoise goes up only, not from {here} to {there}")
    keep = over(to_alpha, alpha, 0.0)
    left = keep * sigma
    # (a-b)(a+b) and not a^2-b^2: levels of one plan may agree to the last digits.
    spread = _root((to_sigma - left) * (to_sigma + left))
    return blend(x, keep, (gain * spread, eps))


def _root(square: Number) -> Number:
    """Its root, 0 where rounding made it negative."""
    return square.clamp(min=0).sqrt() if isinstance(square, Tensor) else max(square, 0.0) ** 0.5
