"""A closed-form denoiser that follows labels: the ground truth of conditions and guidance."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from unmist.core.condition import Cond
from unmist.core.exact import Mixture
from unmist.core.level import DATA, Level

__all__ = ["Labelled"]


@dataclass(frozen=True, eq=False)
class Labelled:
    """A mixture whose samples have labels: what a model that follows labels would answer.

    told: for each condition's name p(class | part), (classes, k), columns of sum 1; labels of
    several names are independent within a part. Conditions are int64 (b,).
    """

    mixture: Mixture
    told: Mapping[str, Tensor]

    def _given(self, cond: Cond | None, count: int) -> Tensor:
        """log p(labels | part), (b, k), of the labels that each row keeps."""
        total = torch.zeros(count, len(self.mixture.weights), dtype=torch.float64)
        cond = cond or Cond({})
        for name, value in cond.values.items():
            assert name in self.told, f"follows no {name}"
            assert isinstance(value, Tensor)
            table, kept = self.told[name].double().log(), cond.kept(name)
            total = total + torch.where(kept[:, None], table[value.where(kept, 0)], 0.0)
        return total

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """E[x0 | x_t, labels], shape of x."""
        del there
        fit, means = self.mixture._parts(x, here)
        weights = (fit + self._given(cond, len(x))).softmax(1)
        return torch.einsum("bk,bkd->bd", weights, means).reshape(x.shape).to(x)

    def log_prob(self, x: Tensor, level: Level = DATA, cond: Cond | None = None) -> Tensor:
        """log p_t(x | labels), (b,) float64, in nats."""
        fit, given = self.mixture._parts(x, level)[0], self._given(cond, len(x))
        return (fit + given).logsumexp(1) - (self.mixture.weights.log() + given).logsumexp(1)

    def posterior(self, x: Tensor, level: Level, name: str = "label") -> Tensor:
        """log p(class | x_t), (b, classes) float64."""
        shares = self.mixture._parts(x, level)[0].log_softmax(1)
        return (shares[:, None] + self.told[name].double().log()).logsumexp(2)
