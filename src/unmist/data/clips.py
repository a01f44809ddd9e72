"""Clips from files: videos, animations and folders of frames, cut into windows of equal length."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.data.fit import fitted, with_channels
from unmist.data.levels import to_levels
from unmist.data.picture import FORMATS, decoded
from unmist.data.reading import Reading

__all__ = ["ANIMATED", "VIDEOS", "frames_of", "windows"]

VIDEOS = (".mp4", ".webm", ".mov", ".avi", ".mkv", ".m4v")
ANIMATED = (".gif", ".webp", ".apng", ".png")
_MOST = 256 * 2**20  # bytes of one animation or frame
_LONGEST = 20_000  # frames of one file


def frames_of(path: Path, reading: Reading) -> Iterator[np.ndarray]:
    """Every frame uint8 (h, w, 1 or 3), one at a time; of a folder its pictures, 2 before 10.

    Raises BadInput with the reason.
    """
    if path.is_dir():
        yield from _of_folder(path, reading)
    elif path.suffix.lower() in VIDEOS:
        yield from _of_video(path, reading)
    else:
        yield from _of_animation(path, reading)


def _of_folder(path: Path, reading: Reading) -> Iterator[np.ndarray]:
    names = (p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    for file in sorted(names, key=lambda p: [_number(part) for part in re.split(r"(\d+)", p.name)]):
        try:
            yield decoded(files.read_bytes(file, most=_MOST, links=True), reading).pixels
        except BadInput as fault:
            raise BadInput(f"its frame {file.name} {fault.what}") from None


def _number(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() and len(part) < 19 else (-1, part)


def _of_animation(path: Path, reading: Reading) -> Iterator[np.ndarray]:
    raw = files.read_bytes(path, most=_MOST, links=True)
    decoded(raw, reading)  # size, format and first frame, refused in our words
    with Image.open(BytesIO(raw), formats=FORMATS) as image:
        for number in range(min(_count(image), _LONGEST)):
            try:
                image.seek(number)
                yield to_levels(image.convert("RGBA"), reading.colour)[0]
            except Exception as error:  # decoders, fed by anybody, raise nearly every class
                raise BadInput(f"is damaged at frame {number} ({type(error).__name__})") from None


def _count(image: Image.Image) -> int:
    count: int = getattr(image, "n_frames")  # noqa: B009 - formats of one frame have none
    return count


def _of_video(path: Path, reading: Reading) -> Iterator[np.ndarray]:
    try:
        import av
    except ImportError:
        mend = "pip install 'unmist[clips]'"
        raise BadInput("videos need the package av", where=str(path), mend=mend) from None
    try:
        with av.open(str(path)) as video:
            if not video.streams.video:
                raise BadInput("holds no pictures")
            for number, frame in enumerate(video.decode(video=0)):
                if frame.width * frame.height > reading.pixel_cap:
                    raise BadInput(f"{frame.width}x{frame.height} is more than is decoded")
                if number == _LONGEST:
                    return
                yield frame.to_ndarray(format="rgb24")
    except BadInput:
        raise
    except Exception as error:  # as above
        raise BadInput(f"is damaged or no video ({type(error).__name__})") from None


def windows(
    path: Path, count: int, size: tuple[int, int], reading: Reading
) -> Iterator[np.ndarray]:
    """uint8 (c, count, *size), one after another, none overlapping; what is left over is dropped.

    c is 1 where every frame of the window is grey. BadInput where there is not even one.
    """
    kept: list[np.ndarray] = []
    total = whole = 0
    for frame in frames_of(path, reading):
        total += 1
        kept.append(fitted(np.ascontiguousarray(frame), size, reading))
        if len(kept) == count:
            whole += 1
            yield _stacked(kept)
            kept = []
    if not whole:
        raise BadInput(f"has {total} frames, {count} are a clip")


def _stacked(frames: list[np.ndarray]) -> np.ndarray:
    grey = all(f.shape[2] == 1 or (np.ptp(f, axis=2) == 0).all() for f in frames)
    same = [f[..., :1] if grey else with_channels(f, 3) for f in frames]
    return np.stack(same).transpose(3, 0, 1, 2)
