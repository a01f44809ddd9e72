"""Pixels as they are, shifted and scaled to mean 0 and spread 1 a channel."""

from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from unmist.base.faults import BadInput, Diverged
from unmist.codecs.family import codecs

__all__ = ["Pixels", "refuse_infinite"]


@codecs("pixels")
@dataclass(frozen=True)
class Pixels:
    """x = (level - mean) / spread, level in 0 … 255, one mean and spread (> 0) a channel.

    Measured on the data rather than taken as 127.5, so that the model's unit is the data's own and
    a network with sigma_data = 1 is right for any set.
    """

    mean: tuple[float, ...]
    spread: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers = (*self.mean, *self.spread)
        if not self.mean or len(self.mean) != len(self.spread):
            raise BadInput(
                f"{len(self.mean)} means for {len(self.spread)} spreads",
                where="codec pixels",
                mend="give one of each a channel",
            )
        if not all(map(isfinite, numbers)) or min(self.spread) <= 0:
            raise BadInput(
                f"mean {self.mean} and spread {self.spread} must be finite and the spread above 0",
                where="codec pixels",
                mend="measure them on the training rows",
            )

    @classmethod
    def measure(cls, values: np.ndarray) -> "Pixels":
        """From the training rows, uint8 (n, c, *s): exact, from each channel's histogram.

        A channel that never changes gets spread 1, so that it encodes to 0.
        """
        assert values.dtype == np.uint8, values.dtype
        if not values.size:
            raise BadInput("no rows to measure", where="codec pixels", mend="give at least one row")
        counts = _histograms(values)
        levels, total = np.arange(256), counts.sum(1)
        mean = counts @ levels / total
        second = counts @ levels**2 / total
        spread = np.sqrt(np.maximum(second - mean**2, 0.0))
        spread = np.where((counts > 0).sum(1) > 1, spread, 1.0)
        return cls(tuple(mean.tolist()), tuple(spread.tolist()))

    def inner(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The same."""
        return shape

    def encode(self, values: Tensor) -> Tensor:
        """uint8 (b, c, *s) -> float32, mean 0 and spread 1 over the training rows."""
        mean, spread = self._lifted(values)
        return (values.to(torch.float32) - mean) / spread

    def decode(self, x: Tensor, sizes: tuple[int, ...] | None = None) -> Tensor:
        """float (b, c, *s) -> uint8, rounded and clipped to 0 … 255; NaN and infinities refused."""
        assert sizes is None or sizes == tuple(x.shape[2:]), (sizes, x.shape)
        refuse_infinite(x)
        mean, spread = self._lifted(x)
        return (x.to(torch.float32) * spread + mean).round().clamp(0, 255).to(torch.uint8)

    def _lifted(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and spread as float32 (c, 1, …) on the device of `like`."""
        if like.shape[1] != len(self.mean):
            raise BadInput(
                f"{like.shape[1]} channels, the codec knows {len(self.mean)}",
                where="codec pixels",
                mend=f"open the data with channels={len(self.mean)}",
            )
        shape = (len(self.mean),) + (1,) * (like.ndim - 2)
        mean, spread = (
            torch.tensor(numbers, dtype=torch.float32, device=like.device).reshape(shape)
            for numbers in (self.mean, self.spread)
        )
        return mean, spread


def refuse_infinite(x: Tensor) -> None:
    """Diverged where any of the samples (b, …) holds what is no number."""
    wrong = int((~torch.isfinite(x)).flatten(1).any(1).sum())
    if wrong:
        raise Diverged(
            f"{wrong} of {len(x)} samples are not finite",
            mend="use an earlier checkpoint or a gentler guidance",
        )


def _histograms(values: np.ndarray) -> np.ndarray:
    """How often each level occurs: int64 (c, 256), a thousand rows at a time."""
    counts = np.zeros((values.shape[1], 256), np.int64)
    for start in range(0, len(values), 1024):
        for channel, row in enumerate(np.moveaxis(values[start : start + 1024], 1, 0)):
            counts[channel] += np.bincount(row.reshape(-1), minlength=256)
    return counts
