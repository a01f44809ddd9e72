"""One picture file to pixels, or one line that says why not."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from unmist.base.faults import BadInput
from unmist.data.levels import to_levels
from unmist.data.reading import Reading

__all__ = ["FORMATS", "Picture", "decoded", "header_size", "quiet"]

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")  # MPO comes as JPEG
LATER = "frames or pages after the first left out"
DARK = "16-bit numbers that use less than a sixteenth of their range"
_ORIENTATION = 0x0112
_FOREIGN = (
    (rb"\x89PNG", "a PNG whose header is damaged"),
    (rb"\xff\xd8\xff", "a JPEG whose header is damaged"),
    (rb"II\*\0|MM\0\*", "a TIFF that is damaged or of a kind not read"),
    (rb"GIF8", "a GIF whose header is damaged"),
    (rb"RIFF....WEBP", "a WebP that is damaged"),
    (rb"....ftypavi[fs]", "an AVIF that is damaged, or this Pillow reads none"),
    (rb"%PDF", "a PDF document"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript program"),
    (rb"\s*(<\?xml[^>]*>\s*|<!--.*?-->\s*|<!DOCTYPE svg[^>]*>\s*)*<svg", "an SVG drawing"),
    (rb"SIMPLE  =", "a FITS table"),
    (rb"\s*<(!doctype )?html", "a web page"),
    (rb"....ftyp(heic|heix|mif1|msf1)", "a HEIC picture"),
    (rb"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (rb"PK\x03\x04", "a zip archive"),
    (rb"version https://git-lfs", "a Git LFS pointer: the picture itself was not fetched"),
)


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded file: pixels uint8 (h, w, 1) if grey, else (h, w, 3), turned upright."""

    pixels: np.ndarray
    mode: str
    format: str
    remarks: tuple[str, ...]


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow's warnings off: what they say of a file is found and told here, in our words."""
    Image.init()  # before any thread asks for a decoder: loading them is not safe in two
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _known() -> tuple[str, ...]:
    """The formats of ours that this build of Pillow can open."""
    Image.init()
    return tuple(kind for kind in FORMATS if kind in Image.OPEN)


def header_size(raw: IO[bytes]) -> tuple[int, int] | None:
    """(height, width) from the header alone, None where it cannot be read."""
    try:
        with Image.open(raw, formats=_known()) as image:
            return image.height, image.width
    except Exception:  # the decoding pass names the reason
        return None


def decoded(raw: bytes, reading: Reading) -> Picture:
    """The first frame of a file's bytes; BadInput with the reason where there is none."""
    if not raw:
        raise BadInput("is empty (0 bytes)")
    try:
        with Image.open(BytesIO(raw), formats=_known()) as image:
            _check_size(image, reading.pixel_cap)
            return _first_frame(image, reading)
    except BadInput:
        raise
    except UnidentifiedImageError:
        raise BadInput(_what_else(raw)) from None
    except Image.DecompressionBombError:
        raise BadInput("has more pixels than are ever decoded") from None
    except Exception as error:  # ten decoders, fed by anybody, raise nearly every class there is
        raise BadInput(_damage(error)) from None


def _check_size(image: Image.Image, cap: int) -> None:
    height, width = image.height, image.width
    if height < 1 or width < 1:
        raise BadInput(f"has no pixels ({width}x{height})")
    if height * width > cap:
        raise BadInput(f"{width}x{height} is {height * width / 1e6:.1f} Mpx, the cap {cap / 1e6:g}")


def _first_frame(image: Image.Image, reading: Reading) -> Picture:
    mode, kind = image.mode, str(image.format)
    image.load()
    pixels, remark = to_levels(image, reading.colour)
    upright = _upright(pixels, _orientation(image))
    remarks = [remark, _dark(image), LATER if kind != "MPO" and _has_more(image) else ""]
    return Picture(upright, mode, kind, tuple(filter(None, remarks)))


def _dark(image: Image.Image) -> str:
    """12-bit numbers in 16-bit files come out nearly black: true to the rule, but to be told."""
    if not image.mode.startswith("I;16"):
        return ""
    return DARK if 0 < int(np.asarray(image).max()) < 4096 else ""


def _orientation(image: Image.Image) -> int:
    """1 … 8 from the EXIF record, after loading (TIFF turns itself then); 1 where it is broken."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken record is no reason to lose the picture
        return 1
    return found if isinstance(found, int) else 1


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the eight ways a camera can be held (EXIF 2.32, tag 0x0112)."""
    turns = {
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: pixels.swapaxes(0, 1)[:, ::-1],
        7: pixels.swapaxes(0, 1)[::-1, ::-1],
        8: pixels.swapaxes(0, 1)[::-1],
    }
    return np.ascontiguousarray(turns.get(orientation, pixels))


def _has_more(image: Image.Image) -> bool:
    try:
        image.seek(1)
    except EOFError:
        return False
    except Exception:  # a damaged second frame is a second frame
        return True
    return True


def _what_else(raw: bytes) -> str:
    for mark, name in _FOREIGN:
        if re.match(mark, raw[:1024], re.DOTALL | re.IGNORECASE):
            return f"is {name}"
    return "is not a picture of a known format (PNG, JPEG, WebP, GIF, BMP, TIFF, PPM, AVIF)"


def _damage(error: Exception) -> str:
    """Our words for a decoder's: theirs may quote memory addresses and paths."""
    if isinstance(error, MemoryError):
        return "does not fit in memory"
    if re.search(r"truncated|unexpected end|not enough|too short", str(error), re.IGNORECASE):
        return "is truncated"
    return f"is damaged ({type(error).__name__} while decoding)"
