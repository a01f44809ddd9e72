"""The average of the weights over the last part of the run, and others to choose from later."""

import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from unmist.base.faults import BadInput

__all__ = ["Average", "Snapshots", "Tracks", "label"]


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


def label(width: float) -> str:
    """A width as part of a file's name: w0_05."""
    return f"w{width:g}".replace(".", "_")


@dataclass(frozen=True, kw_only=True)
class Snapshots:
    """What is kept so that the average's width can be chosen after training (2312.02696, sec. 3).

    widths: of the averages kept; points: how often all of them are stored, 0 for never; early: the
    share of the run after which they are stored once more, as the weaker model of autoguidance (0:
    not). Disk: 4 bytes a parameter for each width and point.
    """

    points: int = 5
    widths: tuple[float, ...] = (0.05, 0.1)
    early: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.points <= 64 or len({label(width) for width in self.widths}) < max(
            1, len(self.widths)
        ):
            raise BadInput(f"{self}", where="snapshots", mend="0 … 64 points, widths that differ")
        if not all(0.001 <= Average(width).width <= 0.28 for width in self.widths):
            raise BadInput(f"widths {self.widths}", where="snapshots", mend="0.001 … 0.28 each")
        if not 0 <= self.early < 1:
            raise BadInput(f"early {self.early}", where="snapshots", mend="0 … below 1")

    def times(self, samples: int, batch: int) -> tuple[int, ...]:
        """Samples seen at which to store, rising to the end: whole batches, denser towards it.

        At the shares 1 - (1 - i/points)^2 of the run: a narrow average needs stored ones that end
        near its own end.
        """
        shares = [1 - (1 - i / self.points) ** 2 for i in range(1, self.points + 1)]
        shares += [self.early] if self.points and self.early else []
        return tuple(sorted({max(1, round(share * samples / batch)) * batch for share in shares}))


@dataclass(frozen=True, eq=False)
class Tracks:
    """Averages of other widths, kept up to date beside the main one."""

    nets: dict[float, nn.Module]

    @staticmethod
    def start(snapshots: Snapshots, main: Average, net: nn.Module) -> "Tracks":
        """One for each width that the main average does not have."""
        widths = [width for width in snapshots.widths if snapshots.points and width != main.width]
        return Tracks({width: Average(width).start(net) for width in widths})

    def update(self, net: nn.Module, step: int) -> None:
        """After the step-th update, from 1."""
        for width, average in self.nets.items():
            Average(width).update(average, net, step)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All tensors, by file and name."""
        return {f"ema_{label(width)}": dict(net.state_dict()) for width, net in self.nets.items()}
