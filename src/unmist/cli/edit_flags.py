"""The flags of `unmist edit`: where it goes, what is painted anew, what happened to a picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean

if TYPE_CHECKING:
    from unmist.workflows.edit_pictures import Box, Grow

__all__ = ["Harm", "Hole", "Out", "Past", "box_of", "grow_of", "numbers"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Out:
    """Where it goes.

    Parameters
    ----------
    to
        A folder for the pictures (default: edits/ in the model).
    as_is
        Keep the picture's own size instead of fitting it to the model's (U-Nets only).
    json
        Print one JSON object on stdout.
    """

    to: Path | None = None
    as_is: bool = False
    json: bool = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Hole:
    """What is painted anew.

    Parameters
    ----------
    mask
        A picture as large as the other: white is painted anew, black stays, grey is mixed. Of a
        volume, clip or series an .npy, painted where it is not 0.
    box
        A rectangle to paint anew: x,y,width,height in pixels; of a volume or clip x,y,z,width,
        height,depth, z counting slices or frames; may be repeated.
    grow
        More picture on its sides, as in left=8,top=4 (U-Nets only).
    """

    mask: tuple[Path, ...] = ()
    box: tuple[str, ...] = ()
    grow: str = ""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Past:
    """How a clip goes on.

    Parameters
    ----------
    overlap
        How many of the last frames each window is told (default: half a window).
    method
        As of inpaint, window after window; or rolling, frame after frame, each noisier than the one
        before, with a model trained with --set rolling=0.5 (default: posterior).
    """

    overlap: int = 0
    method: str = ""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Harm:
    """What happened to the picture.

    Parameters
    ----------
    blur
        Standard deviation of a Gaussian blur, in pixels.
    grey
        It lost its colours.
    noise
        Standard deviation of its noise, in levels of 255.
    """

    blur: float = 0.0
    grey: bool = False
    noise: float = 0.0


def numbers(text: str, flag: str, mend: str) -> list[int]:
    """Whole numbers between commas. Raises BadInput at the flag."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(f"'{text[:40]}' is no list of numbers", where=flag, mend=mend) from None


def box_of(text: str) -> "Box":
    """`x,y,width,height` as a rectangle. Raises BadInput."""
    from unmist.workflows.edit_pictures import Box

    mend = "x,y,width,height, as in 8,8,12,12"
    found = numbers(text, "--box", mend)
    if len(found) != 4:
        raise BadInput(f"{len(found)} numbers", where="--box", mend=mend)
    return Box(*found)


def grow_of(text: str) -> "Grow":
    """`left=8,top=4` as what is added to each side. Raises BadInput."""
    from unmist.workflows.edit_pictures import Grow

    sides, known = {}, ["left", "top", "right", "bottom"]
    for part in filter(None, text.split(",")):
        side, _, number = part.partition("=")
        if side.strip() not in known:
            mend = did_you_mean(side.strip(), known)
            raise BadInput(f"no side '{side[:40]}'", where="--grow", mend=mend)
        (sides[side.strip()],) = numbers(number, "--grow", "as in left=8,top=4")
    return Grow(**sides)
