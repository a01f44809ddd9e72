"""Every mode against levels computed here, with no more than one level of difference."""

import re
import struct
import zlib

import numpy as np
import pytest
from pictures import chunk, colourful, png, saved
from PIL import Image

from unmist.base.faults import BadInput
from unmist.data.levels import STRETCHED, to_levels
from unmist.data.picture import DARK, LATER, decoded, quiet
from unmist.data.reading import PLAIN, Reading

RGB = colourful()
ALPHA = np.linspace(0, 255, 24 * 24).reshape(24, 24, 1).round().astype(np.uint8)
GREY = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
WIDE = np.linspace(0, 65535, 24 * 24).reshape(24, 24, 1).round().astype(np.uint16)
WIDE3 = RGB.astype(np.uint16) * 257 + np.arange(3, dtype=np.uint16) * 50
TEAL = Reading(background="#105a96")


def over(pixels, alpha, colour=(255, 255, 255)):
    """Compositing in real numbers."""
    share = alpha / 255.0
    return pixels * share + np.array(colour) * (1 - share)


def lab_to_srgb(lab):
    """CIE L*a*b* (D50) to sRGB: CIE 15:2004, Bradford to D65, IEC 61966-2-1."""
    lightness, a, b = lab
    y = (lightness + 16) / 116
    f = np.array([y + a / 500, y, y - b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1.0, 0.8249]
    bradford = [[0.9555766, -0.0230393, 0.0631636], [-0.0282895, 1.0099416, 0.0210077]]
    bradford.append([0.0122982, -0.0204830, 1.3299098])
    primaries = [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560]]
    primaries.append([0.0556434, -0.2040259, 1.0572252])
    light = np.clip(np.array(primaries) @ (np.array(bradford) @ xyz), 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def palette_png(extra=()):
    """Four colours, two of them nearly clear when `extra` says so."""
    index = (np.arange(64) % 4).reshape(8, 8, 1).astype(np.uint8)
    return png(index, palette=bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9]), extra=extra)


TABLE = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]])[np.arange(64) % 4]
TABLE = TABLE.reshape(8, 8, 3)
CLEAR = np.array([0, 128, 255, 255])[np.arange(64) % 4].reshape(8, 8, 1)
KEYED = np.where((GREY == 200), 0, 255)
CMYK = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)
INKS = (255.0 - CMYK[..., :3]) * (255.0 - CMYK[..., 3:]) / 255
FLOATS = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
INTS = np.linspace(-5e6, 9e6, 64).astype(np.int32).reshape(8, 8)

GOLDEN = {
    "1-bit": (saved(Image.fromarray(RGB[..., 0] > 127), "PNG"), (RGB[..., :1] > 127) * 255.0),
    "grey": (png(GREY), GREY),
    "colour": (png(RGB), RGB),
    "grey as colour": (png(GREY.repeat(3, 2)), GREY),
    "grey, alpha": (
        png(np.concatenate([RGB[..., :1], ALPHA], 2)),
        over(RGB[..., :1], ALPHA)[..., :1],
    ),
    "colour, alpha": (png(np.concatenate([RGB, ALPHA], 2)), over(RGB, ALPHA)),
    "colour, alpha, webp": (
        saved(Image.fromarray(np.concatenate([RGB, ALPHA], 2)), "WEBP", lossless=True, exact=True),
        over(RGB, ALPHA),
    ),
    "palette": (palette_png(), TABLE),
    "palette, alpha": (palette_png([(b"tRNS", bytes([0, 128]))]), over(TABLE, CLEAR)),
    "grey with one clear level": (
        png(GREY, extra=[(b"tRNS", struct.pack(">H", 200))]),
        over(GREY, KEYED)[..., :1],
    ),
    "colour with one clear colour": (
        png(RGB, extra=[(b"tRNS", struct.pack(">HHH", *RGB[3, 5].tolist()))]),
        np.where((RGB[3, 5] == RGB).all(-1, keepdims=True), 255, RGB),
    ),
    "16-bit grey": (png(WIDE), WIDE / 257),
    "16-bit grey, one clear": (
        png(WIDE, extra=[(b"tRNS", struct.pack(">H", int(WIDE[2, 2, 0])))]),
        np.where(WIDE[2, 2, 0] == WIDE, 255, WIDE / 257),
    ),
    "16-bit colour": (png(WIDE3), WIDE3 / 257),
    "16-bit colour, alpha": (
        png(np.concatenate([WIDE3, ALPHA.astype(np.uint16) * 257], 2)),
        over(WIDE3 / 257, ALPHA),
    ),
    "16-bit tiff": (saved(Image.fromarray(WIDE[..., 0]), "TIFF"), WIDE / 257),
    "16-bit ppm": (b"P5 24 24 65535 " + WIDE.astype(">u2").tobytes(), WIDE / 257),
    "32-bit whole": (saved(Image.fromarray(WIDE[..., 0].astype(np.int32)), "TIFF"), WIDE / 257),
    "32-bit whole, levels": (saved(Image.fromarray(GREY[..., 0].astype(np.int32)), "TIFF"), GREY),
    "32-bit whole, beyond": (
        saved(Image.fromarray(INTS), "TIFF"),
        ((INTS + 5e6) / 14e6 * 255)[..., None],
    ),
    "float, 0 to 1": (saved(Image.fromarray(FLOATS), "TIFF"), FLOATS[..., None] * 255),
    "float, levels": (saved(Image.fromarray(FLOATS * 200), "TIFF"), FLOATS[..., None] * 200),
    "float, beyond": (
        saved(Image.fromarray(FLOATS * 7 - 3), "TIFF"),
        FLOATS[..., None] * 255,
    ),
    "cmyk tiff": (saved(Image.frombytes("CMYK", (8, 8), CMYK.tobytes()), "TIFF"), INKS),
    "cmyk jpeg, inverted": (
        saved(Image.new("CMYK", (8, 8), (20, 130, 200, 40)), "JPEG", quality=100, subsampling=0),
        np.broadcast_to(np.array([235, 125, 55]) * 215 / 255, (8, 8, 3)),
    ),
    "jpeg": (saved(Image.new("RGB", (16, 16), (200, 90, 30)), "JPEG", quality=100), [200, 90, 30]),
    "gif": (saved(Image.fromarray(GREY[..., 0]), "GIF"), GREY),
    "bmp": (saved(Image.fromarray(RGB), "BMP"), RGB),
    "ppm": (saved(Image.fromarray(RGB), "PPM"), RGB),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_files_of_every_kind_give_the_levels_they_mean(name):
    """Fails if 16 bits saturate, alpha is dropped, black shows through, or inks are upside down."""
    raw, expected = GOLDEN[name]
    with quiet():
        pixels = decoded(raw, PLAIN).pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == (1 if np.asarray(expected).shape[-1:] == (1,) else 3)
    low = 0.5 if name == "16-bit colour, alpha" else 0.0  # two roundings after the lost byte
    assert np.abs(pixels - np.asarray(expected, float)).max() <= 1.0 + low


def jfif(levels):
    """YCbCr to red, green, blue in real numbers (JFIF 1.02)."""
    y, cb, cr = np.moveaxis(levels.astype(float) - [0, 128, 128], -1, 0)
    return np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], -1)


YCC = Image.fromarray(RGB).convert("YCbCr")
HSV = Image.merge("HSV", [Image.new("L", (2, 2), v) for v in (0, 255, 200)])  # pure red at 200
IN_MEMORY = {
    "La": (Image.fromarray(np.concatenate([GREY, GREY], 2), "LA").convert("La"), None),
    "RGBa": (Image.fromarray(np.concatenate([RGB, ALPHA], 2)).convert("RGBa"), over(RGB, ALPHA)),
    "RGBX": (Image.fromarray(RGB).convert("RGBX"), RGB),
    "YCbCr": (YCC, jfif(np.asarray(YCC)).clip(0, 255)),
    "HSV": (HSV, [200, 0, 0]),
    "PA": (Image.fromarray(np.concatenate([RGB, ALPHA], 2)).convert("LA").convert("PA"), None),
}


@pytest.mark.parametrize("name", IN_MEMORY)
def test_modes_no_file_here_gives_are_met_too(name):
    """Fails if a mode only some decoders give falls through (two levels: those formats round)."""
    image, expected = IN_MEMORY[name]
    if expected is None:
        both = np.asarray(image.convert("LA"), float)
        expected = over(both[..., :1], both[..., -1:])[..., :1]
    pixels, remark = to_levels(image, (255, 255, 255))
    assert remark == ""
    assert np.abs(pixels - np.asarray(expected, float)).max() <= 2.0


@pytest.mark.parametrize("lab", [(53, 40, 30), (70, -40, 30), (30, 20, -60), (90, 0, 0)])
def test_lab_is_converted_by_the_standard(lab):
    """Fails if a and b are read unsigned, or L, a, b are taken for red, green, blue."""
    light = round(lab[0] * 2.55)
    raw = saved(Image.new("LAB", (4, 4), (light, lab[1] + 128, lab[2] + 128)), "TIFF")
    assert bytes((light, lab[1] % 256, lab[2] % 256)) * 16 in raw  # TIFF 6.0: signed a and b
    with quiet():
        pixels = decoded(raw, PLAIN).pixels
    exact = lab_to_srgb((light / 2.55, *lab[1:]))
    assert np.abs(pixels[0, 0] - exact).max() <= 2.0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation):
    """Fails if one of the eight EXIF orientations is missed, mirrored, or applied twice."""
    turned = {
        1: RGB[:, :16],
        2: RGB[:, 15::-1],
        3: RGB[::-1, 15::-1],
        4: RGB[::-1, :16],
        5: RGB[:, :16].transpose(1, 0, 2),
        6: RGB[:, :16].transpose(1, 0, 2)[::-1],
        7: RGB[::-1, 15::-1].transpose(1, 0, 2),
        8: RGB[:, :16].transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("PNG", "WEBP", "TIFF"):
        how = {"lossless": True} if kind == "WEBP" else {}
        raw = saved(Image.fromarray(np.ascontiguousarray(turned)), kind, exif=exif, **how)
        np.testing.assert_array_equal(decoded(raw, PLAIN).pixels, RGB[:, :16])


def test_the_background_is_the_stated_one():
    """Fails if transparency shows black, or white whatever was asked."""
    clear = png(np.concatenate([RGB, np.zeros_like(ALPHA)], 2))
    assert decoded(clear, TEAL).pixels[0, 0].tolist() == [0x10, 0x5A, 0x96]
    half = png(np.concatenate([RGB, np.full_like(ALPHA, 128)], 2))
    exact = over(RGB, np.full((24, 24, 1), 128), (0x10, 0x5A, 0x96))
    assert np.abs(decoded(half, TEAL).pixels - exact).max() <= 0.5 + 1e-9


def test_first_frames_are_taken_and_told():
    """Fails if a later frame is read, or frames are lost without a word."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for kind, how in (("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        raw = saved(frames[0], kind, save_all=True, append_images=frames[1:], **how)
        picture = decoded(raw, PLAIN)
        assert picture.pixels[4, 4].tolist() == [255, 0, 0]
        assert picture.remarks == (LATER,), kind
    assert decoded(saved(frames[0], "PNG"), PLAIN).remarks == ()


def test_what_was_done_to_odd_numbers_is_told():
    """Fails if stretched or nearly black numbers pass in silence."""
    assert decoded(saved(Image.fromarray(INTS), "TIFF"), PLAIN).remarks == (STRETCHED,)
    assert decoded(png((WIDE // 20).astype(np.uint16)), PLAIN).remarks == (DARK,)


def refused(raw, reading=PLAIN):
    with quiet(), pytest.raises(BadInput) as fault:
        decoded(raw, reading)
    line = str(fault.value)
    assert "\n" not in line
    assert len(line) < 200
    assert not re.search(r"\b0x", line)
    return line


GOOD = png(RGB)
JPEG = saved(Image.fromarray(colourful(64)), "JPEG")
BAD = {
    "empty": (b"", "is empty (0 bytes)"),
    "text": (b"hello, I am a picture", "is not a picture of a known format"),
    "web page": (b"<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
    "svg": (b"<?xml version='1.0'?>\n<svg xmlns='x'></svg>", "is an SVG drawing"),
    "pdf": (b"%PDF-1.7\n1 0 obj", "is a PDF document"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is a PostScript program"),
    "fits": (b"SIMPLE  =                    T" + b" " * 2850, "is a FITS table"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0", "is a HEIC picture"),
    "zip": (b"PK\x03\x04" + bytes(40), "is a zip archive"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS pointer"),
    "truncated png": (GOOD[:-400], "is truncated"),
    "truncated jpeg": (JPEG[: len(JPEG) // 2], "is truncated"),
    "png header only": (GOOD[:40], "damaged"),
    "wrong checksum": (GOOD[:60] + b"\xff\xfe" + GOOD[62:], "is damaged"),
    "no pixels inside": (png(RGB[:0], size=(24, 24)), "is truncated"),
    "zero wide": (png(RGB[:, :0]), "damaged"),
    "100 Mpx in the header": (png(RGB, size=(10_000, 10_000)), "is 100.0 Mpx, the cap 64"),
    "200 Mpx in the header": (png(RGB, size=(10_000, 20_000)), "more pixels than are ever decoded"),
    "4 Gpx in the header": (png(RGB, size=(65_535, 65_535)), "more pixels than are ever decoded"),
    "nan": (saved(Image.fromarray(FLOATS * np.nan), "TIFF"), "numbers that are not finite"),
    "infinity": (saved(Image.fromarray(np.full((4, 4), np.inf, np.float32)), "TIFF"), "not finite"),
    "text-chunk bomb": (
        png(RGB, extra=[(b"zTXt", b"a\0\0" + zlib.compress(bytes(70_000_000)))]),
        "is damaged (ValueError while decoding)",
    ),
    "noise after the mark": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "damaged"),
    "half a webp": (saved(Image.fromarray(RGB), "WEBP")[:60], "is damaged"),
}


@pytest.mark.parametrize("name", BAD)
def test_hostile_files_are_named_with_their_reason(name):
    """Fails if a decoder's own error, address or stack comes out, or a bomb is decoded first."""
    raw, reason = BAD[name]
    assert reason in refused(raw)


def test_the_cap_is_the_users():
    """Fails if the pixel cap is fixed, or off by one."""
    assert decoded(GOOD, Reading(pixel_cap=576)).pixels.shape == (24, 24, 3)
    assert "24x24 is 0.0 Mpx" in refused(GOOD, Reading(pixel_cap=575))


def test_a_broken_exif_record_does_not_lose_the_picture():
    """Fails if metadata nobody needs can refuse a sound picture."""
    for body in (
        b"",
        b"II*\0garbage",
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\xff\xff\xff\xff\xff",
    ):
        with quiet():
            found = decoded(png(RGB, extra=[(b"eXIf", body)]), PLAIN).pixels
        np.testing.assert_array_equal(found, RGB)


def test_random_damage_never_escapes_as_anything_else():
    """Fails if any of 600 mutated files raises what is not one line of ours."""
    rng = np.random.default_rng(5)
    seeds = [GOOD, JPEG, *(raw for raw, _ in list(GOLDEN.values())[5:12])]
    with quiet():
        for trial in range(600):
            raw = bytearray(seeds[trial % len(seeds)])
            for place in rng.integers(8, len(raw), rng.integers(1, 6)):
                raw[place] = rng.integers(256)
            try:
                assert decoded(bytes(raw), PLAIN).pixels.dtype == np.uint8
            except BadInput as fault:
                assert not re.search(r"\b0x", str(fault))


def test_chunks_are_written_as_pillow_reads_them():
    """Fails if the hand-made PNGs above are wrong themselves."""
    assert chunk(b"IEND", b"") == bytes.fromhex("0000000049454e44ae426082")
