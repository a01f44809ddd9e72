"""Samples in the files that other programs read: clips as mp4, volumes as NIfTI or as meshes."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean
from unmist.data.mesh import MESHES, save_mesh
from unmist.data.voxels import marching, surface
from unmist.run.picture import save_film

__all__ = ["CLIPS", "VOLUMES", "check_export", "export", "write_array"]

CLIPS = ("webp", "gif", "mp4")
VOLUMES = ("npy", "nii", "nii.gz", *(ending[1:] for ending in MESHES if ending != ".ply"))
RATE = 10  # frames a second


def check_export(kind: str, shape: tuple[int, ...], *, time: bool) -> None:
    """BadInput where samples (c, *s) are not written as `kind`, or a package for it is missing."""
    known = _kinds(shape, time=time)
    if kind not in known:
        what = f"samples of {len(shape) - 1} axes are not written as '{kind[:20]}'"
        raise BadInput(what, where="--as", mend=did_you_mean(kind, list(known)))
    if kind == "mp4":
        _av()
    if kind.startswith("nii"):
        _nibabel()
    if kind in ("obj", "stl"):
        marching()
        if shape[0] != 1:
            mend = "write them as npy"
            raise BadInput(f"{shape[0]} channels have no surface", where="--as", mend=mend)


def _kinds(shape: tuple[int, ...], *, time: bool) -> tuple[str, ...]:
    if len(shape) != 4:
        return ("npy",)
    return (*CLIPS, "npy") if time else VOLUMES


def _av() -> ModuleType:
    try:
        import av
    except ImportError:
        raise _missing("PyAV", "clips") from None
    return av


def _nibabel() -> ModuleType:
    try:
        import nibabel
    except ImportError:
        raise _missing("nibabel", "volumes") from None
    return nibabel


def _missing(name: str, extra: str) -> BadInput:
    return BadInput(f"this needs {name}", where="--as", mend=f"pip install 'unmist[{extra}]'")


def export(path: Path, pixels: np.ndarray, settings: dict[str, object]) -> bool:
    """Write one sample uint8 (c, *s), by the ending of `path`; False where a solid is empty.

    A clip at ten frames a second; a mesh is the closed surface at half full. Raises CannotWrite.
    """
    ending = ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix
    return _WRITERS[ending](path, pixels, settings)


def _film(path: Path, pixels: np.ndarray, settings: dict[str, object]) -> bool:
    shown = pixels if len(pixels) in (1, 3) else pixels[:1]
    save_film(path, list(np.moveaxis(shown, 1, 0)), settings, pause=1000 // RATE, last=0)
    return True


def _mp4(path: Path, pixels: np.ndarray, settings: dict[str, object]) -> bool:
    """H.264 in colour; an odd edge is doubled, as the format takes even ones only."""
    av = _av()
    shown = pixels if len(pixels) == 3 else pixels[:1].repeat(3, axis=0)
    odd = tuple((0, size % 2) for size in shown.shape[2:])
    frames = np.pad(shown, ((0, 0), (0, 0), *odd), mode="edge").transpose(1, 2, 3, 0)
    with files.whole(path) as beside, av.open(str(beside), "w", format="mp4") as out:
        out.metadata["comment"] = str(settings.get("model", ""))
        stream = out.add_stream("libx264", rate=Fraction(RATE), options={"crf": "12"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return True


def write_array(path: Path, pixels: np.ndarray) -> None:
    """One .npy file, whole. Raises CannotWrite."""
    with files.whole(path) as beside, beside.open("wb") as out:
        np.save(out, pixels, allow_pickle=False)


def _npy(path: Path, pixels: np.ndarray, settings: dict[str, object]) -> bool:
    del settings
    write_array(path, pixels)
    return True


def _nifti(path: Path, pixels: np.ndarray, settings: dict[str, object]) -> bool:
    """One volume (d, h, w), or (d, h, w, c) of several channels; cells of 1 mm."""
    nibabel, told = _nibabel(), str(settings.get("model", ""))
    values = pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)
    image = nibabel.Nifti1Image(values, np.eye(4))
    image.header["descrip"] = f"unmist {told}"[:79].encode("ascii", "replace")
    content = image.to_bytes()
    if path.name.endswith(".gz"):
        from gzip import compress

        content = compress(content, mtime=0)
    files.write_bytes(path, content)
    return True


def _mesh(path: Path, pixels: np.ndarray, settings: dict[str, object]) -> bool:
    del settings
    if pixels.max() < 128:
        return False
    save_mesh(path, surface(pixels[0]))
    return True


_WRITERS: dict[str, Callable[[Path, np.ndarray, dict[str, object]], bool]] = {
    ".webp": _film, ".gif": _film, ".mp4": _mp4, ".npy": _npy,
    ".nii": _nifti, ".nii.gz": _nifti, ".obj": _mesh, ".stl": _mesh,
}  # fmt: skip
