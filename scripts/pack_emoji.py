"""Pack the built-in set `emoji`: Google's Noto emoji at 32x32, with names, keywords, categories.

    npm install --ignore-scripts emoji-datasource-google@16.0.0 emojilib@4.0.3
    python scripts/pack_emoji.py node_modules src/unmist/data/sets

Writes `emoji.webp` (a lossless sheet, 41 pictures a row, in the order of the list) and `emoji.json`
(one object a picture: code, name, colours, keywords, category, subcategory). Flags and skin-tone
components are left out; the drawings are composited on white at 64x64 and then halved by 2x2 means,
so no colour from under transparent pixels bleeds in. The same input gives the same pixels and the
same JSON; the bytes of the sheet also depend on the version of libwebp.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ACROSS, SIDE = 41, 32
LEFT_OUT = ("Flags", "Component")
# where each colour's hue ends, in degrees; red goes on beyond the last
HUES = ((12, "red"), (40, "orange"), (68, "yellow"), (165, "green"), (255, "blue"))
HUES = (*HUES, (292, "purple"), (342, "pink"), (361, "red"))
PLAIN = {*dict(HUES).values(), "pink", "brown", "black", "grey", "white"}
SAID, THERE = 0.2, 0.05  # shares of a drawing: said to have a colour, and to have it at all


def drawn(art: Path, image: str) -> Image.Image:
    """One emoji on white, 32x32."""
    with Image.open(art / image) as file:
        picture = file.convert("RGBA")
    assert picture.size == (64, 64), (image, picture.size)
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB").reduce(64 // SIDE)


def shares(art: Path, image: str) -> dict[str, float]:
    """Colour -> its share of what is not transparent, the largest first."""
    with Image.open(art / image) as file:
        pixels = np.asarray(file.convert("RGBA"))
    names = named(pixels[pixels[..., 3] > 127][:, :3].astype(np.float64) / 255)
    found, counts = np.unique(names, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {str(found[i]): counts[i] / counts.sum() for i in order}


def named(rgb: np.ndarray) -> np.ndarray:
    """The colour word of each of rgb (n, 3), 0 to 1, by hue, saturation and value."""
    value, spread = rgb.max(1), np.maximum(np.ptp(rgb, axis=1), 1e-9)
    saturation = spread / np.maximum(value, 1e-9)
    red, green, blue = rgb.T
    sixth = np.where(value == green, (blue - red) / spread + 2, (red - green) / spread + 4)
    sixth = np.where(value == red, (green - blue) / spread % 6, sixth)
    words = np.array([word for _, word in HUES])
    words = words[np.searchsorted([end for end, _ in HUES], 60 * sixth, side="right")]
    for word, where in (
        ("brown", (words == "orange") & (value < 0.72)),
        ("pink", (words == "red") & (saturation < 0.5) & (value > 0.75)),
        ("purple", (words == "pink") & (value < 0.62)),
        ("grey", saturation < 0.2),
        ("white", (saturation < 0.14) & (value > 0.8)),
        ("black", (value < 0.28) | ((saturation < 0.3) & (value < 0.4))),
    ):
        words = np.where(where, word, words)
    return words


def described(entry: dict, words: dict[str, list[str]], seen: dict[str, float]) -> dict:
    """Name, colours and keywords in plain lower-case words.

    The name is the keyword list's first (the common one, 'red heart') where there is a list: the
    Unicode name of the same picture is HEAVY BLACK HEART. Colours are the drawing's own two
    largest, of a fifth or more each. A keyword that is a colour of less than a twentieth of the
    drawing is left out: the lists keep the 'black' of Unicode names that mean outlines, not ink.
    """
    glyph = "".join(chr(int(code, 16)) for code in entry["unified"].split("-"))
    bare = glyph.replace("\ufe0f", "")
    listed = words.get(glyph) or words.get(bare) or [entry["name"]]
    plain = [re.sub(r"[_\s]+", " ", word).strip().lower() for word in listed]
    plain = [word for word in dict.fromkeys(plain) if re.search(r"\w\w|\d", word)]
    return {
        "code": Path(entry["image"]).stem,
        "name": plain[0],
        "colours": [word for word, share in seen.items() if share >= SAID][:2],
        "keywords": [w for w in plain[1:] if not (PLAIN & {*w.split()}) or fits(w, seen)],
        "category": entry["category"],
        "subcategory": entry["subcategory"],
    }


def fits(keyword: str, seen: dict[str, float]) -> bool:
    """Whether the drawing has every colour that a keyword names."""
    return all(seen.get(word, 0) >= THERE for word in PLAIN & {*keyword.split()})


def main(packages: str, target: str) -> None:
    """Read the two installed packages, write the sheet and the list."""
    source = Path(packages) / "emoji-datasource-google"
    entries = json.loads((source / "emoji.json").read_text("utf-8"))
    words = json.loads((Path(packages) / "emojilib/dist/emoji-en-US.json").read_text("utf-8"))
    kept = [e for e in entries if e["category"] not in LEFT_OUT and e["has_img_google"]]
    kept.sort(key=lambda entry: entry["sort_order"])
    art = source / "img/google/64"
    sheet = Image.new("RGB", (ACROSS * SIDE, -(-len(kept) // ACROSS) * SIDE), "white")
    for place, entry in enumerate(kept):
        corner = (place % ACROSS * SIDE, place // ACROSS * SIDE)
        sheet.paste(drawn(art, entry["image"]), corner)
    sheet.save(Path(target) / "emoji.webp", lossless=True, quality=100, method=6)
    listed = [described(entry, words, shares(art, entry["image"])) for entry in kept]
    rows = (json.dumps(entry, ensure_ascii=False) for entry in listed)
    (Path(target) / "emoji.json").write_text("[\n" + ",\n".join(rows) + "\n]\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
