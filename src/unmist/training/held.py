"""The loss on the held-out part, by noise level, with the same noise every time."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from unmist.base.noise import Noise
from unmist.core.objective import Lesson
from unmist.training.loop import Batches
from unmist.training.order import even_draws

__all__ = ["HeldLoss", "binned", "held_loss", "held_rows"]


@dataclass(frozen=True)
class HeldLoss:
    """Mean loss, and by bins of log(sigma/alpha): edges (k + 1,), means (k,), counts (k,)."""

    mean: float
    error: float
    edges: tuple[float, ...]
    means: tuple[float, ...]
    counts: tuple[int, ...]


def held_loss(
    net: nn.Module, objective: Lesson, batches: Batches, rows: np.ndarray, *, bins: int = 6
) -> HeldLoss:
    """The loss of `net` on the given rows; levels stratified and noise fixed, so curves compare."""
    return binned(*held_rows(net, objective, batches, rows), bins)


def held_rows(
    net: nn.Module, objective: Lesson, batches: Batches, rows: np.ndarray
) -> tuple[Tensor, Tensor]:
    """The loss of each row and its log(sigma/alpha), both float64 (n,): see `held_loss`."""
    losses, places = [], []
    u = even_draws(0, 0, len(rows))
    for start in range(0, len(rows), 64):
        part = slice(start, min(start + 64, len(rows)))
        x0, cond = batches.fetch(rows[part])
        eps = Noise(0, "held out", tuple(range(part.start, part.stop)))(x0, 0)
        level = objective.levels(u[part])
        with torch.no_grad():
            losses.append(objective(net, x0, eps, level, cond).double().cpu())
        places.append(level.log_ratio)
    return torch.cat(losses), torch.cat(places)


def binned(loss: Tensor, place: Tensor, bins: int = 6) -> HeldLoss:
    """The summary of what `held_rows` gave."""
    edges = torch.quantile(place, torch.linspace(0, 1, bins + 1, dtype=torch.float64))
    bin_of = torch.bucketize(place, edges[1:-1])
    counts = [int((bin_of == i).sum()) for i in range(bins)]
    means = [float(loss[bin_of == i].mean()) if counts[i] else float("nan") for i in range(bins)]
    error = float(loss.std() / len(loss) ** 0.5) if len(loss) > 1 else float("nan")
    return HeldLoss(float(loss.mean()), error, tuple(edges.tolist()), tuple(means), tuple(counts))
