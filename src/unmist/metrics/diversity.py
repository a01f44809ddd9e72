"""Are samples like the data (precision, density), and is all the data met (recall, coverage)?"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from unmist.base.faults import BadInput

__all__ = ["Diversity", "diversity"]

ROWS = 1 << 22


@dataclass(frozen=True)
class Diversity:
    """Shares in [0, 1]; density may pass 1. Balls reach each picture's k-th nearest neighbour.

    `precision`, `recall`: Kynkäänniemi et al. 2019 (1904.06991), equations 1-3; `density`,
    `coverage`: Naeem et al. 2020 (2002.09797), equations 5 and 8.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    neighbours: int
    reference: int
    count: int

    @property
    def expected_coverage(self) -> float:
        """The mean coverage of samples that follow the data's law exactly, whatever the law.

        1 - (n-1)…(n-k) / ((m+n-1)…(m+n-k)), n real pictures, m samples: Naeem's lemma 2.
        """
        last = range(1, self.neighbours + 1)
        total = self.reference + self.count
        return 1 - prod((self.reference - i) / (total - i) for i in last)


def diversity(real: Tensor, samples: Tensor, neighbours: int = 5) -> Diversity:
    """Of samples (m, d) against real features (n, d), both with more than `neighbours` rows.

    Memory O(n + m) beside a block of distances of about 32 MB.
    """
    least = min(len(real), len(samples))
    if not 1 <= neighbours < least:
        raise BadInput(
            f"{neighbours} neighbours among {least} pictures",
            mend=f"choose 1 … {least - 1} neighbours, or more samples",
        )
    real, samples = real.double(), samples.double()
    real_reach, sample_reach = _reach(real, neighbours), _reach(samples, neighbours)
    inside, within = torch.zeros(len(samples)), torch.zeros(len(samples), dtype=torch.bool)
    recalled, covered = 0, 0
    for rows, distances in _blocks(real, samples):
        balls = distances < real_reach[rows][:, None]
        inside += balls.sum(0)
        within |= balls.any(0)
        covered += int(balls.any(1).sum())
        recalled += int((distances < sample_reach).any(1).sum())
    return Diversity(
        precision=float(within.double().mean()),
        recall=recalled / len(real),
        density=float(inside.double().mean()) / neighbours,
        coverage=covered / len(real),
        neighbours=neighbours,
        reference=len(real),
        count=len(samples),
    )


def _reach(features: Tensor, neighbours: int) -> Tensor:
    """The distance to the k-th nearest other row: (n,)."""
    parts = [
        # the nearest is the row itself, at distance zero
        distances.kthvalue(neighbours + 1, dim=1).values
        for _, distances in _blocks(features, features)
    ]
    return torch.cat(parts)


def _blocks(one: Tensor, other: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Row slices of `one` with their distances to all of `other`."""
    size = max(1, ROWS // len(other))
    for start in range(0, len(one), size):
        rows = slice(start, start + size)
        # by differences: by products, equal rows come out 1e-7 apart
        yield rows, torch.cdist(one[rows], other, compute_mode="donot_use_mm_for_euclid_dist")
