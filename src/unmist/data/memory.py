"""Keys and twins of arrays: large sets are compared once, and the answer kept in the cache."""

import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from unmist.base.faults import CannotWrite
from unmist.data.dataset import Rows
from unmist.data.index import cache_home, saved
from unmist.data.split import content_keys
from unmist.data.twins import NEAR, groups, merged, thumbnails

__all__ = ["grouped"]

_LARGE = 10_000  # rows; below, comparing all costs a second or two


def grouped(rows: Rows, cache: str | os.PathLike | None) -> Rows:
    """The rows with their keys and groups of twins, from the cache where it knows them.

    Rows that say themselves who stays together keep that, and their twins join them. Without a
    cache that can be written, large sets are compared again each time.
    """
    keys = content_keys(rows.values)
    group = _twins(keys, rows.values, cache)
    group = group if rows.group is None else merged(rows.group, group)
    return replace(rows, keys=keys, group=group)


def _twins(
    keys: tuple[str, ...], values: np.ndarray, cache: str | os.PathLike | None
) -> np.ndarray:
    if len(keys) < _LARGE:
        return groups(keys, thumbnails(values))
    place = cache_home(cache) / f"twins-{sha256(repr((NEAR, keys)).encode()).hexdigest()[:24]}"
    group = _known(place, len(keys))
    if group is None:
        group = groups(keys, thumbnails(values))
        _keep(place, group)
    return group


def _known(place: Path, count: int) -> np.ndarray | None:
    try:
        group = np.load(place / "groups.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return group if group.shape == (count,) and group.dtype == np.int64 else None


def _keep(place: Path, group: np.ndarray) -> None:
    try:
        with saved(place) as beside:
            np.save(beside / "groups.npy", group)
    except CannotWrite:  # the answer is in memory: only time is lost
        return
