"""What a scan found, for people and for programs."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from unmist.data.dataset import DataSet
from unmist.data.index import Index
from unmist.data.tree import Bad, shown

__all__ = ["Report", "reported"]

_SHOWN = 20  # of a long list, this many lines; `as_json` has them all


@dataclass(frozen=True)
class Report:
    """A scanned source in numbers. Sizes are (height, width) of the originals.

    duplicates: groups of sources with the same pixels; twins: groups that are nearly the same, the
    former included; bad: every unusable file and why; word_files: how many files gave captions or
    labels; others: what was passed over, by kind.
    """

    name: str
    count: int
    shape: tuple[int, ...]
    sizes: dict[str, int]
    modes: dict[str, int]
    classes: dict[str, int]
    captions: int
    word_files: int
    duplicates: tuple[tuple[str, ...], ...]
    twins: tuple[tuple[str, ...], ...]
    bad: tuple[Bad, ...]
    others: dict[str, int]
    train: int
    held: int
    notes: tuple[str, ...]
    fingerprint: str
    licence: str

    def as_json(self) -> str:
        """All of it, as one JSON object."""
        return json.dumps(asdict(self), indent=1)

    def as_text(self) -> str:
        """A page for people; long lists are cut, with their length."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.name}: {self.count} pictures read as {'x'.join(map(str, self.shape))}"
        yield f"training {self.train}, held out {self.held}"
        yield from (f"note: {note}" for note in self.notes)
        yield from _table("sizes (width x height)", self.sizes)
        yield from _table("modes", self.modes)
        yield from _table("classes", self.classes)
        read = f" (files of captions or labels: {self.word_files})" if self.word_files else ""
        yield f"captions: {self.captions} of {self.count}{read}"
        yield from _list("exact duplicates", [" = ".join(group) for group in self.duplicates])
        yield from _list("near duplicates", [" ~ ".join(group) for group in self.twins])
        yield from _table("passed over", self.others)
        yield from _list("unusable", [str(bad) for bad in self.bad])
        if self.licence:
            yield f"licence: {self.licence}"
        yield f"fingerprint: {self.fingerprint[:16]}"


def _table(title: str, counts: dict[str, int]) -> Iterator[str]:
    if not counts:
        return
    parts = [f"{name} {count}" for name, count in list(counts.items())[:_SHOWN]]
    more = f", and {len(counts) - _SHOWN} more kinds" if len(counts) > _SHOWN else ""
    yield f"{title}: {', '.join(parts)}{more}"


def _list(title: str, lines: list[str]) -> Iterator[str]:
    yield f"{title}: {len(lines)}"
    yield from (f"  {shown(line, 300)}" for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"  and {len(lines) - _SHOWN} more"


def reported(data: DataSet, group: np.ndarray, index: Index | None = None) -> Report:
    """The report of a data set, with what the index knows of its files where there is one."""
    rows = index.good if index else ()
    plain = "x".join(map(str, data.shape[:0:-1]))
    sizes = Counter(f"{row.width}x{row.height}" for row in rows) or Counter({plain: len(data)})
    return Report(
        name=data.name,
        count=len(data),
        shape=data.shape,
        sizes=dict(sizes.most_common()),
        modes=dict(Counter(f"{row.format} {row.mode}" for row in rows).most_common()),
        classes=_class_counts(data),
        captions=sum(map(bool, data.captions or ())),
        word_files=index.word_files if index else 0,
        duplicates=_groups(list(data.keys), data.sources),
        twins=_groups(group.tolist(), data.sources),
        bad=index.unusable if index else (),
        others=dict(index.others) if index else {},
        train=len(data.train),
        held=len(data.held),
        notes=data.notes,
        fingerprint=data.fingerprint,
        licence=data.licence,
    )


def _class_counts(data: DataSet) -> dict[str, int]:
    if data.labels is None:
        return {}
    counts = Counter(data.labels.tolist())
    named = {name: counts[number] for number, name in enumerate(data.classes)}
    return named | ({"(none)": counts[-1]} if counts[-1] else {})


def _groups(names: list, sources: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Sources that share a name, where more than one does."""
    members: dict[object, list[str]] = {}
    for name, source in zip(names, sources, strict=True):
        members.setdefault(name, []).append(source)
    return tuple(tuple(group) for group in members.values() if len(group) > 1)
