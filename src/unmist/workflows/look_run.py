"""A run looked at: how far it is, its losses, its looks through the training as a film strip."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.run.card import summary
from unmist.run.picture import as_pixels, grid, save_picture
from unmist.run.story import Held, Story, read_story
from unmist.workflows.plots import plotted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RunLook", "look_run"]

FRAMES = 8


@dataclass(frozen=True)
class RunLook:
    """State, figures and the pictures made. held and held_error are nan before the first."""

    name: str
    state: str
    seen: int
    samples: int
    loss: float
    held: float
    held_error: float
    speed: float
    notices: tuple[str, ...]
    alarms: tuple[str, ...]
    recipe: dict[str, str]
    scores: dict[str, object]
    curves: Path | None
    strip: Path | None


def look_run(folder: Path, to: Path) -> RunLook:
    """Read a run's folder; leave `curves.png` and `strip.png` in the folder `to`.

    Raises BadInput where it is no run, CannotWrite.
    """
    story = read_story(folder)
    nan = float("nan")
    last = story.points[-1] if story.points else None
    held = story.held[-1][1] if story.held else None
    return RunLook(
        name=story.name,
        state=_state(story),
        seen=story.seen,
        samples=story.recipe.training.samples,
        loss=last.loss if last else nan,
        held=held.mean if held else nan,
        held_error=held.error if held else nan,
        speed=last.speed if last else nan,
        notices=tuple(f"{p.seen}: {p.notice}" for p in story.points if p.notice),
        alarms=tuple(f"{seen}: {line}" for seen, line in story.alarms),
        recipe=summary(story),
        scores=dict(story.scores),
        curves=_curves(story, to) if last else None,
        strip=_strip(story, to),
    )


def _state(story: Story) -> str:
    if story.busy:
        return "training now"
    return "finished" if story.finished else "stopped; the same train command goes on with it"


def _strip(story: Story, to: Path) -> Path | None:
    """Up to eight looks, evenly chosen, the last one among them."""
    if not story.looks:
        return None
    last = len(story.looks) - 1
    chosen = sorted({round(i * last / (FRAMES - 1)) for i in range(FRAMES)})
    frames = {i: _opened(story.looks[i]) for i in chosen}
    chosen = [i for i in chosen if frames[i].shape == frames[last].shape]
    told = {**_of(story), "kind": "strip", "looks": [int(story.looks[i].stem) for i in chosen]}
    pixels = grid(np.stack([frames[i] for i in chosen]), len(chosen), gap=8)
    save_picture(to / "strip.png", pixels, told)
    return to / "strip.png"


def _of(story: Story) -> dict[str, object]:
    """The run that a picture is of: name, weights, how far."""
    named: dict[str, object] = {"model": story.name, "seen": story.seen}
    return {**named, "hash": story.digest} if story.digest else named


def _opened(path: Path) -> np.ndarray:
    """One of our own grids, uint8 (c, h, w)."""
    try:
        with Image.open(BytesIO(files.read_bytes(path, most=1 << 26)), formats=("PNG",)) as image:
            return as_pixels(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise BadInput("is damaged", where=path, mend="delete it: looks are only to see") from None


def _curves(story: Story, to: Path) -> Path:
    """Losses over samples seen, by noise level, and below them what samples were worth."""
    from matplotlib.figure import Figure

    rows = 2 if story.measures("frechet") else 1
    figure = Figure(figsize=(11, 4.2 * rows), dpi=110, layout="constrained")
    (left, right), *below = figure.subplots(rows, 2, squeeze=False)
    if below:
        _measures(story, *below[0])
    seen, loss = [p.seen for p in story.points], np.array([p.loss for p in story.points])
    left.plot(seen, loss, color="C0", alpha=0.3, linewidth=1)
    left.plot(seen, _smooth(loss), color="C0", label="training, smoothed")
    if story.held:
        at, held = zip(*story.held, strict=True)
        spread = [h.error for h in held]
        mean = [h.mean for h in held]
        left.errorbar(at, mean, spread, fmt=".-", color="C1", label="held out, ± one error")
    for number, after in enumerate(sorted({after for after, _ in story.alarms})):
        left.axvline(after, color="C3", linestyle=":", label=None if number else "alarm")
    left.set(xlabel="samples seen", ylabel="loss", title="loss", yscale="log")
    left.legend(frameon=False)
    left.grid(alpha=0.25)
    _by_level(story.held, right)
    save_picture(to / "curves.png", plotted(figure), {**_of(story), "kind": "curves"})
    return to / "curves.png"


def _by_level(held: Sequence[tuple[int, Held]], axis: "Axes") -> None:
    """The held-out losses by noise level, the later the darker; words where there are none."""
    axis.set_title("held-out loss by noise level")
    if not held:
        axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center", va="center")
        axis.set_axis_off()
        return
    for number, (count, one) in enumerate(held):
        middle = [(low + high) / 2 for low, high in zip(one.edges, one.edges[1:], strict=False)]
        shade = 0.15 + 0.85 * (number + 1) / len(held)
        label = f"after {count}" if number in (0, len(held) - 1) else None
        axis.plot(middle, one.means, ".-", color="C1", alpha=shade, label=label)
    axis.set(xlabel="log(sigma/alpha)", ylabel="loss")
    axis.legend(frameon=False)
    axis.grid(alpha=0.25)


def _measures(story: Story, left: "Axes", right: "Axes") -> None:
    """The distance and the shares of each measure; dashed what real pictures get."""
    left.plot(*_drawn(story, "frechet"), ".-", color="C0", label="samples")
    left.plot(*_drawn(story, "floor"), "--", color="C0", alpha=0.6, label="real pictures")
    marks = zip(story.measures("best"), story.measures("frechet"), strict=True)
    if kept := [where for (_, best), where in marks if best == 1]:
        left.plot(*kept[-1], "*", color="C3", markersize=13, label="kept as the best")
    left.set(xlabel="samples seen", title="Fréchet distance in the judge's features", yscale="log")
    pairs = (
        ("coverage", "expected_coverage"),
        ("copies", "real_copies"),
        ("repeats", "real_repeats"),
    )
    for number, (name, real) in enumerate(pairs):
        right.plot(*_drawn(story, name), ".-", color=f"C{number}", label=name)
        right.plot(*_drawn(story, real), "--", color=f"C{number}", alpha=0.6)
    right.set(xlabel="samples seen", ylabel="share", title="samples; dashed: real pictures")
    right.set_ylim(-0.03, 1.03)
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter("{x:g}")
    for axis in (left, right):
        axis.legend(frameon=False)
        axis.grid(alpha=0.25)


def _drawn(story: Story, name: str) -> tuple[list[int], list[float]]:
    found = story.measures(name)
    return [seen for seen, _ in found], [value for _, value in found]


def _smooth(values: np.ndarray) -> np.ndarray:
    """A running mean over a twentieth of the points, of those that are finite."""
    width = max(1, len(values) // 20)
    kept = np.isfinite(values)
    window = np.ones(width)
    total = np.convolve(np.where(kept, values, 0), window, "same")
    count = np.convolve(kept, window, "same")
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
