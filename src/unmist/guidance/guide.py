"""How samples are led, as settings, and the denoiser that they make of a model's own."""

import math
from dataclasses import dataclass, field

from unmist.base.faults import BadInput
from unmist.core.denoiser import Denoiser
from unmist.core.variance import Spread
from unmist.guidance.auto import Auto
from unmist.guidance.classifier import Classified, Posterior
from unmist.guidance.free import Free
from unmist.guidance.interval import Interval
from unmist.guidance.threshold import Rescaled, Thresholded

__all__ = ["Guide", "Helpers", "Wish", "led"]

LARGEST = 1000.0
WEAKER = 2.0  # the scale of autoguidance where none is said

Wish = str | int | float | tuple[str | int | float, ...]
"""A value as people write it, or several that the samples take in turn; "" is none."""


@dataclass(frozen=True, kw_only=True)
class Guide:
    """How samples are led to what is wished.

    scale: 1 follows as trained, more follows harder, 0 not at all; several are taken in turn by the
    samples; none: the model's own, measured, or 1. scales: of single conditions by name, taken
    apart from the rest. negative: what to lead away from, by name. low, high: sigma/alpha between
    which it acts (high 0: no end). rescale: the share of the spread that is brought back, 0 … 1.
    threshold: the quantile of dynamic thresholding, as 0.995 (0: none; it greys a black or white
    ground). weaker: the share of the run after which its average is the weaker model of
    autoguidance, as 0.1 (0: not); `scale` is then autoguidance's. classifier: the scale of
    classifier guidance (0: none).
    """

    scale: tuple[float, ...] = ()
    scales: dict[str, float] = field(default_factory=dict)
    negative: dict[str, Wish] = field(default_factory=dict)
    low: float = 0.0
    high: float = 0.0
    rescale: float = 0.0
    threshold: float = 0.0
    weaker: float = 0.0
    classifier: float = 0.0

    def __post_init__(self) -> None:
        every = [*self.scale, *self.scales.values(), self.classifier]
        if not all(abs(one) <= LARGEST for one in every):  # NaN is not
            raise BadInput("a scale is out of bounds", where="guide", mend=f"up to {LARGEST:g}")
        for name in ("rescale", "threshold", "weaker"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"{name} is {getattr(self, name)}", where="guide", mend="0 … 1")
        if not 0 <= self.low < (self.high or math.inf):
            what = f"no level lies between {self.low:g} and {self.high:g}"
            raise BadInput(what, where="guide", mend="low below high, both ratios sigma/alpha")
        if self.weaker and (self.scales or self.negative):
            what = "autoguidance has neither scales by name nor a negative wish"
            raise BadInput(what, where="guide", mend="leave out weaker, or the others")

    @property
    def idle(self) -> bool:
        """Whether the model alone answers, whatever is wished."""
        return self == Guide(scale=self.scale) and set(self.scale) <= {1.0}


@dataclass(frozen=True, eq=False, kw_only=True)
class Helpers:
    """What a guide may need beside the model: the weaker one, a classifier, the range of data.

    follows: whether the model itself follows the classifier's condition.
    """

    weaker: Denoiser | None = None
    posterior: Posterior | None = None
    follows: bool = True
    centre: tuple[float, ...] = (0.0,)
    reach: tuple[float, ...] = (1.0,)


def led(
    base: Denoiser, guide: Guide, helpers: Helpers, spreads: Spread | None = None
) -> tuple[Denoiser, Spread | None]:
    """The guided denoiser, and who is asked for the variance.

    Scales that differ from row to row come with the conditions (`unmist.guidance.wish`).
    """
    interval = Interval(guide.low, guide.high or math.inf)
    scale = guide.scale[0] if guide.scale else 1.0
    plain = Free(base, 1.0, spreads=spreads)
    pair = Free(base, scale, guide.scales, interval, spreads)
    if guide.weaker:
        assert helpers.weaker is not None, "autoguidance without a weaker model"
        strong = guide.scale[0] if guide.scale else WEAKER
        pair = Auto(plain, Free(helpers.weaker, 1.0), strong, interval)
    found: Denoiser = Rescaled(pair, guide.rescale) if guide.rescale else pair
    if guide.classifier:
        assert helpers.posterior is not None, "classifier guidance without a classifier"
        found = Classified(found, helpers.posterior, guide.classifier, follows=helpers.follows)
    if guide.threshold:
        found = Thresholded(found, guide.threshold, helpers.centre, helpers.reach)
    if spreads is None:
        return found, None
    # Free alone answers mean and variance together; wrapped, the model's own costs a call more
    return found, found if isinstance(found, Free) else plain
