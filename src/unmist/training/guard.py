"""What keeps a run alive: batches that are not finite are skipped, spikes roll back."""

import math
from dataclasses import asdict, dataclass, replace

__all__ = ["Guard", "Health"]


@dataclass(frozen=True)
class Health:
    """Running figures of a run: fast and slow averages of the loss, and what went wrong.

    bad: batches in a row that were not finite; count: finite updates so far.
    """

    fast: float = 0.0
    slow: float = 0.0
    count: int = 0
    bad: int = 0

    def plain(self) -> dict[str, float | int]:
        """As plain numbers."""
        return asdict(self)

    @staticmethod
    def from_plain(data: object) -> "Health":
        """From plain numbers."""
        assert isinstance(data, dict)
        return Health(
            float(data["fast"]), float(data["slow"]), int(data["count"]), int(data["bad"])
        )


@dataclass(frozen=True, kw_only=True)
class Guard:
    """When to roll back.

    bad: so many batches in a row with a loss or gradient that is not finite; spike: the average
    loss of the last few updates over its slow average, after `settle` updates; rollbacks: how
    often before the run gives up; slow_down: the learning rate's factor at each.
    """

    bad: int = 5
    spike: float = 5.0
    settle: int = 50
    rollbacks: int = 3
    slow_down: float = 0.5

    def __call__(self, health: Health, loss: float, norm: float) -> Health:
        """The figures after one more batch."""
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return replace(health, bad=health.bad + 1)
        count = health.count + 1
        fast = health.fast + (loss - health.fast) / min(count, 5)
        slow = health.slow + (loss - health.slow) / min(count, 200)
        return Health(fast, slow, count, 0)

    def verdict(self, health: Health) -> str:
        """Why to roll back, or "" while all is well."""
        if health.bad >= self.bad:
            return f"{health.bad} batches in a row had a loss or gradient that is not finite"
        if health.count > self.settle and health.fast > self.spike * health.slow:
            return f"the loss rose to {health.fast:.3g}, {self.spike:g} times its average"
        return ""
