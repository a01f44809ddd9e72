"""What is in a folder: pictures, their classes, and everything that only looks like one."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unmist.base.faults import BadInput

__all__ = ["NO_PICTURE", "Bad", "Found", "Tree", "shown", "walked"]

NO_PICTURE = "not a picture by its name"

# fmt: off
_PICTURES = frozenset({
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".gif", ".bmp", ".dib",
    ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif",
})
_REFUSED = frozenset({
    ".eps", ".ps", ".pdf", ".svg", ".svgz", ".fits", ".fit", ".heic", ".heif", ".jp2", ".j2k",
    ".psd", ".xcf", ".raw", ".cr2", ".nef", ".dng", ".exr", ".ico", ".tga", ".wmf", ".emf",
})
# fmt: on
_SPLITS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation", "dev"})


@dataclass(frozen=True)
class Found:
    """A file that says it is a picture. `name` is relative to the folder, `/` between parts."""

    name: str
    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Bad:
    """A file that cannot be used, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.name)}: {self.reason}"


@dataclass(frozen=True)
class Tree:
    """A folder as listed: pictures by name, bad entries, and what was passed over (kind: count)."""

    root: Path
    files: tuple[Found, ...]
    bad: tuple[Bad, ...]
    others: dict[str, int]

    def classes(self) -> tuple[tuple[str, ...], dict[str, int]]:
        """Class names from the sub-folders, and each picture's number by its name.

        The first folder below the root is the class; where all of those are called train, test and
        the like, it is the second. One folder or none makes no classes. BadInput where two differ
        in case only.
        """
        parts = {file.name: file.name.split("/")[:-1] for file in self.files}
        tops = {folders[0].lower() for folders in parts.values() if folders}
        depth = int(bool(tops) and tops <= _SPLITS)
        owner = {name: f[depth] for name, f in parts.items() if len(f) > depth}
        names = sorted(set(owner.values()))
        _refuse_twins(names, self.root)
        if len(names) < 2:
            return (), {}
        number = {name: i for i, name in enumerate(names)}
        return tuple(map(shown, names)), {file: number[name] for file, name in owner.items()}


def shown(name: str, limit: int = 100) -> str:
    """A file's name fit to print: control characters, bad bytes and great length made visible."""
    text = name.encode("utf-8", "backslashreplace").decode("utf-8")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= limit else f"{text[: limit - 13]}…{text[-12:]}"


def walked(root: Path) -> Tree:
    """List a folder, links followed, every real folder once; hidden entries are passed over.

    BadInput where the folder itself cannot be read.
    """
    files: list[Found] = []
    bad: list[Bad] = []
    others: Counter[str] = Counter()
    for name, path in _entries(root, bad, others):
        found = _judged(name, path)
        if isinstance(found, Found):
            files.append(found)
        elif isinstance(found, Bad):
            bad.append(found)
        else:
            others[found] += 1
    files.sort(key=lambda file: os.fsencode(file.name))
    bad.sort(key=lambda entry: os.fsencode(entry.name))
    return Tree(root, tuple(files), tuple(bad), dict(others))


def _entries(root: Path, bad: list[Bad], others: Counter[str]) -> Iterator[tuple[str, Path]]:
    """All (name, path) that are not folders; real folders first, then those behind links."""
    seen: set[tuple[int, int]] = set()
    real, linked = [("", root)], []
    while real or linked:
        prefix, folder = real.pop() if real else linked.pop()
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda e: os.fsencode(e.name), reverse=True)
        except OSError as error:
            if not prefix:
                raise BadInput(_why(error), where=shown(str(root))) from None
            bad.append(Bad(prefix.rstrip("/"), _why(error)))
            continue
        if (status.st_dev, status.st_ino) in seen:
            others["link to a folder already read"] += 1
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith("."):
                others["hidden"] += 1
            elif _is_folder(entry):
                (linked if entry.is_symlink() else real).append(
                    (f"{prefix}{entry.name}/", Path(entry.path))
                )
            else:
                yield prefix + entry.name, Path(entry.path)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _judged(name: str, path: Path) -> Found | Bad | str:
    ending = path.suffix.lower()
    if ending in _REFUSED:
        return Bad(name, f"{ending} is not read: save it as PNG or JPEG")
    if ending not in _PICTURES:
        return NO_PICTURE
    try:
        status = path.stat()
    except OSError as error:
        return Bad(name, _why(error))
    if not stat.S_ISREG(status.st_mode):
        return Bad(name, f"is {_kind(status.st_mode)}, not a file")
    return Found(name, path, status.st_size, status.st_mtime_ns)


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder"))
    return next((name for test, name in kinds if test(mode)), "a device")


def _why(error: OSError) -> str:
    """The reason in a word: links that lead nowhere or to themselves, missing rights, the rest."""
    if isinstance(error, FileNotFoundError):
        return "is not there (moved, or a link to nothing)"
    if isinstance(error, PermissionError):
        return "may not be read (permissions)"
    if isinstance(error, NotADirectoryError):
        return "is not a folder"
    return f"cannot be read ({error.strerror})"


def _refuse_twins(names: list[str], root: Path) -> None:
    folded: dict[str, str] = {}
    for name in names:
        twin = folded.setdefault(name.casefold(), name)
        if twin != name:
            raise BadInput(
                f"classes '{shown(twin)}' and '{shown(name)}' differ in case only",
                where=shown(str(root)),
                mend="merge or rename one of the folders",
            )
