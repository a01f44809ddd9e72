"""Near duplicates: which rows show the same picture, re-encoded, rescaled or slightly retouched."""

from collections.abc import Iterator

import numpy as np

__all__ = ["NEAR", "groups", "merged", "thumbnails"]

# The distance below which two thumbnails show one picture, as a share of the set's own spread.
# Measured: a JPEG of quality 60 moves a thumbnail by 0.08 (median), noise of 4 levels by 0.03,
# three quarters of the size by 0.01 to 0.02; the nearest different digits are at 0.13, emoji at
# 0.11 (clock faces: below). At 0.10 no digit has a twin and 16 of 1,636 emoji do.
NEAR = 0.10
_BINS = {1: (256,), 2: (16, 16), 3: (6, 6, 6)}
_ROWS, _COLUMNS = 512, 4096  # one tile: at most 2 M candidates at a time


def _edges(size: int, bins: int) -> np.ndarray:
    """Where each of the (at most `bins`) even stretches of an axis begins."""
    count = min(size, bins)
    return np.arange(count) * size // count


def thumbnails(values: np.ndarray) -> np.ndarray:
    """Area means of values uint8 (n, c, *s), at most 16x16 for pictures: uint8 (n, features)."""
    bins = _BINS[values.ndim - 2]
    rows = [_thumbnail(values[i : i + 256], bins) for i in range(0, len(values), 256)]
    width = rows[0].shape[1] if rows else 0
    return np.concatenate(rows) if rows else np.zeros((0, width), np.uint8)


def _thumbnail(values: np.ndarray, bins: tuple[int, ...]) -> np.ndarray:
    sums = values
    cells = 1
    for axis, count in enumerate(bins, start=2):
        edges = _edges(values.shape[axis], count)
        widths = np.diff(np.append(edges, values.shape[axis]))
        sums = np.add.reduceat(sums, edges, axis=axis, dtype=np.int64)
        cells = np.multiply.outer(cells, widths)
    means = (sums + cells // 2) // cells
    return means.astype(np.uint8).reshape(len(values), -1)


def groups(keys: tuple[str, ...], thumbs: np.ndarray, near: float = NEAR) -> np.ndarray:
    """Rows that stay together, exact duplicates and near ones: int64 (n,), one number a group.

    Near means: thumbnails within `near` times the spread of the set, over chains of such pairs.
    Exact for any order of the rows: a fast float32 distance proposes, integers decide. Rows are
    sorted along their first principal axis, on which no pair is further apart than in full, so only
    a window of neighbours is compared, tile by tile: 100,000 pictures cost minutes at worst.
    """
    root = _exact(keys)
    ints = thumbs.astype(np.int64)
    limit = near**2 * _variance(ints) * thumbs.shape[1]
    for a, b in _proposed(thumbs, limit):
        _merge(root, ints, np.stack([a, b], 1), limit)
    return root


def merged(group: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Rows that stay together by either of two groupings (n,): int64 (n,), the first rows."""
    root = _exact(tuple(map(str, group.tolist())))
    first = _exact(tuple(map(str, other.tolist())))
    _unite(root, np.stack([np.arange(len(root)), first], 1))
    return root


def _exact(keys: tuple[str, ...]) -> np.ndarray:
    """The first row with the same key, for each row: int64 (n,)."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(key, i) for i, key in enumerate(keys)], dtype=np.int64)


def _proposed(thumbs: np.ndarray, limit: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Row numbers of all pairs that may be within the limit, each at least once."""
    centred = (thumbs - thumbs.mean(0, dtype=np.float64)).astype(np.float32)
    along = centred @ _principal(centred)
    order = np.argsort(along, kind="stable")
    rows, along = centred[order], along[order].astype(np.float64)
    squares = np.einsum("nd,nd->n", rows, rows)
    reach = limit + 1.0 + 1e-5 * float(squares.max(initial=0.0))  # float32's error, generously
    for here in range(0, len(rows), _ROWS):
        end = min(here + _ROWS, len(rows))
        last = int(np.searchsorted(along, along[end - 1] + np.sqrt(reach), "right"))
        for there in range(here, last, _COLUMNS):
            i, j = slice(here, end), slice(there, min(there + _COLUMNS, last))
            squared = squares[i, None] + squares[None, j] - 2 * rows[i] @ rows[j].T
            a, b = np.nonzero(squared <= reach)
            yield order[a + here], order[b + there]


def _merge(root: np.ndarray, ints: np.ndarray, edges: np.ndarray, limit: float) -> None:
    """Join the proposed pairs (k, 2) that hold in exact integers; `root` is changed in place.

    Pairs already together are dropped before they cost anything, so dense sets stay cheap.
    """
    edges = edges[root[edges[:, 0]] != root[edges[:, 1]]]
    for start in range(0, len(edges), 4096):
        pair = edges[start : start + 4096]
        pair = pair[root[pair[:, 0]] != root[pair[:, 1]]]
        squared = ((ints[pair[:, 0]] - ints[pair[:, 1]]) ** 2).sum(1)
        _unite(root, pair[squared <= limit])


def _unite(root: np.ndarray, edges: np.ndarray) -> None:
    """Connected components by hooking larger roots onto smaller ones, then shortening the paths."""
    ends = root[edges]
    while len(ends := ends[ends[:, 0] != ends[:, 1]]):
        np.minimum.at(root, ends.max(1), ends.min(1))
        while not np.array_equal(root, root[root]):
            root[:] = root[root]
        ends = root[ends]


def _variance(ints: np.ndarray) -> float:
    """The mean over the features of their variance, from exact integer sums: order-independent."""
    count = max(len(ints), 1)
    spread = count * (ints**2).sum(0) - ints.sum(0) ** 2
    return float(int(spread.sum()) / (count * count * max(ints.shape[1], 1)))


def _principal(centred: np.ndarray) -> np.ndarray:
    """The first principal axis by power steps; any unit vector is right, this one fast."""
    axis = np.ones(centred.shape[1], np.float32)
    for _ in range(8):
        axis = centred.T @ (centred @ axis)
        axis /= max(float(np.linalg.norm(axis)), 1e-30)
    return axis / max(float(np.linalg.norm(axis)), 1.0)
