"""What a scan leaves in the cache: a list of the files and their decoded pixels, ready to map."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np

from unmist.base import files
from unmist.base.faults import BadInput, CannotWrite
from unmist.data.captions import Words
from unmist.data.tree import Bad, Tree, shown

__all__ = [
    "FORMAT",
    "Drift",
    "Index",
    "Row",
    "cache_home",
    "cache_root",
    "drift",
    "saved",
    "shelf",
    "stored",
    "words_digest",
    "written",
]

FORMAT = 2
DAY = 86_400  # seconds


@dataclass(frozen=True)
class Row:
    """One file as scanned: `sha` of its bytes, `key` of its decoded pixels; `reason` if bad."""

    name: str
    size: int
    mtime_ns: int
    sha: str = ""
    key: str = ""
    height: int = 0
    width: int = 0
    mode: str = ""
    format: str = ""
    remarks: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Index:
    """A scanned folder. Row i of the pixel file is the i-th row without a reason.

    word_files: from so many files came captions or labels; others: what was passed over; numbers:
    columns of numbers, a value a row.
    """

    format: int
    folder: str
    shape: tuple[int, ...]
    rows: tuple[Row, ...]
    bad: tuple[Bad, ...]
    others: dict[str, int]
    classes: tuple[str, ...]
    labels: tuple[int, ...] | None
    captions: tuple[str, ...] | None
    notes: tuple[str, ...]
    words: str
    fingerprint: str = ""
    word_files: int = 0
    numbers: dict[str, tuple[float | None, ...]] = field(default_factory=dict)

    @property
    def good(self) -> tuple[Row, ...]:
        """The rows that were decoded."""
        return tuple(row for row in self.rows if not row.reason)

    @property
    def unusable(self) -> tuple[Bad, ...]:
        """Everything that could not be read, by name."""
        failed = [Bad(row.name, row.reason) for row in self.rows if row.reason]
        return tuple(sorted((*failed, *self.bad), key=lambda bad: os.fsencode(bad.name)))


@dataclass(frozen=True)
class Drift:
    """How a folder differs from its index, in files; `words` where captions or classes do."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    words: bool

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.words)

    def __str__(self) -> str:
        kinds = (("added", self.added), ("removed", self.removed), ("changed", self.changed))
        parts = [f"{len(names)} {kind} ({shown(names[0], 40)}…)" for kind, names in kinds if names]
        return ", ".join([*parts, *(["captions or classes changed"] if self.words else [])])


def cache_home(cache: str | os.PathLike | None) -> Path:
    """The argument, else UNMIST_CACHE, else unmist in XDG_CACHE_HOME or ~/.cache; there, data."""
    chosen, shared = cache or os.environ.get("UNMIST_CACHE"), os.environ.get("XDG_CACHE_HOME")
    try:
        root = Path(chosen) if chosen else Path(shared or Path.home() / ".cache") / "unmist"
    except RuntimeError:  # no home directory
        raise CannotWrite("no home directory for the cache", mend="set UNMIST_CACHE") from None
    return root.absolute() / "data"


def cache_root(cache: str | os.PathLike | None, source: Path) -> Path:
    """The cache's home; BadInput where that lies inside the user's own folder."""
    home = cache_home(cache)
    if home.resolve().is_relative_to(source.resolve()):
        raise BadInput(
            "the cache lies inside the data folder",
            where=shown(str(home.parent)),
            mend="set UNMIST_CACHE (or cache=) to a place outside it",
        )
    return home


def shelf(root: Path, folder: Path) -> Path:
    """Where all indexes of one folder are: one below it for each way of reading."""
    return root / sha256(os.fsencode(folder.resolve())).hexdigest()[:24]


def words_digest(words: Words, classes: dict[str, int]) -> str:
    """Changes where any caption, label or class does."""
    parts = (words.captions, words.labels, classes, *words.numbers.values())
    told = [sorted(words.numbers), *(sorted(part.items()) for part in parts)]
    return sha256(json.dumps(told).encode()).hexdigest()


def stored(place: Path) -> tuple[Index, np.ndarray, np.ndarray] | None:
    """(index, pixels mapped read-only, groups of twins), or None where nothing whole is there."""
    try:
        raw = json.loads((place / "index.json").read_text("ascii"))
        index = msgspec.convert(raw, Index)
        pixels = np.load(place / "pixels.npy", mmap_mode="r", allow_pickle=False)
        group = np.load(place / "groups.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError, msgspec.ValidationError, RecursionError):
        return None
    count = len(index.good)
    fits = pixels.shape == (count, *index.shape) and group.shape == (count,)
    same = pixels.dtype == np.uint8 and group.dtype == np.int64
    return (index, pixels, group) if index.format == FORMAT and fits and same else None


@contextmanager
def saved(place: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `place` when the block ends well.

    Each file is on the disk before the folder gets its name, so a reader sees all of it or none.
    CannotWrite where the disk refuses; then the old one stands.
    """
    with files.told(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    files.swept(place.parent, older=DAY)  # younger ones may be another's at work
    with files.whole_folder(place) as beside:
        yield beside
        for file in beside.iterdir():
            files.sync(file)
        files.remove(place)


def written(index: Index, beside: Path) -> None:
    """index.json: ASCII, so names that are no UTF-8 survive as they are."""
    (beside / "index.json").write_text(json.dumps(msgspec.to_builtins(index)), "ascii")


def drift(tree: Tree, words: str, index: Index) -> Drift:
    """Compare by name, size and time; files of the same size but another time by their SHA-256."""
    now = {file.name: file for file in tree.files}
    then = {row.name: row for row in index.rows}
    both = now.keys() & then.keys()
    changed = [name for name in sorted(both) if _differs(now[name].path, then[name])]
    refused = {bad.name for bad in tree.bad} ^ {bad.name for bad in index.bad}
    was = {bad.name for bad in index.bad}
    return Drift(
        tuple(sorted((now.keys() - then.keys()) | (refused - was))),
        tuple(sorted((then.keys() - now.keys()) | (refused & was))),
        tuple(changed),
        words != index.words,
    )


def _differs(path: Path, row: Row) -> bool:
    try:
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) == (row.size, row.mtime_ns):
            return False
        return status.st_size != row.size or sha256(path.read_bytes()).hexdigest() != row.sha
    except OSError:
        return True
