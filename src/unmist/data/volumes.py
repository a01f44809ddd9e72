"""Volumes from files: NIfTI, .npy and meshes, to cubes of one size, levels by one rule for all."""

from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.data.array import read_npy
from unmist.data.mesh import MESHES, parsed_mesh
from unmist.data.voxels import voxelised

__all__ = ["ENDINGS", "cubed", "ending_of", "ends_of", "read_volume", "rule_of"]

ENDINGS = (".nii", ".nii.gz", ".npy", *MESHES)
_MOST = 512 * 2**20  # bytes of one file, packed
_CELLS = 512**3
_LOW, _HIGH = 0.001, 0.999  # of a volume's numbers: what lies beyond is cut off


def ending_of(path: Path) -> str:
    """The ending by which a volume's file is known, "" where it is none."""
    name = path.name.lower()
    return next((ending for ending in sorted(ENDINGS, key=len)[::-1] if name.endswith(ending)), "")


def read_volume(path: Path, size: int) -> np.ndarray:
    """float32 (d, h, w) as the file has it, cells as long in every direction; meshes at `size`.

    Of a mesh 0 … 1: how full each cell is. Raises BadInput with the reason.
    """
    ending = ending_of(path)
    if ending in MESHES:
        raw = files.read_bytes(path, most=_MOST, links=True)
        return voxelised(parsed_mesh(raw, ending, where=""), size).astype(np.float32) / 255
    values = _checked(read_npy(path)) if ending == ".npy" else _nifti(path)
    if not np.isfinite(values).all():
        raise BadInput("holds NaN or infinities")
    return values


def _nifti(path: Path) -> np.ndarray:
    """Scaled as its header says, turned so that axes run as in the nearest upright position."""
    try:
        import nibabel
    except ImportError:
        mend = "pip install 'unmist[volumes]'"
        raise BadInput("NIfTI needs the package nibabel", where=str(path), mend=mend) from None
    if path.stat().st_size > _MOST:
        raise BadInput(f"is larger than {_MOST >> 20} MB")
    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))
        if np.prod(image.shape, dtype=np.float64) > _CELLS:
            raise BadInput(f"has shape {image.shape}, more than 512 cells a side")
        edges = np.array(image.header.get_zooms()[:3], np.float64)
        values = _checked(np.squeeze(np.asarray(image.get_fdata(dtype=np.float32))))
    except BadInput:
        raise
    except Exception as error:  # a parser fed by anybody raises nearly every class there is
        raise BadInput(f"is damaged or no NIfTI ({type(error).__name__})") from None
    if not (np.isfinite(edges).all() and edges.min() > 0):
        return values
    wide = edges / edges.min()
    shape = [max(1, round(n * edge)) for n, edge in zip(values.shape, wide, strict=True)]
    if max(shape) > 1024:
        raise BadInput(f"has cells of {edges.round(3).tolist()}, too unlike")
    return _resampled(values, tuple(shape)) if tuple(shape) != values.shape else values


def _checked(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "iufb" or values.ndim != 3 or not values.size:
        raise BadInput(f"holds {values.dtype} of shape {values.shape}, not one volume (d, h, w)")
    if values.size > _CELLS:
        raise BadInput(f"has shape {values.shape}, more than 512 cells a side")
    return np.asarray(values, np.float32)


def rule_of(volumes: list[tuple[float, float]]) -> tuple[float, float]:
    """One lowest and highest number for all, from each one's: what becomes 0 and 255."""
    low, high = (float(np.median(ends)) for ends in zip(*volumes, strict=True))
    return low, high if high > low else low + 1


def ends_of(values: np.ndarray) -> tuple[float, float]:
    """The thousandth and the 999 thousandth of a volume's numbers; of 0 … 1 those."""
    if values.min() >= 0 and values.max() <= 1:
        return 0.0, 1.0
    low, high = np.quantile(values[:: max(1, len(values) // 64)], (_LOW, _HIGH))
    return float(low), float(high)


def cubed(values: np.ndarray, size: int, rule: tuple[float, float]) -> np.ndarray:
    """uint8 (size, size, size): padded to a cube by its lowest, averaged or interpolated."""
    low, high = rule
    edge = max(values.shape)
    before = [(edge - n) // 2 for n in values.shape]
    room = [(b, edge - n - b) for b, n in zip(before, values.shape, strict=True)]
    cube = np.pad(values, room, constant_values=low) if edge != min(values.shape) else values
    cube = _resampled(cube, (size,) * 3) if edge != size else cube
    return np.floor(((cube - low) / (high - low)).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _resampled(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    x = torch.from_numpy(np.array(values, np.float32))[None, None]
    smaller = all(n <= m for n, m in zip(shape, values.shape, strict=True))
    how = {"mode": "area"} if smaller else {"mode": "trilinear", "align_corners": False}
    return interpolate(x, size=shape, **how)[0, 0].numpy()  # type: ignore[arg-type]
