"""Which sample comes when: a pure function of (seed, position), so that resuming needs no state."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from unmist.base.noise import keyed

__all__ = ["Order", "even_draws", "flips", "rising"]


@dataclass(frozen=True)
class Order:
    """An endless stream of shuffles of `count` rows: every epoch holds each row once."""

    seed: int
    count: int

    def rows(self, first: int, number: int) -> np.ndarray:
        """Rows (number,) int64 at stream positions first … first + number - 1."""
        return np.concatenate(list(self._stretches(first, number)))

    def _stretches(self, first: int, number: int) -> Iterator[np.ndarray]:
        while number > 0:
            epoch, place = divmod(first, self.count)
            stretch = _shuffle(self.seed, epoch, self.count)[place:][:number]
            yield stretch
            first, number = first + len(stretch), number - len(stretch)


@lru_cache(maxsize=4)
def _shuffle(seed: int, epoch: int, count: int) -> np.ndarray:
    return keyed(seed, "order", epoch).permutation(count)


def even_draws(seed: int, position: int, number: int) -> Tensor:
    """u (number,) float64 in (0, 1), one in each of `number` equal cells, in random order.

    Stratified over the batch (2107.00630, app. I.1): less variance than independent draws.
    """
    draw = keyed(seed, "levels", position)
    cells = draw.permutation(number)
    u = (cells + draw.random(number)) / number
    return torch.from_numpy(np.clip(u, 1e-9, 1 - 1e-9))


def flips(seed: int, position: int, number: int) -> Tensor:
    """(number,) bool: which rows of a batch are mirrored."""
    return torch.from_numpy(keyed(seed, "flips", position).random(number) < 0.5)


CLEAN = 1e-4  # u of frames that are there: the level of least noise, nearly


def rising(u: Tensor, seed: int, position: int, frames: int, share: float) -> Tensor:
    """u (n,) as (n, frames): in `share` of the rows each frame has its own, rising with time.

    Of those rows a number of first frames, from none to all but one, is all but clean, as what is
    known in rolling on; in the others all frames have the row's.
    """
    draw = keyed(seed, "rising", position)
    number = len(u)
    each = np.sort(draw.random((number, frames)), 1)
    known = np.arange(frames) < draw.integers(frames, size=number)[:, None]
    each = np.where(known, CLEAN, np.clip(each, 1e-9, 1 - 1e-9))
    own = torch.from_numpy(draw.random(number) < share)
    return torch.where(own[:, None], torch.from_numpy(each), u[:, None])
