"""`unmist average`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from unmist.base.faults import BadInput
from unmist.cli.output import emit

if TYPE_CHECKING:
    from unmist.workflows.average import Tried

__all__ = ["average"]


def average(
    model: Path, /, *, width: tuple[float, ...] = (), search: bool = False, by: str = "held",
    json: bool = False,
) -> int:  # fmt: skip
    """Choose the length of the weights' average after training; leaves it beside the model.

    Use it with unmist sample MODEL --weights averaged-WIDTH.

    Parameters
    ----------
    model
        The folder that `unmist train` wrote.
    width
        The average's width as a share of the run, as in 0.03; may be repeated with --search.
    search
        Try widths (those given, else nine from 0.02 to 0.15) and keep the best.
    by
        With --search: held (the held-out loss) or frechet (the distance of 512 samples).
    json
        Print one JSON object on stdout.
    """
    from unmist.workflows.average import average as averaged
    from unmist.workflows.average import search as searched

    if not search and len(width) != 1:
        raise BadInput("which width is not said", mend="give one --width, or --search")
    made = searched(model, width, by) if search else averaged(model, width[0])
    if json:
        emit(made)
        return 0
    name = "held-out loss" if by == "held" else "Fréchet distance"
    for one in made.tried:
        print(_line(one, name, best=one.width == made.width))
    print(
        f"width {made.width:g} after {made.seen} samples, {made.missed:.1%} of its profile missed"
    )
    print(made.path)
    return 0


def _line(one: "Tried", name: str, *, best: bool) -> str:
    gap = f", {one.worse:+.5f} ± {one.error:.5f}" if math.isfinite(one.worse) else ""
    mark = "  <- best" if best else ""
    return (
        f"width {one.width:<5g} {name} {one.value:.5f}{gap} (profile missed {one.missed:.1%}){mark}"
    )
