"""Randomness by counter: every draw is a function of (seed, purpose, sample, move)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

from unmist.base.faults import BadInput

__all__ = ["Noise", "keyed"]


def keyed(seed: int, purpose: str, first: int = 0, second: int = 0) -> np.random.Generator:
    """A private generator, a pure function of its arguments.

    Philox-4x64 (Salmon et al. 2011) with key (seed, digest of the purpose) and the two counters in
    the high words, so that streams never meet. seed, first and second lie in [0, 2^64).
    """
    return next(_streams(seed, purpose, (first,), second))


def _streams(
    seed: int, purpose: str, firsts: Sequence[int], second: int
) -> Iterator[np.random.Generator]:
    """`keyed` for each of `firsts`, in turn: one generator that is wound, a tenth of a new one."""
    for name, value in (("seed", seed), ("counter", second), *(("counter", n) for n in firsts)):
        if not 0 <= value < 2**64:
            raise BadInput(f"{name} {value} is outside 0 … 2^64-1", mend="choose a smaller number")
    philox = np.random.Philox(key=np.array([seed, _digest(purpose)], dtype=np.uint64), counter=0)
    generator, state = np.random.Generator(philox), philox.state
    for first in firsts:
        state["state"]["counter"] = np.array([0, 0, second, first], dtype=np.uint64)
        philox.state = state
        yield generator


@lru_cache
def _digest(purpose: str) -> int:
    return int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "little")


@dataclass(frozen=True)
class Noise:
    """Standard normal draws, one stream a row: row i is f(seed, purpose, ids[i], move).

    Drawn on the CPU in float32 and cast, so a row is bit-equal in any batch, order or company.
    Move 0 is the start of a trace; its k-th move draws with k.
    """

    seed: int
    purpose: str
    ids: tuple[int, ...]

    def __call__(self, x: Tensor, move: int) -> Tensor:
        """Noise of the shape, dtype and device of x (b, c, *s); b must be len(ids)."""
        assert len(x) == len(self.ids), f"{len(x)} rows, {len(self.ids)} ids"
        shape = tuple(x.shape[1:])
        rows = np.empty((len(x), *shape), dtype=np.float32)
        streams = _streams(self.seed, self.purpose, self.ids, move)
        for row, generator in zip(rows, streams, strict=True):
            generator.standard_normal(dtype=np.float32, out=row)
        return torch.from_numpy(rows).to(device=x.device, dtype=x.dtype)

    def select(self, ids: Sequence[int]) -> "Noise":
        """The same streams for other rows."""
        return replace(self, ids=tuple(ids))
