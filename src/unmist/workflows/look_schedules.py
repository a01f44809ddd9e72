"""Slide 9 made visible: the curves of schedules, and where a plan stops on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.core.default import default_spacing
from unmist.core.level import Level
from unmist.core.schedule import Schedule, preserving
from unmist.core.spacing import Spacing
from unmist.core.table import Table
from unmist.run.recipe import schedules, spacings
from unmist.workflows.plots import plotted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CurveOf", "Stop", "curve_of", "drawn_curves", "named_schedules", "named_spacing"]

POINTS = 401
FLOOR, CEILING = 1e-3, 100.0  # of sigma as drawn: the numbers themselves are not cut


@dataclass(frozen=True)
class Stop:
    """A level at which a plan stops, in the schedule's own time."""

    time: float
    alpha: float
    sigma: float
    log_snr: float


@dataclass(frozen=True)
class CurveOf:
    """One schedule in numbers, at even times inside (0, 1); beta where alpha^2 + sigma^2 = 1.

    beta(t) = -d log(alpha^2)/dt, the rate of the forward SDE (2011.13456, eq. 11); a table's own
    betas times their count are the same in the limit.
    """

    name: str
    time: tuple[float, ...]
    alpha: tuple[float, ...]
    sigma: tuple[float, ...]
    log_snr: tuple[float, ...]
    beta: tuple[float, ...] | None
    stops: tuple[Stop, ...]


def named_schedules(names: tuple[str, ...]) -> dict[str, Schedule]:
    """The schedules of these names with their own defaults, or every one. Raises BadInput."""
    return {name: schedules[name]() for name in names or schedules.names()}


def named_spacing(name: str | None) -> Spacing:
    """The spacing of this name with its own defaults, or sampling's default. Raises BadInput."""
    return spacings[name]() if name else default_spacing()


def curve_of(name: str, schedule: Schedule, spacing: Spacing, steps: int) -> CurveOf:
    """The curves of a schedule, and the levels of a plan of so many steps, DATA left out."""
    time = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    level = schedule(time)
    return CurveOf(
        name,
        tuple(time.tolist()),
        tuple(level.alpha.tolist()),
        tuple(level.sigma.tolist()),
        tuple(level.log_snr.tolist()),
        _beta(schedule, time),
        _stops(schedule, spacing(schedule, steps)),
    )


def _beta(schedule: Schedule, time: Tensor) -> tuple[float, ...] | None:
    if schedule.process is not preserving:
        return None
    if isinstance(schedule, Table):
        # log(alpha^2) of a table has corners: its own betas, at the nearest index
        index = (time * (schedule.count - 1)).round().long()
        before = torch.cat([torch.ones(1).double(), schedule.levels.alpha])[index]
        return tuple((-2 * schedule.count * (schedule.levels.alpha[index] / before).log()).tolist())
    step = 1e-5
    drop = schedule(time - step).alpha.log() - schedule(time + step).alpha.log()
    return tuple((drop / step).tolist())


def _stops(schedule: Schedule, levels: Level) -> tuple[Stop, ...]:
    times = [
        1.0 if level.is_noise else float(schedule.inverse(level.log_snr)) for level in _each(levels)
    ]
    return tuple(
        Stop(time, float(level.alpha), float(level.sigma), float(level.log_snr))
        for time, level in zip(times, _each(levels), strict=True)
    )


def _each(levels: Level) -> list[Level]:
    return [levels[i] for i in range(len(levels.alpha))]


def drawn_curves(curves: Mapping[str, CurveOf]) -> np.ndarray:
    """uint8 (3, h, w): log-SNR, alpha, sigma and beta over time, a dot where the plan stops."""
    if not curves:
        raise BadInput("no schedules to draw", where="look schedules")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8.4), dpi=110, layout="constrained")
    axes = figure.subplots(2, 2)
    for axis, part in zip(axes.flat, ("log_snr", "alpha", "sigma", "beta"), strict=True):
        _panel(axis, curves, part)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(len(labels), 7), frameon=False
    )
    stops = max(len(curve.stops) for curve in curves.values())
    figure.suptitle(f"{len(curves)} schedules; dots: a plan of {stops} steps, right to left")
    return plotted(figure)


_TITLES = {
    "log_snr": "log-SNR = 2 log(alpha/sigma)",
    "alpha": "alpha, the share of the picture",
    "sigma": "sigma, the noise (logarithmic)",
    "beta": "beta = -d log(alpha²)/dt, where alpha² + sigma² = 1 (logarithmic)",
}
_DASHES = ("-", "--", "-.", ":")


def _panel(axis: "Axes", curves: Mapping[str, CurveOf], part: str) -> None:
    for number, (name, curve) in enumerate(curves.items()):
        style = {"color": f"C{number % 10}", "linestyle": _DASHES[number % 4], "linewidth": 1.8}
        values = {"log_snr": curve.log_snr, "alpha": curve.alpha, "sigma": curve.sigma}
        height = curve.beta if part == "beta" else values[part]
        if height is None:
            continue
        axis.plot(curve.time, height, label=name, **style)
        if part != "beta":
            _dots(axis, curve, part, f"C{number % 10}")
    axis.set_title(_TITLES[part], fontsize=10)
    axis.set_xlabel("time: 0 at the data, 1 at the noise", fontsize=9)
    axis.set_xlim(-0.02, 1.02)
    axis.grid(alpha=0.25)
    if part in ("sigma", "beta"):
        axis.set_yscale("log")
    if part == "sigma":
        axis.set_ylim(FLOOR, CEILING)
    if part == "log_snr":
        axis.set_ylim(-16, 16)


def _dots(axis: "Axes", curve: CurveOf, part: str, colour: str) -> None:
    heights = [
        {"log_snr": s.log_snr, "alpha": s.alpha, "sigma": s.sigma}[part] for s in curve.stops
    ]
    axis.plot([s.time for s in curve.stops], heights, ".", color=colour, markersize=7)
