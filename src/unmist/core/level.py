"""The noise level, the unit of everything: x_t = alpha*x0 + sigma*eps (slides 1 and 2)."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["DATA", "NOISE", "Level", "lift", "noised", "renoised"]


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
        alpha, sigma = torch.broadcast_tensors(alpha, sigma)
        if not bool(((alpha >= 0) & (sigma >= 0) & (alpha + sigma > 0)).all()):
            raise ValueError(f"a level needs alpha, sigma >= 0, not both 0: {alpha}, {sigma}")
        object.__setattr__(self, "alpha", alpha)
        object.__setattr__(self, "sigma", sigma)

    @property
    def shape(self) -> torch.Size:
        """A prefix of the sample's shape."""
        return self.alpha.shape

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
        return bool((self.sigma == 0).all())

    @property
    def is_noise(self) -> bool:
        """True where no row has signal left."""
        return bool((self.alpha == 0).all())

    def like(self, x: Tensor) -> "Coefficients":
        """alpha and sigma in x's rank, dtype and device: the only lift there is."""
        return Coefficients(lift(self.alpha, x), lift(self.sigma, x))

    def rows(self, count: int) -> "Level":
        """The same level with `count` rows in front: () becomes (count,)."""
        if self.shape[:1] == (count,):
            return self
        inner = self.shape[1:]
        return Level(self.alpha.expand(count, *inner), self.sigma.expand(count, *inner))

    def __getitem__(self, index: Tensor | slice | int) -> "Level":
        """The level of some rows."""
        return Level(self.alpha[index], self.sigma[index])

    def __repr__(self) -> str:
        return f"Level(alpha={self.alpha.tolist()}, sigma={self.sigma.tolist()})"


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
    keep = torch.where(here.alpha > 0, there.alpha / here.alpha, torch.zeros(()).double())
    left = keep * here.sigma
    # (a-b)(a+b) and not a^2-b^2: levels of one plan may agree to the last digits.
    spread = (there.sigma - left) * (there.sigma + left)
    up, down = there.sigma * here.alpha, there.alpha * here.sigma  # at NOISE a ratio is infinite
    if bool((up < down * (1 - 1e-9)).any()):
        raise ValueError(f"renoise goes up only, not from {here} to {there}")
    return lift(keep, x) * x + lift(gain * spread.clamp(min=0).sqrt(), x) * eps
