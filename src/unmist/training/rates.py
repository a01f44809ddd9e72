"""Which learning rate: one that rises update by update until the loss does (1506.01186, 3.3)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from unmist.training.loop import Learner

__all__ = ["Rates", "Tried", "rates_of", "trying"]

LOW, HIGH = 1e-5, 1.0
MEMORY = 0.9  # of the smoothed loss
BROKEN = 1.2  # times the least smoothed loss: beyond it the run diverges
SHARE = 0.25  # of the rate at which the loss was least: on the digits what whole trainings chose


@dataclass(frozen=True)
class Tried:
    """One update: its rate, its loss, the loss smoothed over the last ten or so."""

    rate: float
    loss: float
    smooth: float


@dataclass(frozen=True)
class Rates:
    """What a rising rate showed.

    chosen: a quarter of the rate where the smoothed loss was least; least: that rate; broken: where
    it had risen a fifth, or was no number, None where that was not reached.
    """

    tried: tuple[Tried, ...]
    chosen: float
    least: float
    broken: float | None


def trying(
    learner: Learner, updates: int = 200, low: float = LOW, high: float = HIGH
) -> Iterator[Tried]:
    """Updates at rates from `low` to `high`, even in their logarithm, until the loss breaks.

    The learner must have an optimizer without warm-up and decay; it is worth nothing afterwards.
    """  # fmt: skip
    base, mean, least = learner.optimizer.rate, 0.0, math.inf
    for number in range(updates):
        rate = low * (high / low) ** (number / max(1, updates - 1))
        learner.slower = rate / base
        stats = learner.advance()
        mean = MEMORY * mean + (1 - MEMORY) * stats.loss
        smooth = mean / (1 - MEMORY ** (number + 1))
        yield Tried(rate, stats.loss, smooth)
        least = min(least, smooth)
        if stats.skipped or not math.isfinite(smooth) or smooth > BROKEN * least:
            return


def rates_of(tried: tuple[Tried, ...]) -> Rates:
    """What is to be made of them; at least one."""
    finite = [one for one in tried if math.isfinite(one.smooth)]
    best = min(finite or tried, key=lambda one: one.smooth)
    last = tried[-1]
    broke = not math.isfinite(last.smooth) or last.smooth > BROKEN * best.smooth
    return Rates(tried, SHARE * best.rate, best.rate, last.rate if broke else None)
