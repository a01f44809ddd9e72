"""Pack Twemoji's drawings of the built-in emoji, for the set `emoji_pairs`.

    npm install --ignore-scripts emoji-datasource-twitter@16.0.0
    python scripts/pack_emoji_pairs.py node_modules src/unmist/data/sets

Reads `emoji.json` in the target (made by pack_emoji.py) and writes beside it `twemoji.webp` (a
lossless sheet of 32x32, 41 a row) and `twemoji.json` (one object a picture, in order: code, and
base: the codes with men, women and persons alike, so that one base's pictures stay together).
Emoji that Twemoji lacks are left out. The drawings are composited on white and halved as there.
"""

import json
import re
import sys
from pathlib import Path

from pack_emoji import ACROSS, SIDE, drawn
from PIL import Image

PEOPLE = r"1f468|1f469|1f9d1"  # man, woman, person
YOUNG = r"1f466|1f467|1f9d2"  # boy, girl, child
SIGNS = r"-200d-(2640|2642)-fe0f"  # the female and the male sign behind a person


def base(code: str) -> str:
    """What an emoji is of, whoever does it."""
    return re.sub(YOUNG, "child", re.sub(PEOPLE, "person", re.sub(SIGNS, "", code)))


def main(packages: str, target: str) -> None:
    """Read the installed package and the list of `emoji`, write the sheet and its list."""
    source, to = Path(packages) / "emoji-datasource-twitter", Path(target)
    entries = json.loads((source / "emoji.json").read_text("utf-8"))
    there = {Path(e["image"]).stem for e in entries if e["has_img_twitter"]}
    codes = [e["code"] for e in json.loads((to / "emoji.json").read_text("utf-8"))]
    codes = [code for code in codes if code in there]
    sheet = Image.new("RGB", (ACROSS * SIDE, -(-len(codes) // ACROSS) * SIDE), "white")
    for place, code in enumerate(codes):
        corner = (place % ACROSS * SIDE, place // ACROSS * SIDE)
        sheet.paste(drawn(source / "img/twitter/64", f"{code}.png"), corner)
    sheet.save(to / "twemoji.webp", lossless=True, quality=100, method=6)
    rows = (json.dumps({"code": code, "base": base(code)}) for code in codes)
    (to / "twemoji.json").write_text("[\n" + ",\n".join(rows) + "\n]\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
