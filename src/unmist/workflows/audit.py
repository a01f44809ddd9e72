"""A published folder against its ledger: every line, and every picture that can be seen."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.guard import ledger
from unmist.guard.keys import keys_home
from unmist.guard.ledger import Ledger, read_ledger
from unmist.workflows.shelf import NEXT, PUBLISHED, REFUSED
from unmist.workflows.verify import ledger_key

__all__ = ["Audit", "audit"]


@dataclass(frozen=True)
class Audit:
    """published, refused: lines of each; faults: what was altered; notes: what need not be wrong.

    head: count and hash of the last line, to be noted elsewhere: who can write the folder can cut
    both files back to an earlier state, and only this, or a later note, tells.
    """

    folder: Path
    published: int
    refused: int
    head: str
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def audit(folder: Path, keys: Path | None = None, *, head: str = "") -> Audit:
    """Check a folder that `publish` wrote. head: as an earlier audit gave it.

    Raises BadInput where there is no ledger.
    """
    if not (folder / ledger.LEDGER).exists() and not (folder / ledger.HEAD).exists():
        raise BadInput("no ledger is here", where=folder, mend="give the folder of `publish --to`")
    key, remark = ledger_key(folder, keys_home(keys))
    found = read_ledger(folder, key)
    begun = (folder / NEXT).is_dir()
    faults = () if begun and not found.faults else found.trouble
    notes = [remark] if remark else []
    if begun:
        notes.append("a stopped publish is half recorded: the next one finishes it")
    notes += [f"{name}: is no longer here" for name in _gone(folder, found)]
    faults = (*faults, *_strange(folder, found), *_forgotten(found, head))
    return Audit(
        folder=folder,
        published=len(list(ledger.entries(found.lines, PUBLISHED))),
        refused=len(list(ledger.entries(found.lines, REFUSED))),
        head=f"{found.head.count}:{found.head.last}",
        faults=faults,
        notes=tuple(notes),
    )


def _entries(found: Ledger) -> dict[str, dict[str, str]]:
    """By file name, the digests of each picture and its paper."""
    lines = ledger.entries(found.lines, PUBLISHED)
    return {str(line.what.get("file")): {k: str(v) for k, v in line.what.items()} for line in lines}


def _gone(folder: Path, found: Ledger) -> Iterator[str]:
    return (name for name in _entries(found) if not (folder / name).exists())


def _strange(folder: Path, found: Ledger) -> Iterator[str]:
    """Pictures that are not as published, and what lies there unrecorded."""
    known = _entries(found)
    papers = {f"{name}.json": entry["paper"] for name, entry in known.items() if "paper" in entry}
    right = {name: entry.get("sha256", "") for name, entry in known.items()} | papers
    ours = {ledger.LEDGER, ledger.HEAD}
    for name in sorted(set(os.listdir(folder)) - ours):
        if name.startswith("."):
            continue
        if name not in right:
            yield f"{name}: is not in the ledger"
        elif not (folder / name).is_file() or files.digest(folder / name) != right[name]:
            yield f"{name}: is not as it was published"
    for name in papers:
        if (folder / name[: -len(".json")]).exists() and not (folder / name).exists():
            yield f"{name}: is missing beside its picture"


def _forgotten(found: Ledger, head: str) -> Iterator[str]:
    """What an earlier head knew and the ledger does not."""
    if not head:
        return
    count, _, last = head.partition(":")
    if not count.isdigit() or not last:
        raise BadInput(f"'{head[:40]}' is no head", where="--head", mend="as in 12:5f0c…")
    number = int(count)
    stands = number == 0 or (number <= len(found.lines) and found.lines[number - 1].digest == last)
    if not stands:
        yield f"the ledger is not a continuation of the head {head[:20]}"
