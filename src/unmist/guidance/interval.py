"""Where guidance acts: an interval in noise level (2404.07724)."""

import math
from dataclasses import dataclass

from torch import Tensor

from unmist.core.level import Level

__all__ = ["Interval"]


@dataclass(frozen=True)
class Interval:
    """sigma/alpha in (low, high] (2404.07724, eq. 5): a ratio, so the same on every schedule.

    Guidance hurts variety where the noise is high and does nothing where it is low; outside, only
    the conditional half is asked, which is half the cost.
    """

    low: float = 0.0
    high: float = math.inf

    def holds(self, level: Level) -> Tensor:
        """Bool, the level's shape."""
        return (level.ratio > self.low) & (level.ratio <= self.high)
