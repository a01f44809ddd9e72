"""Training from data to a model, stopped and resumed at any instant (slides 3 and 4)."""

import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from unmist.base.machine import Machine, choose
from unmist.base.noise import Noise
from unmist.core.denoiser import NetDenoiser
from unmist.core.plan import descend
from unmist.core.walk import final, started, walk
from unmist.data.dataset import DataSet
from unmist.data.opening import open_data
from unmist.nn.memory import keep_freed_memory
from unmist.run import checkpoint
from unmist.run.course import (
    Course,
    begin,
    cleared,
    learner_of,
    measured,
    resume,
    same_recipe,
    stored,
)
from unmist.run.lock import hold
from unmist.run.model import Model, load
from unmist.run.picture import grid, save_picture
from unmist.run.recipe import Recipe, checked
from unmist.run.stop import Stop, Stopped, stoppable
from unmist.training.held import HeldLoss, held_loss
from unmist.training.loop import Stats

__all__ = ["Estimate", "Order", "Report", "planned", "train", "training"]

RESERVED = 0.08  # of a time budget: looks, held-out losses, checkpoints


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked for beside the recipe.

    budget: seconds, turned into a length once; start: a model to begin from; fresh: throw an
    earlier run in the folder away; accept_drift, accept_rounding: go on although data or machine
    changed; device: auto, cpu, cuda or mps; threads: 0 for all (a resumed run keeps its own).
    """

    budget: float | None = None
    start: Path | None = None
    fresh: bool = False
    accept_drift: bool = False
    accept_rounding: bool = False
    device: str = "auto"
    threads: int = 0


@dataclass(frozen=True)
class Report:
    """How far a run is. speed in samples a second, left in seconds; held, look where just made."""

    seen: int
    samples: int
    loss: float
    grad_norm: float
    rate: float
    speed: float
    left: float
    notice: str = ""
    held: HeldLoss | None = None
    look: Path | None = None
    finished: bool = False


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


def opened(recipe: Recipe, order: Order) -> DataSet:
    """The data of a recipe."""
    data = recipe.data
    return open_data(
        data.source,
        size=data.size or None,
        channels=data.channels or None,
        fit=data.fit,
        background=data.background,
        accept_drift=order.accept_drift,
    )


def planned(recipe: Recipe, order: Order) -> Estimate:
    """What `--plan` shows: nothing is written."""
    data = opened(recipe, order)
    recipe = measured(recipe, data)
    speed, parameters = _speed(recipe, data, order)
    samples = _length(recipe, speed, order.budget)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    disk = 4 * parameters * (2 * 4 + 1)  # two checkpoints of four tensors a weight, and the model
    recipe = replace(recipe, training=replace(recipe.training, samples=samples))
    return Estimate(
        samples, samples / speed / (1 - RESERVED), speed, peak, disk, parameters, recipe
    )


def _speed(recipe: Recipe, data: DataSet, order: Order) -> tuple[float, int]:
    """Samples a second of updates that are thrown away, after two to warm up; parameters."""
    learner = learner_of(recipe, data, torch.device(machine_of(order).device))
    for _ in range(2):
        learner.advance()
    start, first = time.perf_counter(), learner.seen
    while time.perf_counter() - start < 3 or learner.seen < first + 3 * recipe.training.batch:
        learner.advance()
    speed = (learner.seen - first) / (time.perf_counter() - start)
    return speed, sum(p.numel() for p in learner.net.parameters())


def _length(recipe: Recipe, speed: float, budget: float | None) -> int:
    batch = recipe.training.batch
    if budget is None:
        return recipe.training.samples
    return max(1, int(budget * (1 - RESERVED) * speed / batch)) * batch


def training(recipe: Recipe, to: Path | str, order: Order | None = None) -> Iterator[Report]:
    """Begin or resume the run in `to`; reports as it goes. Stopped where a signal asked for it."""
    order, to = order or Order(), Path(to)
    recipe = checked(recipe)
    # before the folder is made: what is refused leaves nothing behind
    data, parent = opened(recipe, order), load(order.start) if order.start else None
    with hold(to), stoppable() as stop:
        course = _course(recipe, to, order, data, parent)
        for notice in course.notices:
            yield _report(course, None, 0.0, notice=notice)
        yield from _steps(course, stop)


def train(recipe: Recipe, to: Path | str, order: Order | None = None) -> Model:
    """`training`, drained; the model."""
    for _ in training(recipe, to, order):
        pass
    return load(to)


def machine_of(order: Order, threads: int = 0) -> Machine:
    """The machine as this run uses it; torch is told the number of threads."""
    machine = choose(order.device, threads=threads or order.threads, precision="float32")
    torch.set_num_threads(machine.threads)
    keep_freed_memory()
    return machine


def _course(recipe: Recipe, to: Path, order: Order, data: DataSet, parent: Model | None) -> Course:
    """The run of this folder, resumed or begun."""
    checkpoint.sweep(to / "state")
    if (to / "recipe.toml").exists() and not order.fresh:
        same_recipe(recipe, to, any_length=order.budget is not None)
        machine = machine_of(order, threads_of(to))
        return resume(
            to,
            data,
            machine,
            accept_drift=order.accept_drift,
            accept_rounding=order.accept_rounding,
        )
    cleared(to, fresh=order.fresh)
    machine = machine_of(order)
    if order.budget is not None:
        speed = _speed(measured(recipe, data), data, order)[0]
        plan = replace(recipe.training, samples=_length(recipe, speed, order.budget))
        recipe = replace(recipe, training=plan)
    return begin(to, measured(recipe, data), data, machine, parent)


def threads_of(folder: Path) -> int:
    """With how many threads the run in a folder began."""
    machine = stored(folder)["machine"]
    return int(machine["threads"]) if isinstance(machine, dict) else 0


def _steps(course: Course, stop: Stop) -> Iterator[Report]:
    """The loop: update, guard, report, save."""
    learner, saving = course.learner, course.recipe.saving
    every = max(course.recipe.training.batch, course.recipe.training.samples // 200)
    clock, first = time.perf_counter(), learner.seen
    while not learner.done:
        stats = learner.advance()
        speed = (learner.seen - first) / (time.perf_counter() - clock)
        if why := course.recipe.guard.verdict(learner.health):
            notice = course.roll_back(why)
            first, clock = learner.seen, time.perf_counter()
            yield _report(course, stats, speed, notice=notice)
            continue
        if course.due(every) or stats.skipped or learner.done:
            yield _told(course, stats, speed)
        if course.due(saving.checkpoint) or learner.done or stop.number:
            course.save()
        if stop.number:
            raise Stopped(stop.number, course.folder)
    yield replace(_report(course, None, 0.0), finished=True)


def _told(course: Course, stats: Stats, speed: float) -> Report:
    """A report with what is due beside it, logged."""
    saving, done = course.recipe.saving, course.learner.done
    held = _held(course) if course.due(saving.held) or done else None
    look = _look(course) if course.due(saving.look) or done else None
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
    if notice:
        entry["notice"] = notice
    course.log(entry)
    return replace(_report(course, stats, speed, notice=notice), held=held, look=look)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _report(course: Course, stats: Stats | None, speed: float, *, notice: str = "") -> Report:
    learner, samples = course.learner, course.recipe.training.samples
    left = (samples - learner.seen) / speed if speed else 0.0
    loss, norm, rate = (stats.loss, stats.grad_norm, stats.rate) if stats else (0.0, 0.0, 0.0)
    return Report(learner.seen, samples, loss, norm, rate, speed, left, notice)


def _held(course: Course) -> HeldLoss | None:
    """The averaged network on up to 512 held-out rows."""
    rows = course.data.held[:512]
    if len(rows) < 16:
        return None
    codec, device = course.recipe.codec, next(course.learner.ema.parameters()).device
    assert codec is not None

    def fetch(chosen: np.ndarray) -> tuple[torch.Tensor, None]:
        return codec.encode(torch.from_numpy(course.data.values[chosen]).to(device)), None

    batches = replace(course.learner.batches, fetch=fetch)
    return held_loss(course.learner.ema, course.learner.objective, batches, rows)


def _look(course: Course, count: int = 25) -> Path | None:
    """A grid of samples at fixed seeds from the averaged weights, two-dimensional data only."""
    recipe = course.recipe
    if len(recipe.shape) != 3 or recipe.codec is None:
        return None
    chosen = recipe.sampling
    plan = descend(chosen.spacing(recipe.schedule, min(chosen.steps, 12)))
    noise = Noise(0, "look", tuple(range(count)))
    like = torch.zeros(count, *recipe.shape, device=next(course.learner.ema.parameters()).device)
    denoiser = NetDenoiser(course.learner.ema, recipe.prediction)
    x = final(walk(denoiser, started(like, plan, noise), plan, chosen.solver, noise)).x
    path = course.folder / "looks" / f"{course.learner.seen:09d}.png"
    path.parent.mkdir(exist_ok=True)
    picture = grid(recipe.codec.decode(x).cpu().numpy(), columns=5)
    save_picture(path, picture, {"look": course.learner.seen})
    return path
