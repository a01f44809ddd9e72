"""Classifier guidance (2105.05233): up the slope of log p(c | x_t)."""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from unmist.core.condition import Cond
from unmist.core.denoiser import Denoiser, steer
from unmist.core.level import Level, lift
from unmist.core.prediction import Prediction
from unmist.guidance.wish import CLASSIFIER, scale_of

__all__ = ["Classified", "NetPosterior", "Posterior"]


class Posterior(Protocol):
    """log p(c | x_t): x (b, c, *s), a level -> (b, classes), differentiable in x."""

    def __call__(self, x: Tensor, level: Level, /) -> Tensor:
        """(b, classes), rows of log-sum-exp 0."""
        ...


@dataclass(frozen=True, eq=False)
class NetPosterior:
    """A classifier of noisy samples: net(scale*x, clock) -> logits (b, classes).

    `prediction` gives scale and clock, as to the denoiser's network, so it is scale-free as well.
    It was taught between sigma/alpha = low and high and is asked as at the nearest end beyond.
    """

    net: nn.Module
    prediction: Prediction
    low: float = 0.002
    high: float = 80.0

    def __call__(self, x: Tensor, level: Level, /) -> Tensor:
        """(b, classes)."""
        here = level.rows(len(x))
        alpha = torch.maximum(here.alpha, here.sigma / self.high)
        held = Level(alpha, torch.maximum(here.sigma, here.alpha * self.low))
        clock = self.prediction.clock(held).to(x)
        return self.net(lift(self.prediction.scale(held), x) * x, clock).log_softmax(1)


@dataclass(frozen=True, eq=False)
class Classified:
    """D + scale*(sigma^2/alpha)*grad log p(c | x_t) (2105.05233, alg. 1, by Tweedie).

    With the exact posterior of an unconditional D this is classifier-free guidance. The class is
    the condition `name`, int64 (b,), which is kept from a model that does not follow it
    (`follows`): rows without one are left alone. A row may bring its own scale along.
    """

    denoise: Denoiser
    posterior: Posterior
    scale: float = 1.0
    name: str = "label"
    follows: bool = field(default=True, kw_only=True)

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """Shape of x."""
        passed = cond if self.follows or cond is None else _less(cond, self.name)
        if cond is None or self.name not in cond.values:
            return self.denoise(x, here, passed, there=there)
        labels, kept = cond.values[self.name], cond.kept(self.name)
        assert isinstance(labels, Tensor)
        scale = scale_of(cond, CLASSIFIER, self.scale, len(x)).to(x) * kept
        if not bool((scale != 0).any()):
            return self.denoise(x, here, passed, there=there)

        def log_p(x: Tensor, level: Level) -> Tensor:
            told = self.posterior(x, level)
            # a row that keeps no class may hold any number
            return scale * told.gather(1, labels.where(kept, 0)[:, None])[:, 0]

        return steer(self.denoise, log_p)(x, here, passed, there=there)


def _less(cond: Cond, name: str) -> Cond | None:
    values = {key: value for key, value in cond.values.items() if key != name}
    keep = {key: mask for key, mask in cond.keep.items() if key != name}
    return Cond(values, keep) if values else None
