"""Pack the built-in set `solids`: furniture and household things as volumes of 32x32x32.

    apt-get install sweethome3d-furniture
    python scripts/pack_solids.py FURNITURE src/unmist/data/sets

FURNITURE is the package's folder of `.sh3f` files, zip archives with a catalogue and a mesh for
each piece. Every mesh is turned as its catalogue says and voxelised by the one rule of
`unmist.data.voxels.voxelised`; of pieces that share 98 % of their matter the first is kept. Writes
`solids.npz` (`values` uint8 (n, 32, 32, 32), 16 levels), `solids.json` (one object a piece, in
order) and `solids.LICENSE.txt` with every name, author and licence. The same input gives the same
bytes. Needs unmist with its extra `volumes`; takes a few minutes.
"""

import json
import re
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pack_digits import write

from unmist.data.mesh import Mesh, parsed_mesh
from unmist.data.voxels import voxelised

SIDE, LEVELS, ALIKE = 32, 16, 0.98
LICENCES = {  # by the words of a catalogue: short, where its text is
    "Public domain": ("CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "3.0 United States": ("CC-BY 3.0 US", "https://creativecommons.org/licenses/by/3.0/us/"),
    "3.0": ("CC-BY 3.0", "https://creativecommons.org/licenses/by/3.0/"),
}
HEAD = """\
The solids in solids.npz are volumes made by scripts/pack_solids.py from the three-dimensional
models that the Debian package sweethome3d-furniture contains (upstream: Sweet Home 3D, additional
3D models, https://www.sweethome3d.com/importModels.jsp; most were cleaned and converted to OBJ by
Emmanuel Puybaret / eTeks). They were changed: each model was centred, scaled to one size and turned
into 32x32x32 numbers, and its materials were left out. No author endorses this use.

"Blend Swap" models: https://www.blendswap.com. Kator Legaz models: copyright 2003-2008 Andrew Kator
and Jennifer Legaz. Reallusion models: copyright 2008-2016 Reallusion. Scopia models: copyright
Scopia Visual Interfaces Systems and Emmanuel Puybaret / eTeks.
"""


def catalogue(packed: zipfile.ZipFile) -> Iterator[dict[str, str]]:
    """The pieces of an archive in its order, each with the archive's licence."""
    text = packed.read("PluginFurnitureCatalog.properties").decode("latin-1")
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), text)
    pieces, whole = defaultdict(dict), {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        name, _, number = key.partition("#")
        (pieces[int(number)] if number.isdecimal() else whole)[name.strip()] = value.strip()
    for piece in pieces.values():
        yield {**piece, "license": whole["license"]}


def volume(packed: zipfile.ZipFile, piece: dict[str, str]) -> np.ndarray:
    """uint8 (32, 32, 32) of a piece, upright."""
    path = piece["model"].lstrip("/")
    mesh = parsed_mesh(packed.read(path), Path(path).suffix, where=path)
    turn = np.array(piece.get("modelRotation", "1 0 0 0 1 0 0 0 1").split(), np.float64)
    found = voxelised(Mesh(mesh.points @ turn.reshape(3, 3).T, mesh.triangles), SIDE)
    step = 255 // (LEVELS - 1)
    return (found.astype(np.uint16) + step // 2) // step * step


def licence(words: str) -> tuple[str, str]:
    """The short name of a licence and the address of its text."""
    return next(found for part, found in LICENCES.items() if part in words)


def told(piece: dict[str, str]) -> dict[str, object]:
    """What is kept of a piece beside its volume."""
    tags = [tag.strip().lower() for tag in piece["tags"].split(",")]
    name = piece["name"].lower()
    return {
        "id": piece["id"],
        "name": name,
        "category": piece["category"],
        "tags": [tag for tag in tags if tag and tag not in ("blend swap", name)],
        "creator": piece["creator"],
        "licence": licence(piece["license"])[0],
    }


def distinct(values: np.ndarray) -> list[int]:
    """Rows that share less than ALIKE of their matter (intersection over union) with any before."""
    full = (values > 127).reshape(len(values), -1).astype(np.float32)
    shared, own = full @ full.T, full.sum(1)
    alike = shared / (own[:, None] + own - shared) >= ALIKE
    kept: list[int] = []
    for row in range(len(values)):
        if not alike[row, kept].any():
            kept.append(row)
    return kept


def attributions(entries: list[dict]) -> str:
    """Every piece by licence and author."""
    lines = [HEAD]
    for short, address in LICENCES.values():
        lines.append(f"\n{short}, {address}\n")
        authors = defaultdict(list)
        for entry in entries:
            if entry["licence"] == short:
                authors[entry["creator"]].append(entry["name"])
        lines += [f"  {author}: {', '.join(names)}" for author, names in sorted(authors.items())]
    return "\n".join(lines) + "\n"


def main(furniture: str, target: str) -> None:
    """Read the archives, write the set."""
    values, entries = [], []
    for path in sorted(Path(furniture).glob("*.sh3f")):
        with zipfile.ZipFile(path) as packed:
            for piece in catalogue(packed):
                values.append(volume(packed, piece).astype(np.uint8))
                entries.append(told(piece))
    kept = distinct(np.stack(values))
    entries = [entries[row] for row in kept]
    to = Path(target)
    write(to / "solids.npz", values=np.stack([values[row] for row in kept]))
    rows = (json.dumps(entry, ensure_ascii=False) for entry in entries)
    (to / "solids.json").write_text("[\n" + ",\n".join(rows) + "\n]\n", "utf-8")
    (to / "solids.LICENSE.txt").write_text(attributions(entries), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
