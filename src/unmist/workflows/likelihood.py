"""Bits per dimension of pictures under a model, by the bound or along the path (slides 11, 15)."""

import math

import numpy as np
import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import Noise
from unmist.core.level import Level
from unmist.core.likelihood import Discrete, bound, ladder, path_nats
from unmist.metrics.estimate import Estimate
from unmist.run.model import Model

__all__ = ["ROUTES", "bits_per_dimension", "nats_of"]

ROUTES = {"bound": "variational bound", "path": "probability-flow ODE"}
FEWEST = 16


def nats_of(model: Model, values: np.ndarray, route: str, steps: int, seed: int = 0) -> Tensor:
    """-log P of each picture uint8 (n, c, *s) of the model's shape, in nats, (n,) float64.

    route: "bound" (an upper bound, the variance the model has) or "path" (the ODE's own density,
    with one random sign a picture for the trace; an even number of steps).
    """
    if route not in ROUTES:
        raise BadInput(f"no route '{route}'", where="bits", mend=f"one of {', '.join(ROUTES)}")
    if values.shape[1:] != model.shape:
        raise BadInput(
            f"pictures of shape {values.shape[1:]}, a model of {model.shape}", where=model.folder
        )
    levels = ladder(model.schedule, steps)
    codec = model.pixels("a likelihood in bits")
    decoder = Discrete(codec.mean, codec.spread)
    parts = []
    for first in range(0, len(values), 64):
        part = torch.from_numpy(np.array(values[first : first + 64])).to(model.device)
        noise = Noise(seed, f"likelihood {route}", tuple(range(first, first + len(part))))
        parts.append(_nats(model, model.codec.encode(part), levels, noise, decoder, route))
    return torch.cat(parts)


def _nats(
    model: Model, x0: Tensor, levels: Level, noise: Noise, decoder: Discrete, route: str
) -> Tensor:
    if route == "bound":
        return bound(model.denoiser, x0, levels, noise, decoder).total
    return path_nats(model.denoiser, x0, levels, noise, decoder)


def bits_per_dimension(
    model: Model, values: np.ndarray, *, route: str = "bound", steps: int = 100, seed: int = 0
) -> Estimate:
    """The mean over pictures uint8 (n, c, *s), n >= 16, with the interval of that mean.

    The interval covers the draw of pictures and of noise; that the bound lies above the model's own
    likelihood (by less the more steps) it does not cover.
    """
    if len(values) < FEWEST:
        raise BadInput(
            f"{len(values)} pictures are too few for bits per dimension",
            where="bits",
            mend=f"{FEWEST} or more",
        )
    bits = nats_of(model, values, route, steps, seed) / math.log(2) / math.prod(model.shape)
    mean, error = float(bits.mean()), float(bits.std()) / len(bits) ** 0.5
    return Estimate(
        name=f"bits per dimension ({ROUTES[route]})",
        value=mean,
        low=mean - 1.96 * error,
        high=mean + 1.96 * error,
        count=len(values),
        method=f"{steps} steps, {type(model.recipe.variance).__name__.lower()} variance",
    )
