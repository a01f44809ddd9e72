"""Weights from a seed, with the global generator left as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from unmist.base.noise import keyed

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, torch's CPU generator is a function of `seed`; outside, nothing was drawn."""
    before = torch.get_rng_state()
    # the generator reads 32 bits only: mix all 64 of the seed into them
    torch.default_generator.manual_seed(int(keyed(seed, "weights").integers(2**32)))
    try:
        yield
    finally:
        torch.set_rng_state(before)
