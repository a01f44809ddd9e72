"""Every Pillow mode to 8-bit levels, grey or red-green-blue, on purpose.

| mode | rule |
|---|---|
| 1, L, RGB, RGBX | as they are |
| P | its palette |
| LA, PA, RGBA, La, RGBa, and any transparent colour | composited on the background |
| CMYK, YCbCr, HSV | Pillow's formulas (JPEG's inverted CMYK is turned round by the decoder) |
| LAB | to sRGB through the CIE D50 profile |
| I;16 (16-bit grey) | 0 … 65535 becomes 0 … 255, to the nearest level |
| 16-bit colour | the decoder keeps the upper 8 bits: up to one level low |
| I (32-bit whole numbers) | as they are if within 0 … 255, as 16-bit if within 0 … 65535 |
| F (floating point) | 0 … 1 becomes 0 … 255; within 0 … 255 as they are; NaN is refused |
| I, F beyond these | the picture's own smallest … largest becomes 0 … 255, which is told |

Embedded colour profiles are not applied.
"""

import numpy as np
from PIL import Image

from unmist.base.faults import BadInput

__all__ = ["STRETCHED", "on_background", "scaled", "to_levels"]

STRETCHED = "numbers stretched from the picture's own smallest and largest"
_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")


def to_levels(image: Image.Image, colour: tuple[int, int, int]) -> tuple[np.ndarray, str]:
    """uint8 (h, w, 1) where the picture is grey, else (h, w, 3); and a remark, or an empty string.

    The image must be loaded. BadInput where its numbers are not finite.
    """
    if image.mode in _SIXTEEN or image.mode in ("I", "F"):
        return _numbers(image, colour)
    if image.has_transparency_data:
        straight = image.convert("LA") if image.mode == "La" else image  # La goes nowhere else
        layers = np.asarray(straight.convert("RGBA"))
        return squeezed(on_background(layers[..., :3], layers[..., 3:], colour)), ""
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))[..., None], ""
    return squeezed(np.asarray(image if image.mode == "RGB" else image.convert("RGB"))), ""


def squeezed(pixels: np.ndarray) -> np.ndarray:
    """(h, w, 3) to (h, w, 1) where the three are equal everywhere."""
    few = pixels[::16, ::16]  # most colour pictures show it at once
    grey = (few == few[..., :1]).all() and (pixels == pixels[..., :1]).all()
    return np.ascontiguousarray(pixels[..., :1] if grey else pixels)


def on_background(
    pixels: np.ndarray, alpha: np.ndarray, colour: tuple[int, int, int]
) -> np.ndarray:
    """Pixels (h, w, 3) over one colour, by alpha (h, w, 1), all uint8, to the nearest level."""
    over = pixels.astype(np.uint32) * alpha
    under = np.array(colour, np.uint32) * (255 - alpha.astype(np.uint32))
    return ((over + under + 127) // 255).astype(np.uint8)


def _numbers(image: Image.Image, colour: tuple[int, int, int]) -> tuple[np.ndarray, str]:
    values = np.asarray(image)
    if image.mode in _SIXTEEN or (image.mode == "I" and image.format in ("PNG", "PPM")):
        values = np.clip(values, 0, 65535).astype(np.uint16)
    levels, remark = scaled(values)
    clear = image.info.get("transparency")  # one 16-bit value stands for "nothing here"
    if isinstance(clear, int) and (values == clear).any():
        alpha = np.where(values == clear, 0, 255).astype(np.uint8)[..., None]
        return squeezed(on_background(levels[..., None].repeat(3, 2), alpha, colour)), remark
    return levels[..., None], remark


def scaled(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Numbers of one picture to uint8 of the same shape, by the rules above, and a remark."""
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8), ""
    if not np.isfinite(values).all():
        raise BadInput("holds numbers that are not finite", mend="replace NaN and infinities")
    low, high = (float(end) for end in (values.min(), values.max()))
    whole = np.issubdtype(values.dtype, np.integer)
    top = next((t for t in ((255, 65535) if whole else (1, 255)) if high <= t), None)
    if low >= 0 and top is not None:
        return _nearest(values.astype(np.float64) * (255 / top)), ""
    span = (high - low) or 1.0
    return _nearest((values.astype(np.float64) - low) * (255 / span)), STRETCHED


def _nearest(levels: np.ndarray) -> np.ndarray:
    return np.floor(levels + 0.5).clip(0, 255).astype(np.uint8)
