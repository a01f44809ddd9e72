"""Learning to name the class of a noisy sample: the objective, and how well it is done."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy

from unmist.core.condition import Cond
from unmist.core.denoiser import Network
from unmist.core.level import Level, lift, noised
from unmist.core.objective import Draw
from unmist.core.prediction import Prediction
from unmist.core.schedule import Schedule

__all__ = ["Classifying", "told_at"]


@dataclass(frozen=True)
class Classifying:
    """Cross-entropy of p(c | x_t) at the levels that the model learned from (2105.05233, sec. 4).

    `prediction` gives clock and scale, as to the model's own network. Rows without a class count
    nothing.
    """

    schedule: Schedule
    prediction: Prediction
    draw: Draw
    name: str = "label"

    def levels(self, u: Tensor) -> Level:
        """The levels (b,) of u (b,) float64 in (0, 1)."""
        return self.draw(u, self.schedule)

    def __call__(
        self, net: Network, x0: Tensor, eps: Tensor, level: Level, cond: Cond | None = None
    ) -> Tensor:
        """Loss a row (b,), in x0's dtype."""
        assert cond is not None, "nothing says the classes"
        labels, kept = cond.values[self.name], cond.kept(self.name)
        assert isinstance(labels, Tensor)
        logits = told_at(net, self.prediction, noised(x0, level, eps), level)
        return cross_entropy(logits, labels.where(kept, 0), reduction="none") * kept


def told_at(net: Network, prediction: Prediction, x: Tensor, level: Level) -> Tensor:
    """Logits (b, classes) of x (b, c, *s) at levels () or (b,)."""
    clock = prediction.clock(level.rows(len(x))).to(x)
    return net(lift(prediction.scale(level), x) * x, clock, None)
