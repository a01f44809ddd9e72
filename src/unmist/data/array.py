"""Arrays from .npy and .npz, never through pickle; their layout and range told apart or refused."""

import re
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unmist.base.faults import BadInput
from unmist.data.dataset import Rows
from unmist.data.tree import shown

__all__ = ["array_rows", "read_npy"]

_VALUES = ("values", "images", "x", "X", "data", "train_images", "x_train", "arr_0")
_PARTS = {
    "labels": ("labels", "label", "y", "targets", "train_labels", "y_train"),
    "captions": ("captions", "texts", "text"),
    "classes": ("classes", "class_names", "names"),
}
_MEND = "save it again with numpy.save or numpy.savez"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_COLOURS = (1, 3)
_UNPACKED = 4 * 2**30  # bytes an .npz may unpack to; an .npy is mapped, so has no limit


@dataclass(frozen=True, eq=False)
class _Found:
    """The arrays of a file by their part."""

    values: np.ndarray
    labels: np.ndarray | None = None
    captions: np.ndarray | None = None
    classes: np.ndarray | None = None
    others: Mapping[str, np.ndarray] = field(default_factory=dict)


def array_rows(path: Path, layout: str | None) -> Rows:
    """The rows of an array file: uint8 (n, c, *s), one to three axes.

    Shapes: (n, h, w); (n, c, h, w) or (n, h, w, c) with c of 1 or 3, refused where both fit or
    neither does and no layout is named; (n, c, d, h, w). Ranges: uint8; bool; uint16 over 257;
    whole numbers within 0 … 255; floats within 0 … 1, -1 … 1 or 0 … 255 over the whole array.
    Other arrays with a row for each, numbers or pictures, are given with the rows by their names.
    """
    where = shown(str(path))
    found = _npz(path) if path.suffix.lower() == ".npz" else _Found(read_npy(path))
    values = _ordered(found.values, layout, where)
    if not values.size:
        raise BadInput("holds no rows", where=where)
    values, told = _eight_bit(values, where)
    labels, classes = _labelled(found, len(values), where)
    return Rows(
        name=shown(path.stem),
        values=np.ascontiguousarray(values),
        labels=labels,
        classes=classes,
        captions=_worded(found.captions, len(values), where),
        notes=told,
        given=_given(found.others, len(values), layout, where),
    )


def _given(
    others: Mapping[str, np.ndarray], count: int, layout: str | None, where: str
) -> dict[str, np.ndarray]:
    """What else has a row for each: numbers float64 (n,), pictures uint8 (n, c, *s); by name."""
    given = {}
    for name, values in others.items():
        if len(values.shape) == 0 or len(values) != count or not _NAME.fullmatch(name):
            continue
        if values.ndim == 1 and values.dtype.kind in "iuf":
            given[name] = values.astype(np.float64)
        elif 3 <= values.ndim <= 5 and values.dtype.kind in "iufb":
            with suppress(BadInput):  # neither pictures nor asked for: passed over
                pictures, _ = _eight_bit(_ordered(values, layout, where), where)
                given[name] = np.ascontiguousarray(pictures)
    return given


def read_npy(path: Path) -> np.ndarray:
    """The array of an .npy, mapped and not read yet; never unpickled. Raises BadInput."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, OverflowError) as error:
        raise BadInput(_reason(error), where=shown(str(path)), mend=_MEND) from None


def _npz(path: Path) -> _Found:
    where = shown(str(path))
    try:
        with zipfile.ZipFile(path) as packed:
            total = sum(item.file_size for item in packed.infolist())
        if total > _UNPACKED:
            raise BadInput(
                f"unpacks to {total / 2**30:.1f} GB, the cap {_UNPACKED / 2**30:.0f}",
                where=where,
                mend="save the values as .npy, which is read in place",
            )
        with np.load(path, allow_pickle=False) as arrays:
            names = list(arrays)
            chosen = _chosen(arrays, names, where)
            parts = {
                part: arrays[name]
                for part, known in _PARTS.items()
                for name in [next((n for n in known if n in names), None)]
                if name is not None
            }
            used = {chosen, *(name for known in _PARTS.values() for name in known)}
            others = {name: arrays[name] for name in names if name not in used}
            return _Found(arrays[chosen], **parts, others=others)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(_reason(error), where=where, mend=_MEND) from None


def _chosen(arrays: Mapping[str, np.ndarray], names: list[str], where: str) -> str:
    """The name of the array that holds the pictures: a usual name, or the only one of rank 3+."""
    usual = [name for name in _VALUES if name in names]
    deep = usual or [name for name in names if arrays[name].ndim >= 3]
    if len(deep) == 1 or (usual and deep):
        return deep[0]
    raise BadInput(
        f"{len(deep)} of its arrays could be the pictures ({shown(', '.join(names))})",
        where=where,
        mend="call the pictures 'values' and their classes 'labels'",
    )


def _reason(error: Exception) -> str:
    if "pickle" in str(error) or "Python objects" in str(error):
        return "holds Python objects, which are never unpickled"
    if isinstance(error, FileNotFoundError):
        return "is not there"
    if isinstance(error, PermissionError):
        return "may not be read (permissions)"
    return "is damaged or not a NumPy file"


def _ordered(values: np.ndarray, layout: str | None, where: str) -> np.ndarray:
    """Channels to the second place: (n, c, *s)."""
    if values.ndim == 3 and layout is None:
        return values[:, None]
    if not 3 <= values.ndim <= 5:
        raise BadInput(
            f"has shape {values.shape}", where=where, mend="give (n, h, w) or (n, c, *s)"
        )
    first, last = values.shape[1] in _COLOURS, values.shape[-1] in _COLOURS
    if layout is None and first == last:
        fits = "both as" if first else "neither as"
        raise BadInput(
            f"shape {values.shape} fits {fits} (n, c, *s) and (n, *s, c) with 1 or 3 channels",
            where=where,
            mend='name it: layout="first" or layout="last"',
        )
    return values if layout == "first" or (layout is None and first) else np.moveaxis(values, -1, 1)


def _eight_bit(values: np.ndarray, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """To uint8 by one rule for the whole array, and what was done."""
    if values.dtype == np.uint8:
        return values, ()
    if values.dtype == bool:
        return values.astype(np.uint8) * 255, ("true and false became 255 and 0",)
    if values.dtype.kind not in "iuf":
        raise BadInput(
            f"holds {values.dtype}, not numbers", where=where, mend="give uint8 or floats"
        )
    low, high = (float(end) for end in (values.min(), values.max()))
    rule = _rule(values.dtype, low, high)
    if rule is None:
        told = "NaN or infinities" if not np.isfinite(low + high) else f"{low:g} … {high:g}"
        raise BadInput(
            f"holds {values.dtype} with {told}",
            where=where,
            mend="give uint8, or floats within 0 … 1, -1 … 1 or 0 … 255",
        )
    factor, shift, name = rule
    scaled = np.empty(values.shape, np.uint8)
    for row in range(len(values)):
        levels = values[row].astype(np.float64) * factor + shift
        scaled[row] = np.floor(levels + 0.5).clip(0, 255)
    return scaled, (f"{values.dtype} within {name} became 0 … 255",)


def _rule(dtype: np.dtype, low: float, high: float) -> tuple[float, float, str] | None:
    """(factor, shift, range) that takes the numbers to 0 … 255; None where no range is meant."""
    if not np.isfinite(low + high):
        return None
    if dtype == np.uint16:
        return 1 / 257, 0.0, "0 … 65535"
    if dtype.kind == "f" and low >= 0 and high <= 1:
        return 255.0, 0.0, "0 … 1"
    if dtype.kind == "f" and low >= -1 and high <= 1:
        return 127.5, 127.5, "-1 … 1"
    return (1.0, 0.0, "0 … 255") if low >= 0 and high <= 255 else None


def _labelled(found: _Found, count: int, where: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels 0 … k-1 and the k class names."""
    if found.labels is None:
        return None, ()
    labels = found.labels.reshape(-1) if found.labels.shape == (count, 1) else found.labels
    if labels.shape != (count,) or labels.dtype.kind not in "iuU":
        raise BadInput(
            f"labels are {labels.dtype} of shape {labels.shape} for {count} rows",
            where=where,
            mend="give one whole number or one name a row",
        )
    if found.classes is not None and labels.dtype.kind in "iu":
        names = tuple(str(name) for name in found.classes.reshape(-1))
        if not 0 <= labels.min() <= labels.max() < len(names):
            raise BadInput(f"labels beyond the {len(names)} class names", where=where)
        return labels.astype(np.int64), names
    kinds, numbers = np.unique(labels, return_inverse=True)
    return numbers.astype(np.int64), tuple(shown(str(kind)) for kind in kinds)


def _worded(captions: np.ndarray | None, count: int, where: str) -> tuple[str, ...] | None:
    if captions is None:
        return None
    if captions.shape != (count,) or captions.dtype.kind != "U":
        raise BadInput(
            f"captions are {captions.dtype} of shape {captions.shape} for {count} rows",
            where=where,
            mend="give one text a row",
        )
    return tuple(" ".join(str(text).split()) for text in captions)
