"""The folder of what is published: pictures, where each comes from, and the ledger of it all.

What belongs together appears in one order, under a lock: a hidden folder with all of it and the
ledger's next line (one rename); the line; the head; then each file, the picture last. So a picture
that can be seen was checked, has its paper and stands in the ledger, at every instant. Whoever
opens the folder next finishes what a kill left between the first step and the last.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from PIL import Image

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.guard import ledger
from unmist.guard.detector import pixel_digest
from unmist.guard.ledger import Head, Ledger, read_ledger
from unmist.guard.verdict import Passed, Refused
from unmist.run.lock import hold
from unmist.run.picture import as_pixels

__all__ = [
    "Aside",
    "Known",
    "Shelf",
    "free_name",
    "known",
    "opened",
    "published_name",
    "shelved",
    "withhold",
]

NEXT, LINE = ".next", "line"
PUBLISHED, REFUSED = "published", "refused"
MOST = 1 << 28
Table = Mapping[str, object]


@dataclass(frozen=True)
class Shelf:
    """An opened folder: its ledger's head, and the key of the ledger, empty where it has none."""

    folder: Path
    head: Head
    key: bytes


@dataclass(frozen=True)
class Known:
    """What the ledger tells of pictures.

    files: names of published ones, by every digest that names them; refused: policy and reasons of
    others when they were refused last, by the digest of the file.
    """

    files: Mapping[str, str]
    refused: Mapping[str, tuple[object, object]]

    def __call__(self, *digests: str) -> str:
        """The published file of any of these digests, "" where there is none."""
        return next((self.files[digest] for digest in digests if digest in self.files), "")


@dataclass(frozen=True)
class Aside:
    """Where refused pictures are kept, and what is known already."""

    folder: Path
    known: Known


@contextmanager
def opened(folder: Path, key: bytes = b"") -> Iterator[tuple[Shelf, Known]]:
    """Hold the folder alone, finish what was begun, and doubt the ledger.

    Raises Busy, CannotWrite, and BadInput where the ledger was altered or needs another key.
    """
    with hold(folder):
        _finish(folder, key)
        found = _sound(folder, key)
        yield Shelf(folder, found.head, key), known(found)


def known(found: Ledger) -> Known:
    """By every digest of a published picture: of its file and pixels, and of its source's."""
    table: dict[str, str] = {}
    for line in ledger.entries(found.lines, PUBLISHED):
        for name in ("sha256", "pixels", "source", "source_pixels"):
            table[str(line.what.get(name))] = str(line.what.get("file"))
    refused = {
        str(line.what.get("sha256")): (line.what.get("policy"), line.what.get("reasons"))
        for line in ledger.entries(found.lines, REFUSED)
    }
    return Known(table, refused)


def _sound(folder: Path, key: bytes) -> Ledger:
    found = read_ledger(folder, key)
    if found.head.keyed and not key:
        mend = "give the keys it was written with by --keys"
        raise BadInput("its ledger is keyed", where=folder, mend=mend)
    if not found.sound:
        what = f"its ledger was altered ({found.trouble[0]})"
        mend = f"see `unmist verify --ledger {folder.name}`; nothing is added to it"
        raise BadInput(what, where=folder, mend=mend)
    return found


def shelved(
    shelf: Shelf, verdict: Passed, name: str, picture: bytes, paper: Table, entry: Table
) -> Shelf:
    """Publish a PNG's bytes as `name`, with `paper` as `name.json` and `entry` in the ledger.

    The pixels are decoded once more and must be those of the verdict. Raises BadInput, CannotWrite.
    """
    with Image.open(BytesIO(picture), formats=("PNG",)) as image:
        if pixel_digest(as_pixels(image)) != verdict.picture:
            raise BadInput("the picture is not the one that was judged", where=name)
    text = (files.json_text(paper) + "\n").encode()
    what = {
        "act": PUBLISHED,
        "file": name,
        "sha256": files.digest(picture),
        "pixels": verdict.picture,
        "paper": files.digest(text),
        "scores": {answer.detector: answer.score for answer in verdict.answers},
        **entry,
    }
    return _commit(shelf, what, {f"{name}.json": text, name: picture})


def withhold(
    shelf: Shelf, refused: Refused, aside: Aside, picture: tuple[str, bytes], entry: Table
) -> tuple[Shelf, Path]:
    """Keep a refused picture (its name and bytes) aside with its reasons, and note it.

    One that was refused before for the same reasons, by the same policy, is not noted again.
    """
    name, content = picture
    digest, quarantine, known = files.digest(content), aside.folder, aside.known
    with files.told(quarantine):
        quarantine.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.swept(quarantine, older=60.0)  # another folder may be keeping pictures here right now
    place = quarantine / f"{digest[:16]}-{_plain(name)}"
    reasons = list(refused.reasons)
    what = {"act": REFUSED, "name": name, "sha256": digest, "reasons": reasons, **entry}
    files.write_json(place.with_name(f"{place.name}.json"), what)
    if not place.exists():
        files.write_bytes(place, content)
    same = known.refused.get(digest) == (entry.get("policy"), reasons)
    return shelf if same else _commit(shelf, what, {}), place


def _commit(shelf: Shelf, what: Table, content: Mapping[str, bytes]) -> Shelf:
    """All of it in the ledger and in the folder, or nothing; a kill in between is mended later."""
    text, head = ledger.chained(what, shelf.head, shelf.key)
    with files.whole_folder(shelf.folder / NEXT) as beside:
        for name, part in content.items():
            files.create(beside / name, part)
        files.create(beside / LINE, text.encode())
    _settle(shelf.folder, text, head)
    return replace(shelf, head=head)


def _settle(folder: Path, text: str, head: Head) -> None:
    """From the hidden folder into the light; each step may have been done before a kill."""
    if not _stands(folder, text):
        files.append_line(folder / ledger.LEDGER, text)
    ledger.write_head(folder, head)
    with files.told(folder):
        names = set(os.listdir(folder / NEXT)) - {LINE}
        for name in sorted(names, key=lambda name: (not name.endswith(".json"), name)):
            files.move(folder / NEXT / name, folder / name)
        files.remove(folder / NEXT)


def _stands(folder: Path, text: str) -> bool:
    """Whether this is the ledger's last whole line."""
    place = folder / ledger.LEDGER
    if not place.exists():
        return False
    with place.open("rb") as file:
        file.seek(max(0, place.stat().st_size - len(text) - 1))
        return file.read() == text.encode() + b"\n"


def _finish(folder: Path, key: bytes) -> None:
    """Complete the act that a kill left in the hidden folder, if it follows from the ledger."""
    files.swept(folder)
    if not (folder / NEXT).is_dir():
        return
    if not (folder / NEXT / LINE).is_file():  # killed while it was cleared away, after all else
        files.remove(folder / NEXT)
        return
    text = files.read_bytes(folder / NEXT / LINE, most=MOST).decode(errors="replace")
    found = read_ledger(folder, key)
    head = ledger.following(found, text, key)
    if head is None:
        what = "what was begun last does not follow from its ledger"
        mend = f"see `unmist verify --ledger {folder.name}`; nothing is added to it"
        raise BadInput(what, where=folder, mend=mend)
    _settle(folder, text, head)


def published_name(folder: Path, source: str, digest: str) -> str:
    """A plain name for a source's picture that nothing in the folder bears."""
    stem = _plain(Path(source).stem)
    return free_name(folder, (f"{stem}.png", f"{stem}-{digest[:8]}.png", f"{digest}.png"))


def free_name(folder: Path, names: tuple[str, ...]) -> str:
    """The first of these names that is free. Raises BadInput where none is."""
    for name in names:
        if not (folder / name).exists() and not (folder / f"{name}.json").exists():
            return name
    raise BadInput(f"a file called {names[0]} is there already", where=folder)


def _plain(name: str) -> str:
    """Letters, digits, dots and dashes, no dot or dash first: safe in any folder and page."""
    return re.sub(r"[^\w.-]+", "_", name[-80:]).lstrip(".-") or "picture"
