"""What a network learns from: rows in model space, of latents from a cache by their content."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unmist.base import files
from unmist.base.faults import CannotWrite
from unmist.codecs.family import Codec
from unmist.codecs.latent import Latent
from unmist.data.dataset import DataSet
from unmist.data.index import cache_home

__all__ = ["latents_home", "latents_of", "rows_of", "with_unit"]

PORTION = 64  # rows encoded at a time, always the same, so that the cache is a function of the data


def latents_home() -> Path | None:
    """Where latents are kept; None where there is no place for a cache."""
    try:
        return cache_home(None).parent / "latents"
    except CannotWrite:
        return None


def latents_of(codec: Latent, data: DataSet) -> np.ndarray:
    """The latents of all rows in the codec's own unit, float32 (n, k, *s'): a read-only map.

    Kept by the hash of data and weights, written whole or not at all; where the disk refuses they
    stay in memory. Nothing is drawn: they are the encoder's means.
    """
    shape = (len(data), *codec.inner(data.shape))
    home = latents_home()
    name = sha256(f"{data.fingerprint} {codec.digest} {shape}".encode()).hexdigest()[:32]
    path = home / f"{name}.npy" if home and codec.digest else None
    if path is not None and (found := _stored(path, shape)) is not None:
        return found
    made = np.empty(shape, np.float32)
    for start in range(0, len(made), PORTION):
        part = torch.from_numpy(np.array(data.values[start : start + PORTION]))
        made[start : start + PORTION] = codec.latents(part).numpy()
    found = _stored(path, shape) if path is not None and _kept(path, made) else None
    return made if found is None else found


def _stored(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """A whole file of that shape, mapped; None otherwise."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if (found.shape, found.dtype) == (shape, np.float32) else None


def _kept(path: Path, made: np.ndarray) -> bool:
    """Whether the disk took them."""
    try:
        with files.told(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with files.whole(path) as beside, beside.open("wb") as file:
            np.save(file, made)
    except CannotWrite:
        return False
    return True


def with_unit(codec: Latent, data: DataSet) -> Latent:
    """The codec with mean and spread of each channel, measured on the training rows' latents.

    A channel that never changes gets spread 1.
    """
    found, count = latents_of(codec, data), max(1, len(data.train))
    axes = (0, *range(2, found.ndim))
    total, second = (np.zeros(codec.channels) for _ in range(2))
    for rows in np.array_split(data.train, -(-count // 1024)):
        part = found[rows].astype(np.float64)
        total, second = total + part.sum(axes), second + (part**2).sum(axes)
    places = count * int(np.prod(found.shape[2:]))
    mean = total / places
    spread = np.sqrt(np.maximum(second / places - mean**2, 0.0))
    spread = np.where(spread > 1e-6, spread, 1.0)
    return replace(codec, mean=tuple(mean.tolist()), spread=tuple(spread.tolist()))


def rows_of(codec: Codec, data: DataSet, device: torch.device) -> Callable[[np.ndarray], Tensor]:
    """rows (b,) int64 -> x0 (b, k, *s') float32 on a device."""
    if isinstance(codec, Latent) and codec.digest:
        kept = latents_of(codec, data)
        return lambda rows: codec.whitened(torch.from_numpy(np.array(kept[rows])).to(device))
    return lambda rows: codec.encode(torch.from_numpy(data.values[rows]).to(device))
