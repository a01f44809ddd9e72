"""The average of the weights over the last part of the run."""

import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from unmist.base.faults import BadInput

__all__ = ["Average"]


@dataclass(frozen=True)
class Average:
    """Power-function EMA (2312.02696, eq. 7): its width is a share of the run so far.

    `width` is the standard deviation of the average's age over the run's length (sigma_rel), in
    (0, 0.28]; the same setting serves a run of any length.
    """

    width: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.width <= 0.28:
            raise BadInput(f"width {self.width}", where="average", mend="above 0, at most 0.28")

    @cached_property
    def gamma(self) -> float:
        """The exponent: sigma_rel^2 = (gamma + 1)/((gamma + 2)^2*(gamma + 3)), by bisection."""
        low, high = 0.0, 1e7
        for _ in range(200):
            middle = (low + high) / 2
            wide = (middle + 1) / ((middle + 2) ** 2 * (middle + 3)) > self.width**2
            low, high = (middle, high) if wide else (low, middle)
        return low

    def start(self, net: nn.Module) -> nn.Module:
        """A frozen copy of the network, to be kept up to date."""
        return copy.deepcopy(net).requires_grad_(False).eval()

    def update(self, average: nn.Module, net: nn.Module, step: int) -> None:
        """After the step-th update, from 1: average moves by 1 - (1 - 1/step)^(gamma + 1)."""
        keep = (1 - 1 / step) ** (self.gamma + 1)
        ours, theirs = ([p.detach() for p in part.parameters()] for part in (average, net))
        torch._foreach_lerp_(ours, theirs, 1 - keep)
        for mine, other in zip(average.buffers(), net.buffers(), strict=True):
            mine.copy_(other)
