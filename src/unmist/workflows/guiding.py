"""The scale of guidance chosen from a measured curve, and kept with the model (slide 10)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from unmist.base.faults import BadInput
from unmist.base.noise import keyed
from unmist.conditions.label import Label
from unmist.core.condition import Cond
from unmist.data.dataset import DataSet
from unmist.metrics.diversity import diversity_estimates
from unmist.metrics.estimate import Estimate
from unmist.metrics.features import ClassifierFeatures, accuracy, extract
from unmist.metrics.frechet import frechet_score
from unmist.metrics.share import wilson
from unmist.run.given import given_of
from unmist.run.guide import GUIDE, Led, write_scale
from unmist.run.model import Model
from unmist.run.picture import save_picture
from unmist.run.shipped import refuse_shipped
from unmist.workflows.blocks import Reference
from unmist.workflows.judging import Judge, names_classes
from unmist.workflows.plots import plotted
from unmist.workflows.sample import Shot, sample, settled
from unmist.workflows.statistics import statistics_home

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SCALES", "Curve", "Point", "Scored", "Scorer", "chosen", "tune_scale", "tuning_scale"]

SCALES = (0.0, 1.0, 1.5, 2.0, 3.0, 4.0)
COUNT = 1000
LOST = 0.01  # of the accuracy that real pictures have: what the default scale may cost
BELOW = 4.0  # sigma/alpha under which guidance is tried too: above, it decides early and costs most


@dataclass(frozen=True)
class Point:
    """What samples at one scale are worth.

    right: the share that the judge names as was asked (None where no class is asked); follows, in
    its place: the mean of 1/rank of the picture whose caption (or other condition) was asked, among
    all held-out ones; frechet: its floor is what real pictures get; calls: network evaluations a
    sample; low, high: sigma/alpha between which it was guided, as in a Guide.
    """

    scale: float
    right: Estimate | None
    frechet: Estimate
    recall: Estimate
    calls: int
    low: float = 0.0
    high: float = 0.0
    follows: Estimate | None = None

    @property
    def where(self) -> str:
        """The scale and its levels in words."""
        above = f" above {self.low:g}" if self.low else ""
        return f"{self.scale:g}{above}" + (f" below {self.high:g}" if self.high else "")

    def __str__(self) -> str:
        right = "" if self.right is None else f"named as asked {self.right.value:.1%}, "
        if self.follows is not None:
            right = f"1/rank of the picture asked for {self.follows.value:.3f}, "
        return (
            f"scale {self.where}: {right}Fréchet distance {self.frechet.value:.4g} (excess "
            f"{self.frechet.excess:.4g}), recall {self.recall.value:.3f} "
            f"[{self.recall.low:.3f}, {self.recall.high:.3f}], {self.calls} evaluations"
        )

    def plain(self) -> dict[str, object]:
        """For JSON."""
        right, follows = (one and one.plain() for one in (self.right, self.follows))
        parts = {"frechet": self.frechet.plain(), "recall": self.recall.plain()}
        levels = {"low": self.low, "high": self.high}
        told = {"right": right, "follows": follows}
        return {"scale": self.scale, **levels, "calls": self.calls, **told, **parts}


@dataclass(frozen=True)
class Curve:
    """The points, the one that was chosen and why.

    real: the share of held-out pictures that the judge names right; plot: where this is drawn.
    """

    points: tuple[Point, ...]
    real: float | None
    best: Point
    why: str
    plot: Path

    def plain(self) -> dict[str, object]:
        """For JSON."""
        own = {"scale": self.best.scale, "low": self.best.low, "high": self.best.high}
        points = [point.plain() for point in self.points]
        return {"points": points, "real": self.real, **own, "why": self.why, "plot": self.plot}


@dataclass(frozen=True, eq=False)
class Scored:
    """A progress report: the points so far; the last one has the curve."""

    stage: str
    points: tuple[Point, ...] = ()
    curve: Curve | None = None


@dataclass(frozen=True, eq=False)
class Scorer:
    """Judges samples that were asked for the conditions of held-out rows, in a fixed order."""

    model: Model
    data: DataSet
    judge: ClassifierFeatures
    name: str | None

    @classmethod
    def of(cls, model: Model, data: DataSet, judge: ClassifierFeatures | None = None) -> "Scorer":
        """By the classifier taught on the data, or another. Raises BadInput.

        The class counts where the model follows one and the judge names them.
        """
        if not model.recipe.conditions:
            mend = "train one on labels, say: unmist train DATA --on label"
            raise BadInput("this model follows nothing", where=model.folder, mend=mend)
        if judge is None:
            opened = Judge("classifier", statistics_home(model.folder / "measures")).open(data)
            assert isinstance(opened, ClassifierFeatures)
            judge = opened
        labels = [n for n, part in model.recipe.conditions.items() if isinstance(part, Label)]
        name = labels[0] if labels and names_classes(judge) else None
        return cls(model, data, judge, name)

    @property
    def rows(self) -> np.ndarray:
        """The held-out rows, in the order in which their conditions are asked."""
        return self.data.held[self._places]

    @property
    def _places(self) -> np.ndarray:
        """Where among the held-out rows each of `rows` stands."""
        return keyed(0, "told").permutation(len(self.data.held))

    def told(self, ids: Sequence[int]) -> Cond | None:
        """The conditions of samples by their numbers."""
        given = given_of(self.model.recipe, self.data, self.model.device)
        return given(self.rows[np.asarray(ids) % len(self.data.held)])

    def real(self) -> float | None:
        """The share of held-out pictures that the judge names right."""
        labels = self._numbers(self.data.held)
        known = labels >= 0
        if self.name is None or not known.any():
            return None
        return accuracy(self.judge, self.data.values[self.data.held[known]], labels[known])

    def _numbers(self, rows: np.ndarray) -> np.ndarray:
        """Labels as the judge counts them: those that training rows have, from 0; -1 for none."""
        labels = self.data.labels
        if labels is None:
            return np.full(len(rows), -1)
        seen = np.unique(labels[self.data.train])
        seen = seen[seen >= 0]
        place = np.searchsorted(seen, labels[rows]).clip(max=max(len(seen) - 1, 0))
        return np.where(np.isin(labels[rows], seen), place, -1)

    def __call__(self, shot: Shot) -> Point:
        """Draw as the shot's guide says, which has one scale, and judge."""
        drawn, guide = sample(self.model, shot, self.told), shot.guide
        assert guide is not None
        found = self.point(drawn.pixels, shot.first, guide.scale[0], drawn.calls)
        return replace(found, low=guide.low, high=guide.high)

    def point(self, pixels: np.ndarray, first: int, scale: float, calls: int) -> Point:
        """Judge samples uint8 (n, c, *s), of numbers from `first` on, drawn as `told` says."""
        values = self.data.values
        found = extract(self.judge, pixels)
        train, held = (extract(self.judge, values[r]) for r in (self.data.train, self.data.held))
        score = frechet_score(found, train, held, features=self.judge.name)
        near = diversity_estimates(held, found, features=self.judge.name)
        return Point(
            scale=scale,
            right=self._right(pixels, first),
            frechet=Estimate(
                name=score.name,
                value=score.value,
                floor=score.floor,
                count=score.count,
                reference=score.reference,
                features=score.features,
                method="against held-out pictures, floor by training pictures",
            ),
            recall=next(estimate for estimate in near if estimate.name == "recall"),
            calls=calls,
            follows=self.follows(found, held, first) if self.name is None else None,
        )

    def follows(self, found: Tensor, held: Tensor, first: int) -> Estimate:
        """Where the picture stands whose conditions were asked, by the cosine of features.

        found (n, width) of samples from number `first` on, held (h, width) of held-out pictures.
        """
        own = torch.from_numpy(self._places[(first + np.arange(len(found))) % len(held)])
        centre = held.mean(0)
        alike = normalize(found - centre) @ normalize(held - centre).T
        ranks = (alike >= alike.gather(1, own[:, None])).sum(1)
        scores = (1 / ranks.clamp(min=1)).double()
        value, doubt = float(scores.mean()), 1.96 * float(scores.std()) / len(scores) ** 0.5
        return Estimate(
            name="asked picture",
            value=value,
            low=value - doubt,
            high=value + doubt,
            count=len(found),
            reference=len(held),
            features=self.judge.name,
            method="mean 1/rank of the held-out picture whose conditions were asked, by cosine",
        )

    def _right(self, pixels: np.ndarray, first: int) -> Estimate | None:
        if self.name is None:
            return None
        asked = self._numbers(self.rows[(first + np.arange(len(pixels))) % len(self.data.held)])
        named = extract(self.judge.probabilities, pixels).argmax(1).numpy()
        known = asked >= 0
        if not known.any():
            return None
        share, count = float((named == asked)[known].mean()), int(known.sum())
        low, high = wilson(share, count)
        return Estimate(
            name="asked class",
            value=share,
            low=low,
            high=high,
            count=count,
            features=self.judge.name,
            method="share of samples that the judge names as was asked, Wilson's interval",
        )


def tune_scale(model: Model, scales: Sequence[float] = SCALES, shot: Shot | None = None) -> Curve:
    """`tuning_scale`, drained."""
    for report in tuning_scale(model, scales, shot):
        if report.curve is not None:
            return report.curve
    raise AssertionError("tuning ends with its curve")


def tuning_scale(
    model: Model, scales: Sequence[float] = SCALES, shot: Shot | None = None
) -> Iterator[Scored]:
    """Draw at each scale, judge, choose, and keep the choice as the model's own scale.

    Scales above 1 are drawn twice, once led below sigma/alpha = 4 only (2404.07724), unless the
    shot's guide says where it acts.

    Leaves guide/scale.json and guide/scale.png in the model's folder. Raises BadInput.
    """
    refuse_shipped(model.folder)
    if not scales or not all(map(math.isfinite, scales)):
        raise BadInput("no scales to measure", where="--scales", mend="as in --scales 0,1,2,4")
    if model.recipe.student is not None:
        what = "a student has its teacher's scale in it"
        raise BadInput(what, where=model.folder, mend="measure its teacher, then distill anew")
    shot = shot or Shot(count=COUNT, seed=1)
    guide = settled(model, shot).guide
    points: list[Point] = []
    yield Scored("teaching the judge")
    scorer = Scorer.of(model, Reference(model.recipe.data).open())
    for scale in scales:
        for high in (0.0, BELOW) if scale > 1 and not guide.low + guide.high else (guide.high,):
            where = f"{scale:g} below {high:g}" if high else f"{scale:g}"
            yield Scored(f"drawing at scale {where}", tuple(points))
            points.append(scorer(replace(shot, guide=replace(guide, scale=(scale,), high=high))))
    real = scorer.real()
    best, why = chosen(points, real)
    curve = Curve(tuple(points), real, best, why, model.folder / GUIDE / "scale.png")
    led = Led(best.scale, model.digest, best.low, best.high)
    write_scale(model.folder, led, [point.plain() for point in points])
    save_picture(curve.plot, drawn_curve(curve), {"scale": best.where, "hash": model.digest})
    yield Scored("done", curve.points, curve)


def chosen(points: Sequence[Point], real: float | None) -> tuple[Point, str]:
    """The point of least Fréchet distance among those that hold the class, and why in words.

    Of these, where there are any, only those whose recall lies in or above the interval at scale 1.
    Where no class is asked: among those that follow what is asked as well as the best, within its
    interval.
    """
    holding = [
        point
        for point in points
        if point.right is not None and real is not None and point.right.value >= real - LOST
    ]
    least = next((point.recall.low for point in points if point.scale == 1), None)
    varied = [point for point in holding if least is not None and point.recall.value >= least]
    best = min(varied or holding or points, key=lambda point: point.frechet.value)
    if real is None or best.right is None:
        return _following(points, best)
    kept = f"{best.right.value:.1%} of samples are named as asked, {real:.1%} of real pictures"
    if holding:
        both = " and the variety" * bool(varied)
        return best, f"the least Fréchet distance of those that hold the class{both}: {kept}"
    return best, f"the least Fréchet distance, but no scale holds the class: {kept}"


def _following(points: Sequence[Point], best: Point) -> tuple[Point, str]:
    """The choice where no class is asked; `best` where it is not known what was followed."""
    told = [(point, point.follows) for point in points if point.follows is not None]
    if not told:
        return best, "the least Fréchet distance (what is asked could not be judged)"
    top = max((follows for _, follows in told), key=lambda one: one.value)
    able = [(point, follows) for point, follows in told if follows.value >= top.low]
    best, own = min(able, key=lambda one: one[0].frechet.value)
    why = f"1/rank of the picture asked for {own.value:.3f}, the best {top.value:.3f}"
    return best, f"the least Fréchet distance of those that follow what is asked: {why}"


def drawn_curve(curve: Curve) -> np.ndarray:
    """uint8 (3, h, w): accuracy, excess Fréchet distance and recall over the scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.8), dpi=110, layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    whole = {(point.low, point.high) for point in curve.points if point.scale > 1}
    for low, high in sorted(whole) or [(0.0, 0.0)]:
        own = [one for one in curve.points if one.scale <= 1 or (one.low, one.high) == (low, high)]
        label = f"led below {high:g}" if high else "led at all levels"
        xs = [point.scale for point in own]
        rights = [point.right for point in own if point.right is not None]
        rights = rights or [point.follows for point in own if point.follows is not None]
        if len(rights) == len(xs):
            _bars(left, xs, rights, label)
        middle.plot(xs, [point.frechet.excess for point in own], "o-", label=label)
        _bars(right, xs, [point.recall for point in own], label)
    if curve.real is not None:
        left.axhline(curve.real, color="grey", linestyle="--", label="real pictures")
    named = curve.best.right is not None
    left.set_title("share named as asked" if named else "1/rank of the picture asked for")
    middle.axhline(0, color="grey", linestyle="--")
    middle.set_title("excess Fréchet distance (0: as real pictures)")
    middle.legend(frameon=False)
    right.axhline(curve.points[0].recall.floor, color="grey", linestyle="--", label="real pictures")
    right.set_title("recall")
    right.legend(frameon=False)
    for axis in (left, middle, right):
        axis.axvline(curve.best.scale, color="C1", alpha=0.6)
        axis.set_xlabel("scale of guidance")
        axis.grid(alpha=0.25)
    return plotted(figure)


def _bars(axis: "Axes", xs: list[float], estimates: Sequence[Estimate], label: str) -> None:
    values = [estimate.value for estimate in estimates]
    ends = [
        [estimate.value - estimate.low for estimate in estimates],
        [estimate.high - estimate.value for estimate in estimates],
    ]
    axis.errorbar(xs, values, ends, fmt="o-", capsize=3, label=label)
