"""`unmist evaluate`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from unmist.base.faults import BadInput
from unmist.cli.flags import scales_of, settings_of
from unmist.cli.output import emit, note
from unmist.cli.progress import followed

if TYPE_CHECKING:
    from unmist.run.model import Model
    from unmist.workflows.evaluate import Asked, Scores
    from unmist.workflows.sample import Shot

__all__ = ["evaluate"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How a model's samples are drawn.

    Parameters
    ----------
    seed
        Sample i of a seed is always the same.
    steps
        Steps of the plan (default: the recipe's).
    set
        One setting, as in solver=heun, eta=1; may be repeated.
    weights
        Which of the model's: last, best, or the name of another file in its weights/.
    """

    seed: int = 1
    steps: int | None = None
    set: tuple[str, ...] = ()
    weights: str = "last"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What is measured, and how the work is done.

    Parameters
    ----------
    against
        Data to measure against, by their held-out part (default: what the model learned from).
    count
        How many pictures are judged (default: 1000 drawn, or all that are there).
    features
        What judges: classifier (of the data's own), inception, dino:FOLDER, clip:FOLDER, opennsfw.
    processes
        How many work at once (0: as many as are worth their start); the scores stay the same.
    to
        The folder of scores and page (default: the model's own).
    fresh
        Measure again what was measured before.
    bits
        Also the bits per dimension of held-out pictures, over so many steps (100, say; 0: not).
    """

    against: str = ""
    count: int | None = None
    features: str = "classifier"
    processes: int = 0
    to: Path | None = None
    fresh: bool = False
    bits: int = 0


def evaluate(
    what: str, /, *, drawing: Drawing | None = None, measuring: Measuring | None = None,
    scales: str | None = None, json: bool = False,
) -> int:  # fmt: skip
    """Measure a model, or a folder of pictures, against data: distance, variety, copies.

    Leaves scores.json and report.html. Stopped at any moment, the same command goes on.

    Parameters
    ----------
    what
        The folder that `unmist train` wrote; or a folder of pictures, an .npz or .npy file.
    scales
        Scales of guidance, as 0,1,2,4: draw at each, and keep the one that measures best as the
        model's own; nothing else is measured then.
    json
        Print one JSON object on stdout.
    """
    judged, shot = _judged(what, drawing or Drawing())
    if scales is not None:
        return _scales(judged, shot, scales_of(scales, where="--scales"), measuring, json=json)
    scores = _followed(judged, _asked(measuring or Measuring(), shot), quiet=json)
    if json:
        emit({**scores.plain(), "report": scores.report})
    else:
        print("\n".join(_lines(scores)))
    return 0


def _scales(
    model: "Model | str", shot: "Shot", scales: list[float], measuring: Measuring | None, *,
    json: bool,
) -> int:  # fmt: skip
    """The curve over the scales, as it is measured, and the scale that was chosen."""
    from unmist.workflows.guiding import COUNT, tuning_scale

    if isinstance(model, str):
        raise BadInput("scales are for models, these are pictures", where=model, mend="leave out")
    asked, shown = measuring or Measuring(), 0
    shot = replace(shot, count=COUNT if asked.count is None else asked.count)
    for report in tuning_scale(model, scales, shot):
        for point in report.points[shown:] if not json else ():
            print(point)
        shown = len(report.points)
        if report.curve is None:
            note(report.stage)
        elif json:
            emit(report.curve.plain())
        else:
            print(f"the model's own scale is {report.curve.best.where}: {report.curve.why}")
            print(report.curve.plot)
    return 0


def _judged(what: str, drawing: Drawing) -> tuple["Model | str", "Shot"]:
    """The model and how it is drawn from, or the pictures. Raises BadInput."""
    from unmist.run.model import load
    from unmist.workflows.evaluate import is_run
    from unmist.workflows.sample import Shot
    from unmist.workflows.shots import altered_shot

    if not is_run(what):
        if drawing != Drawing():
            raise BadInput(
                "--seed, --steps, --set and --weights are for models, these are pictures",
                where=what,
                mend="leave them out",
            )
        return what, Shot()
    model = load(what, weights=drawing.weights)
    shot = Shot(seed=drawing.seed, steps=drawing.steps)
    return model, altered_shot(model, shot, settings_of(drawing.set))


def _asked(measuring: Measuring, shot: "Shot") -> "Asked":
    from unmist.workflows.evaluate import Asked

    return Asked(
        against=measuring.against,
        count=measuring.count,
        shot=shot,
        features=measuring.features,
        processes=measuring.processes,
        to=measuring.to,
        fresh=measuring.fresh,
        bits=measuring.bits,
    )


def _followed(judged: "Model | str", asked: "Asked", *, quiet: bool) -> "Scores":
    """The evaluation under a bar; notes, and without a terminal stages unless quiet, as lines."""
    from unmist.workflows.evaluate import evaluating

    stage = ""
    with followed() as (progress, task):
        for step in evaluating(judged, asked):
            if step.note:
                note(f"note: {step.note}")
            if step.stage != stage and progress.disable and not quiet:
                note(step.stage)
            stage = step.stage
            progress.update(task, total=step.total or None, completed=step.done, text=stage)
            if step.scores is not None:
                return step.scores
    raise AssertionError("an evaluation ends with its scores")


def _lines(scores: "Scores") -> Iterator[str]:
    """For people."""
    yield from map(str, scores.estimates)
    if scores.accuracy is not None:
        yield (
            f"the classifier behind the features names {scores.accuracy:.1%} of the "
            "held-out pictures right"
        )
    yield from scores.notes
    yield ""
    yield from (sentence.text for sentence in scores.verdict)
    yield str(scores.report)
