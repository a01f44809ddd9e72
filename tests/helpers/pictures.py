"""Picture files written by hand, where Pillow cannot or must not be the one who writes them."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image

COLOURS = {1: 0, 3: 2, 2: 4, 4: 6}  # channels -> PNG's colour type


def chunk(name, body):
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(values, *, size=None, extra=(), palette=None):
    """A PNG of uint8 or uint16 (h, w, c); `size` lies in the header; `extra` goes before IDAT."""
    height, width = size or values.shape[:2]
    bits, kind = 8 * values.dtype.itemsize, 3 if palette else COLOURS[values.shape[2]]
    rows = b"".join(b"\0" + row.astype(values.dtype.newbyteorder(">")).tobytes() for row in values)
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))]
    parts += [chunk(b"PLTE", palette)] if palette else []
    parts += [chunk(name, body) for name, body in extra]
    parts += [chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def saved(image, kind, **how):
    """The bytes Pillow writes."""
    out = BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def colourful(side=24, seed=0):
    """A smooth colour picture, uint8 (side, side, 3), that no two turns leave the same."""
    down, right = np.mgrid[0:side, 0:side] / (side - 1)
    waves = [np.sin(3 * down + seed), np.cos(4 * right * down + seed), right**2 - down]
    return np.stack([(wave * 100 + 127).clip(0, 255) for wave in waves], -1).astype(np.uint8)


def photo(seed=0, side=24):
    """A random picture as Pillow's image, unlike any other seed's."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return small.resize((side, side), Image.Resampling.BICUBIC)
