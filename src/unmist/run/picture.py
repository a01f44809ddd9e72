"""Pictures that carry how they were made: PNG, animated WebP and GIF, written whole or not at all.

A PNG has two text chunks: `parameters`, the one line that other tools read, and `unmist`, JSON with
all that `sample --like` needs.
"""

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from unmist.base import files
from unmist.base.faults import BadInput

__all__ = [
    "FOREIGN",
    "as_image",
    "as_pixels",
    "flat",
    "grid",
    "parameters_line",
    "read_settings",
    "save_film",
    "save_picture",
    "settings_text",
    "strip",
]

FORMATS = ("PNG", "WEBP", "GIF")
FOREIGN = "parameters"  # the key under which another tool's line is handed on
KEY = "unmist"
MOST = 1 << 28
GAP = 128
_DESCRIPTION = 0x010E  # EXIF's ImageDescription: the only text a WebP has room for


def flat(pixels: np.ndarray) -> np.ndarray:
    """uint8 (n, c, *s) as pictures (n, 1 or 3, h, w).

    A line of values becomes a band 16 high; the slices of a volume or clip stand side by side.
    Channels beyond grey and colour are left out: the first alone is shown.
    """
    assert pixels.dtype == np.uint8
    assert 3 <= pixels.ndim <= 5, pixels.shape
    if pixels.shape[1] not in (1, 3):
        pixels = pixels[:, :1]
    if pixels.ndim == 3:
        return pixels[:, :, None].repeat(16, axis=2)
    if pixels.ndim == 5:
        count, channels, depth, height, width = pixels.shape
        return pixels.transpose(0, 1, 3, 2, 4).reshape(count, channels, height, depth * width)
    return pixels


def grid(pixels: np.ndarray, columns: int = 0, *, zoom: int = 1, gap: int = 2) -> np.ndarray:
    """uint8 (n, c, *s) -> one picture (c, H, W), row by row; nearly square where columns is 0."""
    assert len(pixels), "a grid of nothing"
    pixels = flat(pixels).repeat(zoom, axis=2).repeat(zoom, axis=3)
    count, channels, height, width = pixels.shape
    columns = min(columns or int(np.ceil(np.sqrt(count))), count)
    rows = -(-count // columns)
    size = (rows * (height + gap) - gap, columns * (width + gap) - gap)
    whole = np.full((channels, *size), GAP, np.uint8)
    for number, picture in enumerate(pixels):
        row, column = divmod(number, columns)
        top, left = row * (height + gap), column * (width + gap)
        whole[:, top : top + height, left : left + width] = picture
    return whole


def strip(frames: Sequence[np.ndarray], *, zoom: int = 1, gap: int = 2) -> np.ndarray:
    """Frames (n, c, *s) -> one picture (c, H, W): a row a sample, a column a frame."""
    rows = np.stack(frames, axis=1)
    return grid(rows.reshape(-1, *rows.shape[2:]), len(frames), zoom=zoom, gap=gap)


def as_image(picture: np.ndarray) -> Image.Image:
    """uint8 (1 or 3, h, w) for Pillow."""
    return Image.fromarray(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0))


def as_pixels(image: Image.Image) -> np.ndarray:
    """A picture of Pillow's as uint8 (1 or 3, h, w): grey where it is L, colour otherwise."""
    pixels = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def parameters_line(settings: dict[str, object]) -> str:
    """`Steps: 20, Sampler: unipc, …`: what is known of it, in the order other tools write it."""
    sampling, shape = settings.get("sampling"), settings.get("shape")
    table = sampling if isinstance(sampling, dict) else {}
    size = "x".join(str(side) for side in reversed(shape[1:])) if isinstance(shape, list) else None
    parts = {
        "Steps": table.get("steps"),
        "Sampler": _kind(table.get("solver")),
        "Schedule type": _kind(table.get("spacing")),
        "Seed": settings.get("seed"),
        "Size": size,
        "Model hash": str(settings["hash"])[:10] if "hash" in settings else None,
        "Model": settings.get("model"),
        "Version": f"unmist {version('unmist')}",
    }
    return ", ".join(f"{name}: {value}" for name, value in parts.items() if value is not None)


def _kind(part: object) -> object:
    return part.get("kind") if isinstance(part, dict) else None


def settings_text(settings: dict[str, object]) -> str:
    """The settings as one line of ASCII JSON, with what wrote them."""
    told = {**settings, "version": version("unmist")}
    return json.dumps(told, sort_keys=True, allow_nan=False)


def save_picture(path: Path, picture: np.ndarray, settings: dict[str, object]) -> None:
    """Write uint8 (1 or 3, h, w) as PNG with its settings. Raises CannotWrite."""
    info = PngInfo()
    info.add_text(FOREIGN, parameters_line(settings))
    info.add_text(KEY, settings_text(settings))
    with _room(path, (".png",)) as beside:
        as_image(picture).save(beside, format="PNG", pnginfo=info)


def save_film(
    path: Path, frames: Sequence[np.ndarray], settings: dict[str, object], *,
    pause: int = 90, last: int = 2000,
) -> None:  # fmt: skip
    """Write frames (1 or 3, h, w) as a looping WebP (lossless) or GIF, `pause` ms each.

    The last frame stands `last` ms (0: as the others). Raises CannotWrite, and BadInput for another
    suffix.
    """
    images = [as_image(frame).convert("RGB") for frame in frames]
    pauses = [pause] * (len(images) - 1) + [last or pause]
    more = {"save_all": True, "append_images": images[1:], "duration": pauses, "loop": 0}
    told = settings_text(settings)
    with _room(path, (".webp", ".gif")) as beside:
        if path.suffix.lower() == ".gif":
            images[0].save(beside, format="GIF", comment=told.encode(), **more)
        else:
            exif = Image.Exif()
            exif[_DESCRIPTION] = told
            images[0].save(beside, format="WEBP", lossless=True, exif=exif, **more)


@contextmanager
def _room(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """A file beside `path`, whose folder is made where it is missing."""
    if path.suffix.lower() not in suffixes:
        known = " or ".join(suffixes)
        raise BadInput("is no name for a picture", where=path, mend=f"end it in {known}")
    if path.is_dir():
        raise BadInput("is a folder", where=path, mend="give the name of a picture")
    with files.told(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(path) as beside:
        yield beside


def read_settings(path: Path) -> dict[str, object]:
    """What a picture says of itself: our table, or {"parameters": text} of another tool's.

    Only the header is read, no pixel is decoded. Raises BadInput.
    """
    info = _texts(path)
    if KEY in info:
        table = files.parse_json(info[KEY].encode(), where=path)
        if not isinstance(table, dict):
            raise BadInput("its settings are no table", where=path, mend="it was altered")
        return table
    if FOREIGN in info:
        return {FOREIGN: info[FOREIGN]}
    raise BadInput("carries no settings", where=path, mend="give a picture as unmist wrote it")


def _texts(path: Path) -> dict[str, str]:
    """The texts in a picture's header, by key."""
    content = files.read_bytes(path, most=MOST, links=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of size: nothing is decoded
            with Image.open(BytesIO(content), formats=FORMATS) as image:
                return _found(image)
    except UnidentifiedImageError:
        raise BadInput("is not a PNG, WebP or GIF picture", where=path) from None
    except Exception as error:  # three decoders, fed by anybody, raise nearly every class there is
        what = f"is damaged ({type(error).__name__} while reading it)"
        raise BadInput(what, where=path) from None


def _found(image: Image.Image) -> dict[str, str]:
    texts = {key: str(image.info[key]) for key in (KEY, FOREIGN) if key in image.info}
    comment = image.info.get("comment", b"") if image.format == "GIF" else b""
    told = comment.decode(errors="replace") if isinstance(comment, bytes) else str(comment)
    if image.format == "WEBP":
        told = str(image.getexif().get(_DESCRIPTION, ""))
    return {KEY: told, **texts} if told.startswith("{") else texts
