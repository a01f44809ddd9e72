"""AdamW with warm-up and a long decay, both as shares of the run."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unmist.base.faults import BadInput

__all__ = ["AdamW", "clipped"]


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Decoupled weight decay (1711.05101) on matrices only; rate up in `warmup`, down in `decay`.

    rate: the highest learning rate; betas: memory of the first and second moment; weight_decay: on
    tensors of two or more axes; warmup, decay: shares of the run, in [0, 1]; clip: largest norm of
    the gradient, 0 for none.
    """

    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    warmup: float = 0.02
    decay: float = 0.5
    clip: float = 1.0

    def __post_init__(self) -> None:
        good = self.rate > 0 and min(self.warmup, self.decay) >= 0 and self.warmup + self.decay <= 1
        if not good or self.clip < 0 or self.weight_decay < 0:
            raise BadInput(
                f"{self}",
                where="optimizer",
                mend="rate above 0, warmup + decay at most 1, no negative number",
            )

    def build(self, net: nn.Module) -> torch.optim.AdamW:
        """The torch optimizer of a network's parameters."""
        free = [p for p in net.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in free if p.ndim >= 2], "weight_decay": self.weight_decay},
            {"params": [p for p in free if p.ndim < 2], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        return torch.optim.AdamW(groups, lr=self.rate, betas=self.betas, eps=1e-8, foreach=True)

    def rate_at(self, progress: float) -> float:
        """The learning rate at a share of the run in [0, 1]: up, flat, half a cosine down."""
        if progress < self.warmup:
            return self.rate * max(progress / self.warmup, 1e-3)
        left = (1 - progress) / self.decay if self.decay else 1.0
        return self.rate * (0.5 - 0.5 * math.cos(math.pi * min(max(left, 0.0), 1.0)))


def clipped(parameters: Iterable[Tensor], largest: float) -> float:
    """Scale the gradients to a norm of at most `largest` (0: leave them); the norm before."""
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(grads)
    if largest and bool(norm.isfinite()):
        share = (largest / (norm + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_(grads, share)
    return float(norm)
