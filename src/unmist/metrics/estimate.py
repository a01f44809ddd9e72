"""A measured number, with everything that is needed to read it."""

from dataclasses import asdict, dataclass
from math import isfinite, nan

__all__ = ["Estimate"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value and the interval that holds the true one in `confidence` of repeated draws.

    low, high: NaN where no interval is known; floor: what real pictures get at the same numbers
    (NaN where the measure has none, or where the value is already free of its bias); count,
    reference: how many samples and real pictures; features: the name of the features; method: how
    value and interval were found, in a few words.
    """

    name: str
    value: float
    low: float = nan
    high: float = nan
    floor: float = nan
    count: int
    reference: int = 0
    features: str = ""
    method: str = ""
    confidence: float = 0.95

    @property
    def excess(self) -> float:
        """The value above its floor; NaN without one."""
        return self.value - self.floor

    def holds(self, truth: float) -> bool:
        """Whether the interval holds a number."""
        return self.low <= truth <= self.high

    def plain(self) -> dict[str, object]:
        """As plain values for JSON: what is not finite becomes None."""
        return {
            key: None if isinstance(value, float) and not isfinite(value) else value
            for key, value in asdict(self).items()
        }

    def __str__(self) -> str:
        bounds = f" [{self.low:.4g}, {self.high:.4g}]" if isfinite(self.low + self.high) else ""
        floor = f", floor {self.floor:.4g}" if isfinite(self.floor) else ""
        against = f" against {self.reference}" if self.reference else ""
        features = f"; {self.features}" if self.features else ""
        return f"{self.name} {self.value:.4g}{bounds}{floor} ({self.count}{against}{features})"
