"""Words beside the pictures: metadata.jsonl, metadata.csv, or a .txt of the same name."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite, nan
from pathlib import Path

from unmist.base.faults import BadInput
from unmist.data.tree import Tree, shown

__all__ = ["Words", "words_of"]

_TEXT = ("text", "caption", "prompt")
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,31}")
_LIMIT = 64 * 1024  # characters of one caption; more is not a caption
_NAMES = ("metadata.jsonl", "metadata.csv")


@dataclass(frozen=True)
class Words:
    """Captions and labels by the picture's name, from `files`; what was odd, for the report.

    numbers: by column and picture's name, of columns that hold nothing but numbers.
    """

    captions: dict[str, str]
    labels: dict[str, str]
    files: frozenset[Path]
    notes: tuple[str, ...]
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)


def words_of(tree: Tree) -> Words:
    """Captions and labels of a folder, as in Hugging Face's image folders.

    metadata.jsonl / metadata.csv may lie in the folder or in any below it; `file_name` counts from
    there, `text` (or caption, prompt) is the caption, `label` the class, a column of numbers is
    kept by its name. A row for a picture that is not there is refused. A .txt beside a picture is
    its caption where no row gives one.
    """
    beside, tables = _beside(tree), _tables(tree)
    texts = {path: _clean(_read(path)) for path in beside.values()}
    captions = {name: texts[path] for name, path in beside.items() if texts[path]}
    labels: dict[str, str] = {}
    others: dict[str, dict[str, object]] = {}
    known = {file.name for file in tree.files} | {bad.name for bad in tree.bad}
    for table in tables:
        prefix = table.parent.relative_to(tree.root).as_posix()
        prefix = "" if prefix == "." else prefix + "/"
        for number, row in _rows(table):
            name = _named(row, table, number, prefix)
            if name not in known:
                raise BadInput(
                    f"names '{shown(name)}', which is not there",
                    where=f"{shown(str(table))}:{number}",
                    mend="correct the row or bring the file",
                )
            _put(captions, name, next((row[key] for key in _TEXT if key in row), None))
            _put(labels, name, row.get("label"))
            for column in row.keys() - {"file_name", "label", *_TEXT}:
                others.setdefault(str(column), {})[name] = row[column]
    notes = _notes(tree, captions, labels)
    return Words(captions, labels, frozenset((*texts, *tables)), notes, _numbers(others))


def _numbers(columns: dict[str, dict[str, object]]) -> dict[str, dict[str, float]]:
    """The columns that hold finite numbers only, where they hold anything; by small letters."""
    found = {}
    for column, values in sorted(columns.items()):
        told = {name: value for name, value in values.items() if value not in (None, "")}
        numbers = {name: _number(value) for name, value in told.items()}
        if numbers and all(map(isfinite, numbers.values())) and _COLUMN.fullmatch(column.lower()):
            found[column.lower()] = numbers
    return found


def _number(value: object) -> float:
    """NaN for what is none; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return nan


def _put(into: dict[str, str], name: str, value: object) -> None:
    if isinstance(value, list):  # several captions of one picture: the first
        value = value[0] if value else None
    if value is not None and str(value).strip():
        into[name] = _clean(str(value))


def _clean(text: str) -> str:
    """One line of valid text."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def _beside(tree: Tree) -> dict[str, Path]:
    """The .txt of each picture that has one."""
    paths = {file.name: file.path.with_suffix(".txt") for file in tree.files}
    return {name: path for name, path in paths.items() if path.is_file()}


def _tables(tree: Tree) -> list[Path]:
    """The metadata files of every folder that holds a picture, or lies above one."""
    folders = {tree.root}
    for file in tree.files:
        parts = file.name.split("/")[:-1]
        folders |= {tree.root.joinpath(*parts[: k + 1]) for k in range(len(parts))}
    tables = [folder / name for folder in sorted(folders) for name in _NAMES]
    return [table for table in tables if table.is_file()]


def _named(row: dict, table: Path, number: int, prefix: str) -> str:
    name = row.get("file_name")
    if not isinstance(name, str) or not name:
        raise BadInput(
            "a row without file_name",
            where=f"{shown(str(table))}:{number}",
            mend="give each row the picture's file_name, and text or label",
        )
    return prefix + Path(name).as_posix()


def _rows(table: Path) -> Iterator[tuple[int, dict]]:
    """(line number, row) of a metadata file."""
    text = _read(table, limit=1 << 30)
    if table.suffix == ".csv":
        reader = csv.DictReader(text.splitlines(keepends=True))
        try:
            yield from ((reader.line_num, row) for row in reader)
        except csv.Error as error:
            raise BadInput(f"not CSV: {error}", where=f"{table}:{reader.line_num}") from None
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, _parsed(line, table, number)


def _parsed(line: str, table: Path, number: int) -> dict:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise BadInput(
            "not a JSON object", where=f"{shown(str(table))}:{number}", mend="one object a line"
        )
    return row


def _read(path: Path, limit: int = _LIMIT) -> str:
    where = shown(str(path))
    try:
        if path.stat().st_size > limit:
            raise BadInput(f"longer than {limit} bytes", where=where, mend="shorten the text")
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput("not UTF-8 text", where=where, mend="save it as UTF-8") from None
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=where) from None


def _notes(tree: Tree, captions: dict[str, str], labels: dict[str, str]) -> tuple[str, ...]:
    total = len(tree.files)
    counts = (("captions", len(captions)), ("labels", len(labels)))
    return tuple(
        f"{total - count} of {total} pictures have none of the {name} the others have"
        for name, count in counts
        if 0 < count < total
    )
