"""`unmist tune`."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from unmist.base.faults import BadInput
from unmist.cli.output import emit, note

if TYPE_CHECKING:
    from unmist.workflows.tune import Found

__all__ = ["tune"]

_SPAN = re.compile(r"([0-9]{1,3})(?:-([0-9]{1,3}))?")


def tune(
    model: Path, /, *, steps: str = "3-12", seeds: int = 32, weights: str = "last",
    fresh: bool = False, json: bool = False,
) -> int:  # fmt: skip
    """Fit the plan of each small number of steps to this model; sampling then uses it by itself.

    What is not better than the plain plan on seeds of its own is not kept. Stopped, the same
    command goes on. `unmist sample MODEL --steps N --set solver=adams` draws without.

    Parameters
    ----------
    model
        The folder that `unmist train` wrote.
    steps
        Which numbers of steps, as in 3-12 or 4,5,8.
    seeds
        How many seeds to fit on; as many are held out to judge.
    weights
        Which of the model's: last, best (measured during training), averaged-WIDTH.
    fresh
        Fit again what was fitted before.
    json
        Print one JSON object a line on stdout.
    """
    from unmist.workflows.tune import Tuning, tuning

    budgets = _numbers(steps)
    fine = max(64, 2 * max(budgets))
    asked = Tuning(budgets=budgets, seeds=seeds, fine=fine, fresh=fresh)
    if not json:
        note(f"following {2 * seeds} seeds in {fine} steps, then fitting {steps}")
    for found in tuning(model, asked, weights=weights):
        if json:
            emit(found)
        else:
            print(_line(found), flush=True)
    if not json:
        note(f"next: unmist sample {model} --steps {max(budgets)}")
    return 0


def _line(found: "Found") -> str:
    one = found.tuned
    told = f"{one.what}: error {one.error:.4f}, plain {one.plain:.4f}"
    if not one.better:
        told = f"the plain plan stays: error {one.plain:.4f}"
    gap = f"difference {one.gap:+.4f} ± {2 * one.doubt:.4f} on {one.seeds} held-out seeds"
    spent = "as before" if found.before else f"{found.seconds:.0f} s, {found.rows} rows"
    return f"{one.steps:2} steps  {told} ({gap}; {spent})"


def _numbers(text: str) -> tuple[int, ...]:
    """`3-12` or `4,5,8`."""
    parts = [_SPAN.fullmatch(part) for part in text.split(",")]
    spans = [range(int(part[1]), int(part[2] or part[1]) + 1) for part in parts if part]
    found = tuple(sorted({number for span in spans for number in span}))
    if not found or not all(parts):
        raise BadInput(f"'{text[:40]}' names no steps", where="--steps", mend="write 3-12 or 4,5,8")
    return found
