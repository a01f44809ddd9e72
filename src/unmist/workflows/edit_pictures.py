"""Pictures and masks for an edit: read, fitted to the model, refused in one line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.data.fit import fitted, middle, with_channels
from unmist.data.picture import decoded, quiet
from unmist.data.reading import Reading
from unmist.networks.unet import UNet
from unmist.run.model import Model

__all__ = ["Box", "Grow", "Opened", "grown", "known_of", "opened", "read_pixels"]

MOST = 1 << 28  # bytes of a picture file
SIDE = 512  # pixels a side that a network is given


@dataclass(frozen=True)
class Box:
    """A rectangle in the picture as it was given: its left upper corner and its size, in pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Grow:
    """So many pixels more on each side, in the pixels of the edited picture: outpainting."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __bool__(self) -> bool:
        return any((self.left, self.top, self.right, self.bottom))


@dataclass(frozen=True, eq=False)
class Opened:
    """pixels uint8 (c, h, w) as they are edited; size (h, w) as given; notice: what was done."""

    pixels: np.ndarray
    size: tuple[int, int]
    notice: str = ""


def read_pixels(path: Path) -> np.ndarray:
    """uint8 (h, w, 1 or 3) of a picture file. Raises BadInput."""
    if not path.is_file():
        raise BadInput("no such picture", where=path, mend="give a PNG, JPEG, WebP or the like")
    try:
        with quiet():
            return decoded(files.read_bytes(path, most=MOST, links=True), Reading()).pixels
    except BadInput as fault:
        raise BadInput(fault.what, where=path, mend=fault.mend) from None


def size_for(model: Model, size: tuple[int, int], *, as_is: bool, smaller: int = 1) -> tuple:
    """(h, w) at which a picture of this size is edited. Raises BadInput."""
    if len(model.shape) != 3 or model.shape[0] not in (1, 3):
        shape = "x".join(map(str, model.shape))
        raise BadInput(f"the model draws {shape} numbers, no pictures", where="edit")
    if not as_is:
        own = model.shape[1:]
        if any(side % smaller for side in own):
            what = f"the model's {own[1]}x{own[0]} is no multiple of {smaller}"
            raise BadInput(what, where="edit", mend="choose another factor")
        return own[0] // smaller, own[1] // smaller
    if not isinstance(model.recipe.network, UNet):
        mend = "leave the picture to be fitted, or use a U-Net"
        raise BadInput("this network takes its own size only", where="edit", mend=mend)
    if max(size) * smaller > SIDE or min(size) * smaller < 4:
        what = f"{size[1]}x{size[0]} is outside 4 … {SIDE} pixels a side"
        raise BadInput(what, where="edit", mend="leave the picture to be fitted")
    return size


def opened(model: Model, path: Path, *, as_is: bool = False, smaller: int = 1) -> Opened:
    """A picture in the model's channels and size, or in its own size where as_is.

    smaller: a low resolution is wanted, the model's over this factor.
    """
    pixels = read_pixels(path)
    given = (pixels.shape[0], pixels.shape[1])
    wanted = size_for(model, given, as_is=as_is, smaller=smaller)
    fit = fitted(with_channels(pixels, model.shape[0]), wanted, Reading(fit="crop"))
    parts = []
    if wanted != given:
        parts.append(f"{given[1]}x{given[0]} is cropped and scaled to {wanted[1]}x{wanted[0]}")
    if pixels.shape[2] > model.shape[0]:
        parts.append("its colours are left out: the model is grey")
    notice = f"{path.name}: {'; '.join(parts)}" if parts else ""
    return Opened(np.ascontiguousarray(fit.transpose(2, 0, 1)), given, notice)


def known_of(
    picture: Opened, masks: Sequence[Path], boxes: Sequence[Box], grow: Grow | None = None
) -> np.ndarray:
    """float32 (h, w): 1 where the picture stays, 0 where it is painted anew, between them: mixed.

    White in a mask is painted anew, as is the inside of a box; masks are as large as the picture
    was given. With `grow` the result has the larger size. Raises BadInput where nothing is marked
    or nothing is left.
    """
    paint = np.zeros(picture.size, np.uint8)
    for path in masks:
        paint = np.maximum(paint, _mask(path, picture.size))
    for box in boxes:
        _check_box(box, picture.size)
        paint[box.y : box.y + box.height, box.x : box.x + box.width] = 255
    grown = grow is not None and bool(grow)
    if not paint.any() and not grown:
        mend = "paint white what is to change, or name a box or a side to grow"
        raise BadInput("nothing is marked to be painted anew", where="mask", mend=mend)
    shape = picture.pixels.shape[1:]
    box = middle(picture.size, (shape[0], shape[1]))  # by area: Lanczos would ring into both sides
    image = Image.fromarray(paint).resize((shape[1], shape[0]), Image.Resampling.BOX, box=box)
    known = 1 - np.asarray(image, np.float32) / 255
    if grow is not None and grown:
        known = np.pad(known, ((grow.top, grow.bottom), (grow.left, grow.right)))
    if not known.any():
        mend = "leave something, or draw a whole picture with `unmist sample`"
        raise BadInput("nothing of the picture is left", where="mask", mend=mend)
    if known.min() == 1:
        mend = "mark more of it"
        raise BadInput("nothing marked is left at the model's size", where="mask", mend=mend)
    return known


def grown(model: Model, pixels: np.ndarray, grow: Grow) -> np.ndarray:
    """uint8 (c, h, w) with room on its sides, black until it is drawn. Raises BadInput."""
    if not grow:
        return pixels
    sides = (grow.left, grow.top, grow.right, grow.bottom)
    if min(sides) < 0 or max(sides) > SIDE:
        raise BadInput(f"sides grow by {sides}", where="--grow", mend=f"0 … {SIDE} pixels")
    wide = ((0, 0), (grow.top, grow.bottom), (grow.left, grow.right))
    larger = np.pad(pixels, wide)
    size_for(model, (larger.shape[1], larger.shape[2]), as_is=True)
    return larger


def _mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    pixels = with_channels(read_pixels(path), 1)[..., 0]
    if pixels.shape != size:
        found, wanted = (f"{side[1]}x{side[0]}" for side in (pixels.shape, size))
        raise BadInput(
            f"the mask is {found}, the picture {wanted}",
            where=path,
            mend="make it as large as the picture",
        )
    return pixels


def _check_box(box: Box, size: tuple[int, int]) -> None:
    inside = 0 <= box.x < size[1] and 0 <= box.y < size[0]
    if not inside or box.width < 1 or box.height < 1:
        raise BadInput(
            f"box {box.x},{box.y},{box.width},{box.height} does not meet the picture's "
            f"{size[1]}x{size[0]}",
            where="--box",
            mend="x,y,width,height from the left upper corner",
        )
