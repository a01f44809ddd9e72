"""A student of one, two or four steps, taught by a trained model in the training loop."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from unmist.base.faults import BadInput
from unmist.core.fitted import Listed
from unmist.core.solver import Euler
from unmist.run.model import Model, load
from unmist.run.recipe import Measuring, Recipe, Sampling, Saving, altered
from unmist.training.distill import Student, student_levels
from unmist.training.ema import Average, Snapshots
from unmist.workflows.order import Order
from unmist.workflows.train import Estimate, Report, planned, training

__all__ = ["STEPS", "Lessons", "distill", "distilling", "estimated", "home", "lessons"]

STEPS = (1, 2, 4)
SHARE = 2  # a student sees half as many samples as its teacher did, where nothing is said


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What is asked of a student.

    steps: 1, 2 or 4; to: its folder (None: student-STEPS in the model's); settings: of its recipe,
    by dotted path, as training.samples or student.inner; order: budget and what else a run is told.
    """

    steps: int = 2
    to: Path | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    order: Order = field(default_factory=Order)

    def __post_init__(self) -> None:
        if self.steps not in STEPS:
            raise BadInput(f"{self.steps} steps", where="distill", mend="1, 2 or 4")


def home(folder: Path | str, steps: int) -> Path:
    """Where a model's student is, unless it was told otherwise."""
    return Path(folder) / f"student-{steps}"


def lessons(model: Model, asked: Lessons) -> Recipe:
    """The recipe of a model's student: its network and data, another objective, its own plan.

    Raises BadInput where the model is a student itself.
    """
    base = model.recipe
    if base.student is not None:
        raise BadInput(
            "a student cannot teach", where=model.folder, mend="give the model it was made from"
        )
    ratios = student_levels(model.schedule, asked.steps, model.recipe.sampling.spacing)
    samples = max(base.training.batch, base.training.samples // SHARE)
    recipe = replace(
        base,
        student=Student(teacher=model.digest, ratios=ratios),
        sampling=Sampling(steps=asked.steps, solver=Euler(), spacing=Listed(ratios)),
        optimizer=replace(base.optimizer, rate=base.optimizer.rate / 2),
        average=Average(0.1),
        training=replace(base.training, samples=samples),
        saving=Saving(),
        measuring=Measuring(),
        snapshots=Snapshots(points=0),
    )
    recipe = altered(recipe, dict(asked.settings))
    assert recipe.student is not None
    own = replace(recipe.sampling, spacing=Listed(recipe.student.ratios))
    return replace(recipe, sampling=replace(own, steps=len(recipe.student.ratios)))


def distilling(folder: Path | str, asked: Lessons | None = None) -> Iterator[Report]:
    """Begin or resume a student's run; reports as training gives them."""
    asked = asked or Lessons()
    yield from training(*_run(folder, asked))


def distill(folder: Path | str, asked: Lessons | None = None) -> Model:
    """`distilling`, drained; the student."""
    asked = asked or Lessons()
    for _ in distilling(folder, asked):
        pass
    return load(asked.to or home(folder, asked.steps))


def estimated(folder: Path | str, asked: Lessons) -> Estimate:
    """What `--plan` shows: nothing is written."""
    recipe, _, order = _run(folder, asked)
    return planned(recipe, order)


def _run(folder: Path | str, asked: Lessons) -> tuple[Recipe, Path, Order]:
    recipe = lessons(load(folder), asked)
    order = replace(asked.order, start=Path(folder))
    return recipe, asked.to or home(folder, asked.steps), order
