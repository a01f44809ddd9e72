"""Training from data to a model, stopped and resumed at any instant (slides 3 and 4)."""

import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from unmist.base import files
from unmist.core.denoiser import Denoiser
from unmist.data.dataset import DataSet
from unmist.run import averages, checkpoint
from unmist.run.card import leave_card
from unmist.run.course import (
    Course,
    begin,
    cleared,
    learner_of,
    resume,
    stored,
)
from unmist.run.given import given_of, settle
from unmist.run.lock import hold
from unmist.run.model import Model, load
from unmist.run.parent import inheriting, parent_of
from unmist.run.recipe import Recipe, checked
from unmist.run.settled import MEASURABLE, measured, same_recipe
from unmist.run.stop import Stop, Stopped, stoppable
from unmist.training.alarms import Alarm
from unmist.training.loop import Stats
from unmist.workflows.coding import coded, drafted
from unmist.workflows.midway import HELD, LEAST, Midway, Referee, look, measure, referee, watched
from unmist.workflows.order import Order, machine_of, opened
from unmist.workflows.progress import Report, reported
from unmist.workflows.teaching import teacher_of

__all__ = ["Estimate", "Order", "Report", "opened", "planned", "reported", "train", "training"]

SPARE = 0.05  # of a time budget: what is written beside checkpoints, a machine that slows down
FORWARD = 3.0  # forward passes in the time of an update, about
DISK = 2e8  # bytes a second to a disk that is waited for


@dataclass(frozen=True)
class Estimate:
    """What a run would take, from a few measured updates; bytes and seconds."""

    samples: int
    seconds: float
    speed: float
    memory: int
    disk: int
    parameters: int
    recipe: Recipe = field(repr=False)


def planned(recipe: Recipe, order: Order) -> Estimate:
    """What `--plan` shows: nothing is written."""
    parent, data = parent_of(order.start, recipe), opened(recipe, order)
    recipe = inheriting(recipe, parent)
    before, recipe = drafted(recipe, data, order)
    asked, recipe = recipe, measured(recipe, data)
    speed, parameters = _speed(recipe, data, order, teacher_of(parent, recipe))
    left = None if order.budget is None else max(order.budget - before, order.budget / 2)
    samples = _length(asked, speed, parameters, left)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    recipe = replace(recipe, training=replace(recipe.training, samples=samples))
    disk = _disk(recipe, parameters)
    return Estimate(
        samples,
        before + samples / speed / (1 - SPARE) + _aside(asked, speed, parameters, samples),
        speed,
        peak,
        disk,
        parameters,
        recipe,
    )


def _disk(recipe: Recipe, parameters: int) -> int:
    """Two checkpoints of four tensors a weight and the averages followed, model, best, stored."""
    plan = recipe.training
    widths, main = recipe.snapshots.widths, recipe.average.width
    followed = sum(width != main for width in widths) if recipe.snapshots.points else 0
    kept = len(recipe.snapshots.times(plan.samples, plan.batch)) * len(widths)
    return 4 * parameters * (2 * (4 + followed) + 1 + (recipe.measuring.every > 0) + kept)


def _speed(
    recipe: Recipe, data: DataSet, order: Order, teacher: Denoiser | None
) -> tuple[float, int]:
    """Samples a second of updates that are thrown away, after two to warm up; parameters."""
    device = torch.device(machine_of(order).device)
    learner = learner_of(recipe, data, given_of(recipe, data, device), teacher)
    for _ in range(2):
        learner.advance()
    start, first = time.perf_counter(), learner.seen
    while time.perf_counter() - start < 3 or learner.seen < first + 3 * recipe.training.batch:
        learner.advance()
    speed = (learner.seen - first) / (time.perf_counter() - start)
    return speed, sum(p.numel() for p in learner.net.parameters())


def _length(recipe: Recipe, speed: float, parameters: int, budget: float | None) -> int:
    """Samples that fit into so many seconds beside all that is not training; half of them always.

    `recipe` as it was asked for, its saving points not yet filled in.
    """
    batch = recipe.training.batch
    if budget is None:
        return recipe.training.samples
    aside = _aside(recipe, speed, parameters, int(budget * speed))
    left = max(budget * (1 - SPARE) - aside, budget / 2)
    return max(1, int(left * speed / batch)) * batch


def _aside(recipe: Recipe, speed: float, parameters: int, samples: int) -> float:
    """Seconds of looks (25 samples of 12 calls), held-out losses and checkpoints of a run."""
    saving, forward = recipe.saving, FORWARD * speed
    followed = 4 + sum(width != recipe.average.width for width in recipe.snapshots.widths)

    def times(every: int, share: int) -> float:
        return samples / every if every else share

    return (
        times(saving.look, 10) * 25 * 12 / forward
        + times(saving.held, 10) * HELD / forward
        + times(saving.checkpoint, 20) * 4 * parameters * (followed + 1) / DISK
    )


def training(recipe: Recipe, to: Path | str, order: Order | None = None) -> Iterator[Report]:
    """Begin or resume the run in `to`; reports as it goes. Stopped where a signal asked for it."""
    order, to = order or Order(), Path(to)
    recipe = checked(recipe)
    # before the folder is made: what is refused leaves nothing behind
    parent, data = parent_of(order.start, recipe), opened(recipe, order)
    recipe = inheriting(recipe, parent)
    settle(recipe, data)
    with hold(to), stoppable() as stop:
        recipe, order = yield from coded(recipe, to, data, order, stop)
        course = _course(recipe, to, order, data, parent)
        for notice in (*course.notices, *_standing(course)):
            yield reported(course.learner, None, 0.0, notice=notice)
        yield from _steps(course, stop)
        if notice := leave_card(to):
            yield reported(course.learner, None, 0.0, notice=notice)
        yield replace(reported(course.learner, None, 0.0), finished=True)


def _standing(course: Course) -> Iterator[str]:
    """That there is nothing left to do, or what cannot be measured for want of held-out rows."""
    if course.learner.done:
        yield f"already finished ({course.learner.seen} samples seen); --fresh starts anew"
        return
    if (held := len(course.data.held)) < LEAST:
        yield f"{held} held-out pictures are too few for a held-out loss ({LEAST} are needed)"
    if held < MEASURABLE:
        yield f"{held} held-out pictures are too few to measure samples ({MEASURABLE} are needed)"


def train(recipe: Recipe, to: Path | str, order: Order | None = None) -> Model:
    """`training`, drained; the model."""
    for _ in training(recipe, to, order):
        pass
    return load(to)


def _course(recipe: Recipe, to: Path, order: Order, data: DataSet, parent: Model | None) -> Course:
    """The run of this folder, resumed or begun."""
    teacher = teacher_of(parent, recipe)
    checkpoint.sweep(to / "state")
    for place in ("weights", averages.AVERAGES, "looks"):
        files.swept(to / place)
    if (to / "recipe.toml").exists() and not order.fresh:
        same_recipe(recipe, to, any_length=order.budget is not None)
        machine = machine_of(order, threads_of(to))
        return resume(
            to,
            data,
            machine,
            teacher,
            accept_drift=order.accept_drift,
            accept_rounding=order.accept_rounding,
        )
    cleared(to, fresh=order.fresh)
    machine = machine_of(order)
    if order.budget is not None:
        speed, parameters = _speed(measured(recipe, data), data, order, teacher)
        samples = _length(recipe, speed, parameters, order.budget)
        plan = replace(recipe.training, samples=samples)
        recipe = replace(recipe, training=plan)
    return begin(to, measured(recipe, data), data, machine, parent, teacher)


def threads_of(folder: Path) -> int:
    """With how many threads the run in a folder began."""
    machine = stored(folder)["machine"]
    return int(machine["threads"]) if isinstance(machine, dict) else 0


def _steps(course: Course, stop: Stop) -> Iterator[Report]:
    """The loop: update, guard, report, save."""
    learner, saving, asked = course.learner, course.recipe.saving, course.recipe.measuring
    plan = course.recipe.training
    often = (max(plan.batch, plan.samples // 200), saving.held, saving.look, asked.every)
    clock, first, judge = time.perf_counter(), learner.seen, _Judge(course)
    while not learner.done:
        stats = course.advance()
        speed = (learner.seen - first) / (time.perf_counter() - clock)
        if why := course.recipe.guard.verdict(learner.health):
            notice = course.roll_back(why)
            first, clock = learner.seen, time.perf_counter()
            yield reported(course.learner, stats, speed, notice=notice)
            continue
        course.store_averages()
        if any(map(course.due, often)) or stats.skipped or learner.done:
            yield _told(course, stats, speed, judge)
        # always with a measure: what it kept as best and what resuming knows of it are one
        if course.due(saving.checkpoint) or judge.due or learner.done or stop.number:
            course.save()
        if stop.number:
            raise Stopped(stop.number, course.folder)


@dataclass
class _Judge:
    """The referee, made at the first measure."""

    course: Course
    referee: Referee | None = None

    @property
    def due(self) -> bool:
        """Whether to measure now: at the chosen points, and at the end where there are any."""
        every = self.course.recipe.measuring.every
        return self.course.due(every) or (every > 0 and self.course.learner.done)

    def __call__(self) -> tuple[Midway | None, list[Alarm]]:
        """The measure, where it is due."""
        if not self.due:
            return None, []
        self.referee = self.referee or referee(self.course.data, self.course.folder)
        return measure(self.course, self.referee)


def _told(course: Course, stats: Stats, speed: float, judge: _Judge) -> Report:
    """A report with what is due beside it, logged."""
    saving, done = course.recipe.saving, course.learner.done
    scores, alarms = judge()
    kinds = ("copies", "lost", "twins") if scores else ()
    held = None
    if course.due(saving.held) or done:
        held, risen = watched(course)
        alarms, kinds = [*alarms, *risen], (*kinds, "memorising")
    lines = course.ring(alarms, kinds)
    drawn = look(course) if course.due(saving.look) or done else None
    notice = "a batch that was not finite was skipped" if stats.skipped else ""
    entry: dict[str, object] = {
        "seen": stats.seen,
        "loss": _finite(stats.loss),
        "grad_norm": _finite(stats.grad_norm),
        "rate": stats.rate,
        "speed": round(speed, 2),
    }
    if held is not None:
        entry["held"] = {**asdict(held), "means": [_finite(mean) for mean in held.means]}
    if scores is not None:
        entry["measure"] = scores.plain()
    entry |= {"alarm": list(lines)} if lines else {}
    entry |= {"notice": notice} if notice else {}
    course.log(entry)
    report = reported(course.learner, stats, speed, notice=notice)
    return replace(report, held=held, measured=scores, look=drawn, alarms=lines)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
