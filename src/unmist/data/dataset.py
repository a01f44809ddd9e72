"""What every source becomes: rows of uint8 with their labels, captions, keys and split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from unmist.data.split import HELD, content_keys, split
from unmist.data.twins import groups, thumbnails

__all__ = ["DataSet", "Rows", "assemble", "fingerprint"]


@dataclass(frozen=True, eq=False)
class DataSet:
    """A set ready for training: every row decoded, of one shape, split by content.

    `values` is uint8 (n, c, *s), possibly a read-only memory map; `labels` int64 (n,) into
    `classes`, -1 where a row has none, or None; `keys` name each row by its content; `train` and
    `held` are ascending row numbers. `notes` says what was done on the way, one sentence each.
    `given` holds what else is known of each row, by name: a picture uint8 (n, c, *s) or a number
    float64 (n,), NaN where it is not known. `time`: rows are clips, the first of their axes frames.
    """

    name: str
    values: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...]
    captions: tuple[str, ...] | None
    sources: tuple[str, ...]
    keys: tuple[str, ...]
    train: np.ndarray
    held: np.ndarray
    fingerprint: str
    licence: str = ""
    notes: tuple[str, ...] = ()
    given: Mapping[str, np.ndarray] = field(default_factory=dict)
    time: bool = False

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row: (c, *s)."""
        return tuple(self.values.shape[1:])


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows on their way to a DataSet.

    `keys` and `group` (of twins) come from the originals, before fitting, so that the split is the
    same at every size; left out, they are taken from `values`. `held`: the share that is
    kept out of training.
    """

    name: str
    values: np.ndarray
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    captions: tuple[str, ...] | None = None
    sources: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    group: np.ndarray | None = None
    licence: str = ""
    notes: tuple[str, ...] = ()
    given: Mapping[str, np.ndarray] = field(default_factory=dict)
    time: bool = False
    held: float = HELD


def assemble(rows: Rows) -> DataSet:
    """Key, group and split the rows, and take the fingerprint of the whole."""
    keys = rows.keys or content_keys(rows.values)
    group = groups(keys, thumbnails(rows.values)) if rows.group is None else rows.group
    train, held = split(keys, group, rows.held)
    sources = rows.sources or tuple(f"{rows.name}[{i}]" for i in range(len(rows.values)))
    return DataSet(
        name=rows.name,
        values=rows.values,
        labels=None if rows.labels is None else rows.labels.astype(np.int64),
        classes=rows.classes,
        captions=rows.captions,
        sources=sources,
        keys=keys,
        train=train,
        held=held,
        fingerprint=fingerprint(rows),
        licence=rows.licence,
        notes=rows.notes,
        given=_checked(rows.given, len(rows.values)),
        time=rows.time,
    )


def _checked(given: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """What is given of `count` rows: numbers as float64, pictures as they are."""
    for name, values in given.items():
        assert len(values) == count, f"{name}: {len(values)} values for {count} rows"
        assert values.ndim == 1 or values.dtype == np.uint8, f"{name}: pictures are uint8"
    return {
        name: values.astype(np.float64) if values.ndim == 1 else values
        for name, values in given.items()
    }


def fingerprint(rows: Rows) -> str:
    """SHA-256 over the rows as training sees them: pixels, class names, captions, the given."""
    total = sha256(repr((rows.values.shape, rows.classes)).encode())
    for start in range(0, len(rows.values), 1024):
        total.update(np.ascontiguousarray(rows.values[start : start + 1024]).data)
    if rows.labels is not None:
        total.update(rows.labels.astype("<i8").tobytes())
    total.update(_joined(rows.captions or ()))
    for name, values in sorted(rows.given.items()):
        total.update(_joined((name, str(values.shape))))
        total.update(np.ascontiguousarray(values if values.ndim > 1 else values.astype("<f8")).data)
    return total.hexdigest()


def _joined(texts: Sequence[str]) -> bytes:
    """Texts so framed that no two lists give the same bytes."""
    return b"".join(b"%d:%s" % (len(raw), raw) for raw in (t.encode() for t in texts))
