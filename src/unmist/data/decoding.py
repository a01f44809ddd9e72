"""The decoding pass: every file of a tree once, a few threads wide, in bounded memory."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np

from unmist.base.faults import BadInput
from unmist.data.fit import default_size, fitted, with_channels
from unmist.data.index import FORMAT, Index, Row
from unmist.data.picture import decoded, header_size
from unmist.data.reading import Reading
from unmist.data.split import content_keys
from unmist.data.tree import Found, Tree
from unmist.data.twins import groups, thumbnails

__all__ = ["decode_into", "measured_size"]

T = TypeVar("T")
_BATCH = 64
_FILE_CAP = 512 * 2**20  # bytes of one file: 64 Mpx of uncompressed 16-bit colour fit


@dataclass(frozen=True, eq=False)
class _Read:
    """One file after decoding: (h, w, c) at the target size and a thumbnail of the original."""

    row: Row
    pixels: np.ndarray | None = None
    thumb: np.ndarray | None = None


def measured_size(files: tuple[Found, ...]) -> tuple[int, int]:
    """The default size, from the headers of all files: only these are read."""
    sizes = [size for size in _mapped(_header, files) if size is not None]
    return default_size(sizes)


def _header(file: Found) -> tuple[int, int] | None:
    try:
        with file.path.open("rb") as raw:
            return header_size(BytesIO(raw.read(1 << 18))) or header_size(raw)
    except OSError:
        return None


def _mapped(work: Callable[[Found], T], files: tuple[Found, ...]) -> Iterator[T]:
    """In order, a few threads wide (decoders let go of the interpreter), a batch in memory."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for start in range(0, len(files), _BATCH):
            yield from pool.map(work, files[start : start + _BATCH])


def decode_into(beside: Path, tree: Tree, reading: Reading) -> tuple[Index, np.ndarray]:
    """Decode a tree into pixels.npy and groups.npy of a folder; the index without its words."""
    rows, thumbs, grey = [], [], True
    raw = beside / "pixels.raw"
    with raw.open("wb") as out:
        for read in _mapped(lambda file: _read(file, reading), tree.files):
            rows.append(read.row)
            if read.pixels is not None:
                grey &= read.pixels.shape[2] == 1
                out.write(with_channels(read.pixels, 3).tobytes())
                thumbs.append(read.thumb)
    assert reading.size is not None
    channels = reading.channels or (1 if grey and thumbs else 3)
    keys = tuple(row.key for row in rows if not row.reason)
    group = groups(keys, np.stack(thumbs)) if thumbs else np.zeros(0, np.int64)
    shape = (channels, *reading.size)
    _turned(raw, beside / "pixels.npy", len(keys), shape)
    np.save(beside / "groups.npy", group)
    index = Index(
        FORMAT, str(tree.root), shape, tuple(rows), tree.bad, tree.others, (), None, None, (), ""
    )
    return index, group


def _turned(raw: Path, target: Path, count: int, shape: tuple[int, ...]) -> None:
    """Rows (h, w, 3) as decoded to one array (n, c, h, w) on the disk, in slices of memory."""
    final = np.lib.format.open_memmap(target, "w+", np.uint8, (count, *shape))
    if count:
        source = np.memmap(raw, np.uint8, "r", shape=(count, *shape[1:], 3))
        for row in range(count):
            final[row] = with_channels(source[row], shape[0]).transpose(2, 0, 1)
        del source
    final.flush()
    raw.unlink()


def _read(file: Found, reading: Reading) -> _Read:
    """Decode one file; the reason in its row where that cannot be done."""
    row = Row(file.name, file.size, file.mtime_ns)
    try:
        if file.size > _FILE_CAP:
            raise BadInput(f"is {file.size / 2**20:.0f} MB, the cap {_FILE_CAP / 2**20:.0f}")
        raw = file.path.read_bytes()
        row = replace(row, size=len(raw), sha=sha256(raw).hexdigest())
        picture = decoded(raw, reading)
    except BadInput as fault:
        return _Read(replace(row, reason=fault.what))
    except OSError as error:
        return _Read(replace(row, reason=f"cannot be read ({error.strerror})"))
    assert reading.size is not None
    values = picture.pixels.transpose(2, 0, 1)[None]
    row = replace(
        row,
        key=content_keys(values)[0],
        height=values.shape[2],
        width=values.shape[3],
        mode=picture.mode,
        format=picture.format,
        remarks=picture.remarks,
    )
    return _Read(row, fitted(picture.pixels, reading.size, reading), _thumb(picture.pixels))


def _thumb(pixels: np.ndarray) -> np.ndarray:
    """Always 3x16x16 numbers: the pixels of pictures smaller than that are repeated first."""
    for axis in (0, 1):
        side = pixels.shape[axis]
        if side < 16:
            pixels = pixels.take(np.arange(16) * side // 16, axis)
    return thumbnails(with_channels(pixels, 3).transpose(2, 0, 1)[None])[0]
