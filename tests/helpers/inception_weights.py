"""Weights for the FID's Inception network when the published ones are not at hand."""

import numpy as np
import torch

from unmist.base.noise import keyed


def random_weights(shapes, seed=0):
    """A tensor for each name and shape: convolutions keep their input's size, norms do something.

    Drawn by name, so neither the order of the names nor torch's version matters.
    """
    return {name: _drawn(name, tuple(shape), keyed(seed, name)) for name, shape in shapes.items()}


def _drawn(name, shape, draw):
    x = torch.from_numpy(draw.standard_normal(shape, dtype=np.float32))
    if name.endswith("conv.weight"):
        return x * (2 / x[0].numel()) ** 0.5
    if name == "fc.weight":
        return x * (30 / shape[1]) ** 0.5
    if name.endswith("running_var"):
        return 1 + x.abs() / 2
    return 1 + x / 10 if name.endswith("bn.weight") else x / 10


def shapes_of(net):
    """Names and shapes of a network's tensors."""
    return {name: tensor.shape for name, tensor in net.state_dict().items()}


def two_pictures():
    """uint8 (2, 3, 20, 28): noise, and waves that differ by channel."""
    noise = np.random.default_rng(1).integers(0, 256, (3, 20, 28))
    down, along = np.indices((20, 28))
    waves = [128 + 120 * np.sin(down / (2 + k) + along * k / 3) for k in range(3)]
    return torch.from_numpy(np.stack([noise, waves]).astype(np.uint8))
