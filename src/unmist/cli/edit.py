"""`unmist edit inpaint | vary | extend | translate | upscale | restore | blend`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from unmist.base.faults import BadInput
from unmist.cli.edit_flags import Harm, Hole, Out, Past, box_of, grow_of, numbers
from unmist.cli.output import emit, note
from unmist.cli.progress import followed
from unmist.cli.sample import Draw

if TYPE_CHECKING:
    import numpy as np

    from unmist.run.model import Model
    from unmist.workflows.edit import Draft
    from unmist.workflows.edit_between import End
    from unmist.workflows.edit_pictures import Opened
    from unmist.workflows.sample import Samples, Shot

__all__ = ["app", "blend", "extend", "inpaint", "restore", "translate", "upscale", "vary"]

app = App(name="edit", help="Edit pictures with a trained model.", help_format="plaintext")
COUNT = 4  # so many answers are drawn where nobody says


@app.command
def inpaint(
    model: Path, picture: Path, /, *, hole: Hole | None = None, method: str = "",
    draw: Draw | None = None, out: Out | None = None,
) -> int:  # fmt: skip
    """Paint a part of a picture anew, or more round it; the rest stays as it is, to the bit.

    Parameters
    ----------
    method
        posterior, particles (8 a sample, weighed: best and 8 times slower), repaint, keep, or told
        (the default of a model trained --on remainder: posterior of others).
    """
    from unmist.workflows.edit import inpainting, method_of, noisy
    from unmist.workflows.edit_pictures import grown, known_of

    draw, out, hole = draw or Draw(), out or Out(), hole or Hole()
    loaded, shot, given = _ready(model, picture, draw, out)
    grow = grow_of(hole.grow)
    if len(loaded.shape) != 3:
        pixels, known = given.pixels, _known_in(given, hole)
    else:
        known = known_of(given, hole.mask, [box_of(text) for text in hole.box], grow)
        pixels = grown(loaded, given.pixels, grow)
    method = method_of(loaded, method)
    shot = noisy(shot, method)
    return _drawn(loaded, shot, inpainting(loaded, pixels, known, shot, method), out, model)


def _known_in(given: "Opened", hole: Hole) -> "np.ndarray":
    """What stays of a volume, clip or series."""
    from unmist.workflows.edit_arrays import known_in

    if hole.grow:
        raise BadInput("grows pictures", where="--grow", mend="use `unmist edit extend` for clips")
    mend = "x,y,z,width,height,depth"
    return known_in(given, hole.mask, [numbers(text, "--box", mend) for text in hole.box])


@app.command
def extend(
    model: Path, clip: Path, /, *, frames: int, past: Past | None = None, draw: Draw | None = None,
    out: Out | None = None,
) -> int:  # fmt: skip
    """Draw a clip or series on past its end, or on from a first frame.

    Parameters
    ----------
    clip
        A video, an animation, a folder of frames, a picture, or an .npy.
    frames
        How many there are to be in the end.
    """
    from unmist.run.model import load
    from unmist.workflows.edit_arrays import opened_clip
    from unmist.workflows.edit_extend import extend as extended

    draw, out, past = draw or Draw(), out or Out(), past or Past()
    loaded = load(model, weights=draw.weights)
    shot = _shot(loaded, draw)
    given = opened_clip(loaded, clip)
    longer = extended(loaded, given, frames, shot, past.overlap, past.method)
    return _left(longer, shot, out, model)


@app.command
def vary(
    model: Path, picture: Path, /, *, strength: float = 0.5, map: Path | None = None,
    draw: Draw | None = None, out: Out | None = None,
) -> int:  # fmt: skip
    """Draw variations of a picture, from as far back as the strength says.

    Parameters
    ----------
    strength
        Above 0 (nothing changes) to 1 (nothing stays), in the schedule's time.
    map
        A picture as large as the other: a strength for each pixel, white the one of --strength.
    """
    from unmist.workflows.edit import variation
    from unmist.workflows.edit_pictures import known_of

    draw, out = draw or Draw(), out or Out()
    loaded, shot, given = _ready(model, picture, draw, out)
    if map is None:
        each: float | np.ndarray = strength
    elif len(loaded.shape) == 3:
        each = (1 - known_of(given, [map], [])) * strength
    else:
        each = (1 - _known_in(given, Hole(mask=(map,)))) * strength
    return _drawn(loaded, shot, variation(loaded, given.pixels, each, shot), out, model)


@app.command
def translate(
    model: Path, picture: Path, /, *, draw: Draw | None = None, out: Out | None = None
) -> int:
    """Draw the partner of a picture, with a model trained on pairs (`train DATA --on image`)."""
    from unmist.run.model import load
    from unmist.workflows.edit_pictures import read_pixels
    from unmist.workflows.sample import sample

    draw, out = draw or Draw(), out or Out()
    loaded = load(model, weights=draw.weights)
    if "image" not in loaded.recipe.conditions:
        mend = "train one on pairs: unmist train DATA --on image"
        raise BadInput("this model follows no picture", where=model, mend=mend)
    read_pixels(picture)  # refused here, in one line, where it cannot be read
    shot = _shot(loaded, draw)
    shot = replace(shot, wish={**(shot.wish or {}), "image": str(picture)})
    return _left(sample(loaded, shot), shot, out, model)


@app.command
def upscale(
    model: Path, picture: Path, /, *, factor: int = 2, noise: float = 0.0,
    draw: Draw | None = None, out: Out | None = None,
) -> int:  # fmt: skip
    """Draw pictures with more pixels whose means are those of the given one.

    Parameters
    ----------
    factor
        So many pixels a side for each of the picture's.
    noise
        Standard deviation of the picture's own noise, in levels of 255.
    """
    from unmist.workflows.edit import noisy, upscaling

    if factor < 2:
        raise BadInput(f"a factor of {factor}", where="--factor", mend="2 or more")
    draw, out = draw or Draw(), out or Out()
    loaded, shot, given = _ready(model, picture, draw, out, smaller=factor)
    shot = noisy(shot)
    return _drawn(loaded, shot, upscaling(loaded, given.pixels, factor, shot, noise), out, model)


@app.command
def restore(
    model: Path, picture: Path, /, *, harm: Harm | None = None, draw: Draw | None = None,
    out: Out | None = None,
) -> int:  # fmt: skip
    """Draw pictures that, blurred, greyed or made noisy, are the given one."""
    from unmist.workflows.edit import noisy, restoring

    draw, out, harm = draw or Draw(), out or Out(), harm or Harm()
    loaded, shot, given = _ready(model, picture, draw, out)
    shot = noisy(shot)
    return _drawn(loaded, shot, restoring(loaded, given.pixels, shot, **vars(harm)), out, model)


@app.command
def blend(
    model: Path, first: str, second: str, /, *, frames: int = 16,
    draw: Draw | None = None, out: Out | None = None,
) -> int:  # fmt: skip
    """Draw the way from one picture or seed to another, as an animation.

    Parameters
    ----------
    first
        A picture, or seed:N.
    second
        A picture, or seed:N. Two --prompt or --class lead from one wish to the other on the way.
    frames
        Pictures on the way, both ends counted.
    """
    from unmist.run.model import load
    from unmist.workflows.edit_between import blend as blended

    draw, out = draw or Draw(), out or Out()
    loaded = load(model, weights=draw.weights)
    ends = [_end(loaded, text, out) for text in (first, second)]
    shot = _shot(loaded, draw)
    return _left(blended(loaded, ends[0], ends[1], shot, frames=frames), shot, out, model)


def _end(model: "Model", text: str, out: Out) -> "End":
    from unmist.workflows.edit_pictures import opened

    kind, _, number = text.partition(":")
    if kind == "seed" and number.isdecimal():
        return int(number)
    given = opened(model, Path(text), as_is=out.as_is)
    _note(given)
    return given.pixels


def _ready(
    model: Path, picture: Path, draw: Draw, out: Out, smaller: int = 1
) -> "tuple[Model, Shot, Opened]":
    """The model, what is drawn, and the picture in its size; what was done to that is told."""
    from unmist.run.model import load
    from unmist.workflows.edit_arrays import opened_array
    from unmist.workflows.edit_pictures import opened

    loaded = load(model, weights=draw.weights)
    if len(loaded.shape) == 3:
        given = opened(loaded, picture, as_is=out.as_is, smaller=smaller)
    else:
        given = opened_array(loaded, picture)
    _note(given)
    return loaded, _shot(loaded, draw), given


def _note(given: "Opened") -> None:
    if given.notice:
        note(f"note: {given.notice}")


def _shot(model: "Model", draw: Draw) -> "Shot":
    from unmist.workflows.wishes import doubts

    if draw.like is not None:
        mend = "say the seed, and the steps where they matter"
        raise BadInput("an edit is not drawn like a sample", where="--like", mend=mend)
    shot = draw.shot(model)
    for doubt in doubts(model, shot.wish):
        note(f"note: {doubt}")
    return shot if draw.count is not None else replace(shot, count=COUNT)


def _drawn(model: "Model", shot: "Shot", draft: "Draft", out: Out, folder: Path) -> int:
    """Draw under a bar, write, tell."""
    from unmist.workflows.edit import developed, editing

    moves = len(draft.plan.moves) * -(-shot.count // shot.batch)
    with followed(moves) as (progress, task):
        states = editing(model, shot, draft)
        shown = (progress.advance(task) or pair for pair in states)
        samples = developed(model, shot, draft, shown)
    return _left(samples, shot, out, folder)


def _left(samples: "Samples", shot: "Shot", out: Out, folder: Path) -> int:
    from unmist.workflows.edit_files import save_edit

    told = samples.settings.get("edit")
    verb = str(told["verb"]) if isinstance(told, dict) else "translate"
    place = out.to or folder / "edits"
    if place.is_file() or place.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
        raise BadInput("is no folder", where=place, mend="name a folder for the pictures")
    written = save_edit(samples, shot, place, verb)
    if out.json:
        emit({"settings": samples.settings, "count": len(samples.pixels), **vars(written)})
        return 0
    note(f"{len(samples.pixels)} drawn, {samples.calls} network evaluations each")
    for path in [path for path in (written.film, written.grid) if path] or written.pictures:
        print(path)
    return 0
