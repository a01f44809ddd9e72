"""A folder of pictures: scanned once into the cache, read from there afterwards."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

import numpy as np

from unmist.base.faults import BadInput, CannotWrite
from unmist.data.captions import Words, words_of
from unmist.data.dataset import Rows, fingerprint
from unmist.data.decoding import decode_into, measured_size
from unmist.data.fit import enlarged
from unmist.data.index import (
    Bad,
    Index,
    cache_root,
    drift,
    saved,
    shelf,
    stored,
    words_digest,
    written,
)
from unmist.data.picture import quiet
from unmist.data.reading import Reading
from unmist.data.tree import NO_PICTURE, Tree, shown, walked

__all__ = ["folder_rows", "refuse_bad", "scan_folder"]


def folder_rows(
    folder: Path, reading: Reading, *, cache: str | Path | None, accept_drift: bool
) -> tuple[Rows, Index]:
    """The rows of a folder from its index, scanned first where there is none.

    BadInput where the folder drifted since any scan of it and `accept_drift` is off, or where it
    holds unusable pictures and the reading says stop.
    """
    home = shelf(cache_root(cache, folder), folder)
    place = home / reading.digest
    tree = walked(folder)
    words = words_of(tree)
    drifted = _drifted(home, place, tree, words)
    if drifted and not accept_drift:
        raise BadInput(
            f"the folder drifted since it was scanned: {drifted}",
            where=shown(str(folder)),
            mend="look at it and accept the drift (--accept drift), or put the files back",
        )
    known = None if drifted else _loaded(place, reading)
    rows, index = known or _scanned(tree, words, reading, place)
    refuse_bad(index, reading)
    return rows, index


def scan_folder(folder: Path, reading: Reading, cache: str | Path | None) -> tuple[Rows, Index]:
    """Decode every file anew, whatever the cache holds, and leave the index."""
    home = shelf(cache_root(cache, folder), folder)
    tree = walked(folder)
    return _scanned(tree, words_of(tree), reading, home / reading.digest)


def refuse_bad(index: Index, reading: Reading) -> None:
    """BadInput with the count and the first names and reasons, unless they are to be skipped."""
    unusable = index.unusable
    if unusable and reading.on_bad == "stop":
        count = len(index.rows) + len(index.bad)
        raise BadInput(
            f"{len(unusable)} of {count} pictures cannot be used: {_first(unusable)}",
            where=shown(index.folder),
            mend="mend or remove them, or leave them out (--set data.on_bad=skip)",
        )
    if not index.good:
        raise BadInput(
            "no picture that can be used",
            where=shown(index.folder),
            mend="give a folder of PNG, JPEG, WebP, GIF, BMP, TIFF, PPM or AVIF files",
        )


def _first(unusable: tuple[Bad, ...]) -> str:
    """The first three, each with its reason."""
    more = f", and {len(unusable) - 3} more" if len(unusable) > 3 else ""
    return ", ".join(str(bad) for bad in unusable[:3]) + more


def _drifted(home: Path, place: Path, tree: Tree, words: Words) -> str:
    """How the folder differs from the index for this reading, or else from any other of it."""
    try:
        others = sorted(path for path in home.iterdir() if not path.name.startswith("."))
    except OSError:
        return ""
    digest = words_digest(words, tree.classes()[1])
    for path in (place, *others):
        found = stored(path)
        if found:
            changed = drift(tree, digest, found[0])
            return str(changed) if changed else ""
    return ""


def _loaded(place: Path, reading: Reading) -> tuple[Rows, Index] | None:
    """From the cache; None where there is nothing, or a bit of it is no longer what was written."""
    found = stored(place)
    if found is None:
        return None
    index, pixels, group = found
    rows = _rows(index, pixels, group, reading)
    return (rows, index) if fingerprint(rows) == index.fingerprint else None


def _scanned(tree: Tree, words: Words, reading: Reading, place: Path) -> tuple[Rows, Index]:
    """Decode every file once; all other readings of a drifted folder are forgotten with it."""
    digest = words_digest(words, tree.classes()[1])
    _forget_stale(place, tree, digest)
    with quiet():
        size = reading.size or measured_size(tree.files)
        with saved(place) as beside:
            index, group = decode_into(beside, tree, replace(reading, size=size))
            index = _described(index, tree, words, digest)
            pixels = np.load(beside / "pixels.npy", mmap_mode="r", allow_pickle=False)
            marked = fingerprint(_rows(index, pixels, group, reading))
            index = replace(index, fingerprint=marked)
            written(index, beside)
    found = _loaded(place, reading)
    if found is None:
        raise CannotWrite("the index cannot be read back", where=shown(str(place)))
    return found


def _forget_stale(place: Path, tree: Tree, digest: str) -> None:
    for other in place.parent.glob("[0-9a-f]*"):
        found = stored(other)
        if found and other != place and drift(tree, digest, found[0]):
            rmtree(other, ignore_errors=True)


def _described(index: Index, tree: Tree, words: Words, digest: str) -> Index:
    """The index with classes, labels, captions and notes."""
    good = index.good
    others = {**index.others, NO_PICTURE: index.others.get(NO_PICTURE, 0) - len(words.files)}
    classes, owner = tree.classes()
    if words.labels:
        classes = tuple(sorted(set(words.labels.values()), key=_numbers_first))
        owner = {name: classes.index(label) for name, label in words.labels.items()}
    return replace(
        index,
        classes=classes,
        labels=tuple(owner.get(row.name, -1) for row in good) if classes else None,
        captions=tuple(words.captions.get(row.name, "") for row in good)
        if words.captions
        else None,
        notes=words.notes,
        others={kind: count for kind, count in others.items() if count > 0},
        words=digest,
        word_files=len(words.files),
        numbers={
            column: tuple(values.get(row.name) for row in good)
            for column, values in words.numbers.items()
        },
    )


def _numbers_first(label: str) -> tuple[bool, int, str]:
    number = int(label) if label.isascii() and label.isdigit() else 0
    return not label.isascii() or not label.isdigit(), number, label


def _rows(index: Index, pixels: np.ndarray, group: np.ndarray, reading: Reading) -> Rows:
    good = index.good
    return Rows(
        name=shown(Path(index.folder).name or index.folder),
        values=pixels,
        labels=None if index.labels is None else np.array(index.labels, np.int64),
        classes=index.classes,
        captions=index.captions,
        given={name: np.array(values, np.float64) for name, values in index.numbers.items()},
        sources=tuple(shown(row.name, 4096) for row in good),
        keys=tuple(row.key for row in good),
        group=group,
        notes=(*index.notes, *_told(index, reading)),
    )


def _told(index: Index, reading: Reading) -> tuple[str, ...]:
    """What was done to the pictures, a sentence each."""
    good, (_, height, width) = index.good, index.shape
    small = sum(enlarged((row.height, row.width), (height, width), reading.fit) for row in good)
    remarks = Counter(remark for row in good for remark in row.remarks)
    chosen = "" if reading.size else " (chosen from the data; size= sets another)"
    told = [f"read at {width}x{height}{chosen}, fit {reading.fit}"]
    done = "padded" if reading.fit == "pad" else "enlarged"
    told += [f"{small} of {len(good)} pictures are smaller than that and {done}"] * (small > 0)
    told += [
        f"{remark} ({count} of {len(good)} pictures)" for remark, count in sorted(remarks.items())
    ]
    if unusable := index.unusable:
        told.append(f"unusable pictures left out: {len(unusable)} ({_first(unusable)})")
    return tuple(told)
