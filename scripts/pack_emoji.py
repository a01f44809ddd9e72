"""Pack the built-in set `emoji`: Google's Noto emoji at 32x32, with names, keywords, categories.

    npm install --ignore-scripts emoji-datasource-google@16.0.0 emojilib@4.0.3
    python scripts/pack_emoji.py node_modules src/unmist/data/sets

Writes `emoji.webp` (a lossless sheet, 41 pictures a row, in the order of the list) and `emoji.json`
(one object a picture: code, name, keywords, category, subcategory). Flags and skin-tone components
are left out; the drawings are composited on white at 64x64 and then halved by 2x2 means, so no
colour from under transparent pixels bleeds in. The same input gives the same pixels and the same
JSON; the bytes of the sheet also depend on the version of libwebp.
"""

import json
import re
import sys
from pathlib import Path

from PIL import Image

ACROSS, SIDE = 41, 32
LEFT_OUT = ("Flags", "Component")


def drawn(art: Path, image: str) -> Image.Image:
    """One emoji on white, 32x32."""
    with Image.open(art / image) as file:
        picture = file.convert("RGBA")
    assert picture.size == (64, 64), (image, picture.size)
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB").reduce(64 // SIDE)


def described(entry: dict, words: dict[str, list[str]]) -> dict:
    """Name and keywords in plain lower-case words.

    The name is the keyword list's first (the common one, 'red heart') where there is a list: the
    Unicode name of the same picture is HEAVY BLACK HEART.
    """
    glyph = "".join(chr(int(code, 16)) for code in entry["unified"].split("-"))
    bare = glyph.replace("\ufe0f", "")
    listed = words.get(glyph) or words.get(bare) or [entry["name"]]
    plain = [word.replace("_", " ").strip().lower() for word in listed]
    plain = [word for word in dict.fromkeys(plain) if re.search(r"\w\w|\d", word)]
    return {
        "code": Path(entry["image"]).stem,
        "name": plain[0],
        "keywords": plain[1:],
        "category": entry["category"],
        "subcategory": entry["subcategory"],
    }


def main(packages: str, target: str) -> None:
    """Read the two installed packages, write the sheet and the list."""
    source = Path(packages) / "emoji-datasource-google"
    entries = json.loads((source / "emoji.json").read_text("utf-8"))
    words = json.loads((Path(packages) / "emojilib/dist/emoji-en-US.json").read_text("utf-8"))
    kept = [e for e in entries if e["category"] not in LEFT_OUT and e["has_img_google"]]
    kept.sort(key=lambda entry: entry["sort_order"])
    sheet = Image.new("RGB", (ACROSS * SIDE, -(-len(kept) // ACROSS) * SIDE), "white")
    for place, entry in enumerate(kept):
        corner = (place % ACROSS * SIDE, place // ACROSS * SIDE)
        sheet.paste(drawn(source / "img/google/64", entry["image"]), corner)
    sheet.save(Path(target) / "emoji.webp", lossless=True, quality=100, method=6)
    rows = (json.dumps(described(e, words), ensure_ascii=False) for e in kept)
    (Path(target) / "emoji.json").write_text("[\n" + ",\n".join(rows) + "\n]\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
