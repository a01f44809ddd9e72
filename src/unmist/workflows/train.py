"""Training from data to a model, stopped and resumed at any instant (slides 3 and 4)."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from unmist.base import files
from unmist.base.machine import free_memory
from unmist.data.dataset import DataSet
from unmist.run import averages, checkpoint
from unmist.run.card import leave_card
from unmist.run.course import (
    Course,
    begin,
    cleared,
    resume,
    stored,
)
from unmist.run.given import settle
from unmist.run.lock import hold
from unmist.run.model import Model, load
from unmist.run.parent import inheriting, parent_of
from unmist.run.recipe import Recipe, checked
from unmist.run.settled import MEASURABLE, measured, same_recipe
from unmist.run.stop import Stop, Stopped, stoppable
from unmist.training.alarms import Alarm
from unmist.training.loop import Stats
from unmist.workflows.coding import coded
from unmist.workflows.midway import LEAST, Midway, Referee, look, measure, referee, watched
from unmist.workflows.order import Order, machine_of, opened
from unmist.workflows.planning import Estimate, fitted, planned, roomy
from unmist.workflows.progress import Report, reported
from unmist.workflows.teaching import teacher_of

__all__ = ["Estimate", "Order", "Report", "opened", "planned", "reported", "train", "training"]


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
        same_recipe(recipe, to, any_length=order.budget is not None, any_width=order.fit)
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
    notices: tuple[str, ...] = ()
    if order.budget is not None:
        recipe, notices = fitted(recipe, to, data, order, teacher)
    recipe, room = roomy(measured(recipe, data), free_memory())
    course = begin(to, recipe, data, machine, parent, teacher)
    course.notices += (*notices, *room)
    return course


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
