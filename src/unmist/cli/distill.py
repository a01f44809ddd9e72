"""`unmist distill`."""

from pathlib import Path

from unmist.base.faults import BadInput
from unmist.cli.flags import settings_of
from unmist.cli.output import emit, note
from unmist.cli.progress import follow
from unmist.cli.train import Way, show

__all__ = ["distill"]


def distill(
    model: Path, /, *, steps: int = 2, set: tuple[str, ...] = (), way: Way | None = None,
    plan: bool = False, json: bool = False,
) -> int:  # fmt: skip
    """Teach a student to draw in 1, 2 or 4 steps; the same command goes on with a stopped run.

    The student is a model of its own, in MODEL/student-STEPS where --to says nothing else; draw
    with unmist sample MODEL/student-STEPS.

    Parameters
    ----------
    model
        The folder that `unmist train` wrote: the teacher.
    steps
        1, 2 or 4.
    set
        One setting of its recipe, as in training.samples=20000 or student.inner=6; may be repeated.
    plan
        Say what it would take, from a few measured steps, and do nothing.
    json
        Print lines of JSON on stdout instead of progress.
    """
    from unmist.workflows.distill import Lessons, distilling, estimated, home

    way = way or Way()
    if way.start is not None:
        raise BadInput("a student begins from its teacher", where="--from", mend="leave it out")
    asked = Lessons(steps=steps, to=way.to, settings=settings_of(set), order=way.order())
    if plan:
        show(estimated(model, asked), json=json)
        return 0
    to = way.to or home(model, steps)
    _say(f"teaching {steps} step{'s' * (steps > 1)} in {to}", json=json)
    follow(distilling(model, asked), json=json)
    if json:
        emit({"finished": True, "model": to})
    _say(f"the student is in {to}; next: unmist sample {to}", json=json)
    return 0


def _say(line: str, *, json: bool) -> None:
    if not json:
        note(line)
