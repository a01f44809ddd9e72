"""How far a training is, as whoever follows it is told."""

from dataclasses import dataclass
from pathlib import Path

from unmist.training.held import HeldLoss
from unmist.training.loop import Learner, Stats
from unmist.workflows.midway import Midway

__all__ = ["Report", "reported"]


@dataclass(frozen=True)
class Report:
    """How far a run is. speed in samples a second, left in seconds.

    held, measured, look, alarms: where just made.
    """

    seen: int
    samples: int
    loss: float
    grad_norm: float
    rate: float
    speed: float
    left: float
    notice: str = ""
    held: HeldLoss | None = None
    measured: Midway | None = None
    look: Path | None = None
    alarms: tuple[str, ...] = ()
    finished: bool = False


def reported(learner: Learner, stats: Stats | None, speed: float, *, notice: str = "") -> Report:
    """How far a learner is, after an update or where there was none."""
    samples = learner.schooling.samples
    left = (samples - learner.seen) / speed if speed else 0.0
    loss, norm, rate = (stats.loss, stats.grad_norm, stats.rate) if stats else (0.0, 0.0, 0.0)
    return Report(learner.seen, samples, loss, norm, rate, speed, left, notice)
