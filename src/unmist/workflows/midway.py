"""A run measured while it trains: held-out loss, looks, samples against real pictures, alarms."""

from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from unmist.base.noise import Noise, keyed
from unmist.conditions.image import Image
from unmist.core.condition import Cond
from unmist.core.objective import Lesson
from unmist.core.plan import descend
from unmist.core.walk import final, started, walk
from unmist.data.dataset import DataSet
from unmist.metrics.alike import alike
from unmist.metrics.classes import ClassBalance, class_balance
from unmist.metrics.copies import copies
from unmist.metrics.diversity import diversity
from unmist.metrics.features import ClassifierFeatures, extract
from unmist.metrics.frechet import frechet_score
from unmist.run.course import Course
from unmist.run.given import Given
from unmist.run.latents import rows_of
from unmist.run.model import denoiser_of
from unmist.run.picture import grid, save_picture
from unmist.run.recipe import Recipe
from unmist.run.views import stills
from unmist.training.alarms import Alarm, Judged, copying, lost, twins
from unmist.training.held import HeldLoss, binned, held_rows
from unmist.training.loop import Batches
from unmist.workflows.judges import judged
from unmist.workflows.statistics import statistics_home

__all__ = [
    "HELD",
    "LEAST",
    "Midway",
    "Referee",
    "draw",
    "held_out",
    "look",
    "measure",
    "referee",
    "shown",
    "watched",
]

HELD = 512  # held-out rows for the loss
LEAST = 16  # below that there is none
MOST = 10_000  # training pictures among which copies are sought during training


@dataclass(frozen=True)
class Midway:
    """What samples drawn at one time of the run are worth; each beside what real pictures get.

    copies: the share of samples suspected in pixels; repeats: of those nearly like another sample;
    lost: classes too rare beyond chance; imbalance: the total variation distance of the classes'
    shares (None where the judge knows none); value: the score that decides about the best weights,
    kept where `best`.
    """

    seen: int
    frechet: float
    floor: float
    coverage: float
    expected_coverage: float
    copies: float
    real_copies: float
    repeats: float
    real_repeats: float
    lost: tuple[str, ...]
    imbalance: float | None
    count: int
    reference: int
    features: str
    value: float
    best: bool = False

    def plain(self) -> dict[str, object]:
        """For the log; a score that is no number becomes None."""
        value = self.value if isfinite(self.value) else None
        return {**asdict(self), "lost": list(self.lost), "value": value}


@dataclass(frozen=True, eq=False)
class Referee:
    """The judge's features and real pictures seen by it: (pictures, features); made once a run.

    Rows stand in a random order. classes: of the data, named by the numbers the judge gives.
    """

    features: ClassifierFeatures
    train: tuple[Tensor, Tensor]
    held: tuple[Tensor, Tensor]
    classes: tuple[str, ...]

    def named(self, found: Tensor) -> Tensor | None:
        """The class of each picture by its features, int64 (n,); None where it knows none."""
        if self.features.learned != "labels":
            return None
        return self.features.probabilities_of(found).argmax(1)


def referee(data: DataSet, folder: Path) -> Referee:
    """Teach the judge (kept in the cache, else in the run's folder) and show it real pictures."""
    features = judged(data, statistics_home(folder / "measures"))
    train, held = (_seen(features, data, rows) for rows in (data.train, data.held))
    told = np.zeros(0, np.int64) if data.labels is None else data.labels[data.train]
    classes = tuple(data.classes[label] for label in np.unique(told[told >= 0]))
    return Referee(features, train, held, classes)


def _seen(features: ClassifierFeatures, data: DataSet, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    rows = keyed(0, "midway").permutation(rows)[:MOST]
    pictures = torch.from_numpy(data.values[rows])
    return pictures, extract(features, pictures)


def shown(data: DataSet, given: Given, count: int) -> Cond | None:
    """The conditions samples are drawn with: of held-out rows, always the same, in turn."""
    rows = data.held if len(data.held) else data.train
    return given(np.resize(keyed(0, "shown").permutation(rows), count))


def draw(
    net: nn.Module, recipe: Recipe, count: int, steps: int, purpose: str, cond: Cond | None = None
) -> Tensor:
    """uint8 (count, c, *s) from a network at fixed seeds, by the recipe's solver and spacing.

    cond: the conditions of all `count` rows.
    """
    chosen, codec = recipe.sampling, recipe.codec
    assert codec is not None
    device = next(net.parameters()).device
    denoise = denoiser_of(net, recipe)
    plan = descend(chosen.spacing(recipe.schedule, min(chosen.steps, steps)))
    parts = []
    for ids in torch.arange(count).split(64):
        noise = Noise(0, purpose, tuple(ids.tolist()))
        x = started(torch.zeros(len(ids), *recipe.inner, device=device), plan, noise)
        own = None if cond is None else cond.rows(ids.to(device))
        states = walk(denoise, x, plan, chosen.solver, noise, own, spread=denoise)
        parts.append(codec.decode(final(states).x).cpu())
    return torch.cat(parts)


def measure(course: Course, judge: Referee) -> tuple[Midway, list[Alarm]]:
    """Draw from the averaged weights, compare with real pictures, keep the weights if best so far.

    The alarms that this measure raises, told before or not.
    """
    asked, net = course.recipe.measuring, course.learner.ema
    cond = shown(course.data, course.given, asked.samples)
    pixels = draw(net, course.recipe, asked.samples, asked.steps, "midway", cond)
    found = extract(judge.features, pixels)
    distance = frechet_score(found, judge.train[1], judge.held[1], features=judge.features.name)
    variety = diversity(judge.held[1], found)
    count, of = len(found), len(judge.held[1])
    flips, level = course.recipe.training.flip, max(0.01, 1 / of)
    copied = copies((pixels, found), judge.train, judge.held, level=level, flips=flips)
    twin = alike((pixels, found), judge.train, level=max(0.01, 2 / min(count, len(judge.train[0]))))
    balance, missing = _balance(course, judge, found)
    result = Midway(
        seen=course.learner.seen,
        frechet=distance.value,
        floor=distance.floor,
        coverage=variety.coverage,
        expected_coverage=variety.expected_coverage,
        copies=copied.pixels,
        real_copies=copied.held_pixels,
        repeats=twin.share.value,
        real_repeats=twin.share.floor,
        lost=course.short,
        imbalance=balance.distance.value if balance else None,
        count=count,
        reference=of,
        features=judge.features.name,
        value=0.0,
    )
    result = replace(result, value=_value(course, result))
    result = replace(result, best=course.offer(result.value, replace(result, best=True).plain()))
    suspects, usual = round(copied.pixels * count), round(copied.held_pixels * of)
    beyond = sum(len(group) - 1 for group in twin.groups)  # pairs count once
    real = round(twin.share.floor * twin.share.count)
    alarms = [
        missing,
        copying(suspects, count, usual, of),
        twins(beyond, twin.share.count, real, twin.share.count),
    ]
    return result, [alarm for alarm in alarms if alarm is not None]


def _balance(
    course: Course, judge: Referee, found: Tensor
) -> tuple[ClassBalance | None, Alarm | None]:
    """Classes of samples against those of training pictures, both as the judge names them."""
    ours, theirs = judge.named(found), judge.named(judge.train[1])
    if ours is None or theirs is None:
        return None, None
    balance = class_balance(ours, theirs, judge.classes)
    counts = dict(zip(balance.classes, balance.samples, strict=True))
    shares = {name: share for name, (_, share) in balance.shares.items()}
    alarm, short = lost(counts, shares, course.short)
    # before half of the run a class is not lost but not met yet
    course.short = short if 2 * course.learner.seen >= course.recipe.training.samples else ()
    return balance, alarm if course.short else None


def _value(course: Course, found: Midway) -> float:
    """The score by which the best weights are chosen."""
    match course.recipe.measuring.best:
        case "coverage":
            return found.coverage
        case "held":
            rows = held_out(course.learner.ema, course.recipe, course.data, course.given)
            return float(rows[0].mean()) if rows else float("nan")
        case _:
            return found.frechet


def held_out(
    net: nn.Module, recipe: Recipe, data: DataSet, given: Given, lesson: Lesson | None = None
) -> tuple[Tensor, Tensor] | None:
    """The loss and log(sigma/alpha) of up to 512 held-out rows, always the same; None for few.

    lesson: what the loss is of, where that is not the recipe's own objective.
    """
    rows, codec = data.held[:HELD], recipe.codec
    if len(rows) < LEAST:
        return None
    assert codec is not None
    inner = rows_of(codec, data, next(net.parameters()).device)

    def fetch(chosen: np.ndarray) -> tuple[Tensor, Cond | None]:
        return inner(chosen), given(chosen)

    return held_rows(net, lesson or recipe.objective, Batches(len(rows), fetch), rows)


def watched(course: Course) -> tuple[HeldLoss | None, list[Alarm]]:
    """The averaged network on held-out rows, and whether its loss has turned."""
    lesson = course.learner.objective
    rows = held_out(course.learner.ema, course.recipe, course.data, course.given, lesson)
    if rows is None:
        return None, []
    if course.recipe.student is not None:  # it repeats its teacher, who may have memorised
        return binned(*rows), []
    now = Judged(course.learner.seen, *rows, course.learner.health.slow)
    course.watch = course.watch(now)
    kept = f"stop, and draw with --weights best (of {course.best.seen})" if course.best else ""
    alarm = course.watch.alarm(now, kept)
    return binned(*rows), [alarm] if alarm else []


def look(course: Course, count: int = 25) -> Path | None:
    """A grid of samples at fixed seeds from the averaged weights; lines of values have none."""
    recipe = course.recipe
    if len(recipe.shape) < 3 or recipe.codec is None:
        return None
    cond = shown(course.data, course.given, count)
    pixels = draw(course.learner.ema, recipe, count, 12, "look", cond).numpy()
    for name, part in recipe.conditions.items():
        if isinstance(part, Image) and part.channels == recipe.shape[0] and cond is not None:
            source = cond.values[name]
            assert isinstance(source, Tensor)
            pixels = np.concatenate([source.cpu().numpy(), pixels], axis=3)  # beside what was asked
    path = course.folder / "looks" / f"{course.learner.seen:09d}.png"
    path.parent.mkdir(exist_ok=True)
    told = {"kind": "look", "model": course.folder.resolve().name, "look": course.learner.seen}
    save_picture(path, grid(stills(pixels, time=recipe.time), columns=5), told)
    return path
