"""The held-out part: chosen by content, so it is the same for any order, names and sizes."""

from hashlib import sha256

import numpy as np

__all__ = ["HELD", "content_keys", "split"]

HELD = 0.10  # the share of rows kept out of training


def content_keys(values: np.ndarray) -> tuple[str, ...]:
    """SHA-256 of each row's shape and pixels, values uint8 (n, c, *s): 32 hexadecimal digits."""
    shape = repr(values.shape[1:]).encode()
    return tuple(sha256(shape + np.ascontiguousarray(row).data).hexdigest()[:32] for row in values)


def split(
    keys: tuple[str, ...], group: np.ndarray, share: float = HELD
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (train, held), ascending: whole groups go by the hash of their smallest key.

    About `share` is held: a group is held where its hash, read as a number in [0, 1), is below
    it, so adding pictures moves no other group. A group larger than that share always trains (it
    would be the whole measure); where nothing would be held, the group with the smallest hash is.
    One picture, or one single group, leaves nothing to hold: then `held` is empty.
    """
    draws, sizes = _draws(keys, group), np.bincount(group, minlength=len(keys))[group]
    free = sizes <= max(1.0, share * len(keys))
    held = free & (draws < share)
    if not held.any() and len(np.unique(group)) > 1 and free.any():
        held = free & (draws == draws[free].min())
    if held.all():  # one picture, or a handful that all drew low
        held &= draws < draws.max()
    return np.flatnonzero(~held), np.flatnonzero(held)


def _draws(keys: tuple[str, ...], group: np.ndarray) -> np.ndarray:
    """A number in [0, 1) a row, equal within a group, a function of the group's smallest key."""
    smallest: dict[int, str] = {}
    for key, name in zip(keys, group.tolist(), strict=True):
        smallest[name] = min(key, smallest.get(name, key))
    draws = {name: _number(key) for name, key in smallest.items()}
    return np.array([draws[name] for name in group.tolist()], dtype=np.float64)


def _number(key: str) -> float:
    return int.from_bytes(sha256(b"unmist held out " + key.encode()).digest()[:6]) / 2.0**48
