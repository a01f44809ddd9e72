"""How much noise it takes to hide which sample this is: measured on the data, before training."""

import numpy as np
import torch
from torch import Tensor

from unmist.base.noise import keyed

__all__ = ["half_hidden"]

DRAWS = 512  # noisy rows that the share is measured on, whatever the number of samples
SEARCHED = (1e-4, 1e6)  # in spreads of the data


def half_hidden(x0: Tensor) -> float:
    """The sigma/alpha at which half of the variance of x0 (n, ...) can be told from noisy samples.

    That of the exact denoiser of just these n samples: below it a sample is known again, above it
    only what many have in common is left to know. It grows with the root of the number of cells
    that say the same, so a volume or a clip needs more noise than a picture of the same edge; the
    shifts by resolution of 2301.11093 (eq. 4) and 2403.03206 (sec. 5.3.2) are the case of pictures
    that are larger copies. In the unit of x0; nan where fewer than two samples differ. Memory n^2.
    """
    flat = x0.flatten(1).double()
    own = flat - flat.mean(0)
    gram = own @ own.T  # all that noise can do to n points happens in their span
    total = float(gram.diagonal().mean())
    # a set of equal samples leaves rounding of the mean
    if len(own) < 2 or total <= 1e-9 * float(flat.square().sum(1).mean()):
        return float("nan")
    values, vectors = torch.linalg.eigh(gram)
    root = vectors * values.clamp(min=0).sqrt()
    times = -(-DRAWS // len(own))
    draw = keyed(0, "half hidden").standard_normal((times * len(own), len(own)))
    noise = torch.from_numpy(draw) @ root.T
    spread = (total / flat.shape[1]) ** 0.5
    low, high = (np.log(end * spread) for end in SEARCHED)
    for _ in range(26):
        middle = (low + high) / 2
        low, high = (middle, high) if _known(gram, noise, np.exp(middle)) > 0.5 else (low, middle)
    return float(np.exp((low + high) / 2))


def _known(gram: Tensor, noise: Tensor, sigma: float) -> float:
    """The share of the variance that the exact denoiser tells, 1 - E|D - x0|^2 / E|x0|^2."""
    size, missed = gram.diagonal(), torch.zeros((), dtype=torch.float64)
    for part in noise.split(len(gram)):
        near = gram + sigma * part  # x . d of each noisy sample x with each sample d
        weight = ((near - size / 2) / sigma**2).softmax(1)
        there = weight @ gram
        missed += (size - 2 * there.diagonal() + (there * weight).sum(1)).mean()
    return 1 - float(missed) / (len(noise) // len(gram)) / float(size.mean())
