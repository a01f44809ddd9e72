"""A closed-form denoiser that follows labels, a batch to ask it about, and one that counts."""

import core_laws as laws
import torch

from unmist.core.condition import Cond
from unmist.core.exact import Mixture
from unmist.core.labelled import Labelled
from unmist.core.level import Level

# three parts, two classes that overlap in the second part
EXACT = Labelled(laws.mixture(), {"label": torch.tensor([[1.0, 0.4, 0.0], [0.0, 0.6, 1.0]])})
ROWS = 8
X = laws.normal(ROWS, 2)
LABEL = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
COND = Cond({"label": LABEL})
LEVELS = {
    "one": Level(torch.tensor(0.8), torch.tensor(0.6)),
    "a row each": Level(torch.linspace(1, 0.05, ROWS), torch.linspace(0.05, 1, ROWS)),
    "exploding": Level(torch.ones(ROWS), torch.logspace(-1.5, 1.5, ROWS)),
}


def double(values):
    """float64 of exactly these numbers."""
    return torch.tensor(values, dtype=torch.float64)


class Counting:
    """Counts calls and rows."""

    def __init__(self, denoise):
        self.denoise, self.calls, self.rows = denoise, 0, 0

    def __call__(self, x, here, cond=None, *, there=None):
        assert cond is None or not [name for name in cond.values if ":" in name]
        self.calls, self.rows = self.calls + 1, self.rows + len(x)
        return self.denoise(x, here, cond, there=there)

    def spread(self, x, here, cond=None, *, there):
        return self(x, here, cond, there=there), torch.full_like(x, 1.5)


def crossed():
    """Two independent coordinates, a label of each: four parts in the plane."""
    means = double([[a, b] for a in (-1.0, 0.8) for b in (-0.5, 1.1)])
    covs = torch.diag_embed(double([[u, v] for u in (0.1, 0.3) for v in (0.2, 0.05)]))
    weights = double([u * v for u in (0.3, 0.7) for v in (0.6, 0.4)])
    first = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]])
    return Labelled(
        Mixture(weights, means, covs), {"a": first, "b": first[:, torch.tensor([0, 2, 1, 3])]}
    )


TWO = Cond({"a": LABEL, "b": LABEL.flip(0)})
