"""A folder of volumes or of clips as rows, decoded once and kept in the cache.

Volumes: files that end as `volumes.ENDINGS` says, in a folder that holds no pictures. Clips: videos
in a folder that holds no pictures, or, where a number of frames is asked for, also animations and
folders of frames; a longer file gives several, which stay together in the split. The first folder
below the root is the class, as with pictures.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from unmist.base.faults import BadInput, CannotWrite
from unmist.data.clips import ANIMATED, VIDEOS, frames_of, windows
from unmist.data.dataset import Rows
from unmist.data.fit import default_size, with_channels
from unmist.data.index import cache_root, saved
from unmist.data.mesh import MESHES
from unmist.data.reading import Reading
from unmist.data.tree import Bad, shown, walked
from unmist.data.volumes import cubed, ending_of, ends_of, read_volume, rule_of

__all__ = ["FRAMES", "stack_rows", "stacked"]

FRAMES = 16  # of a clip, where nothing is said
_EDGE = 32  # of volumes from meshes, where nothing is said
_MOST = 8 * 2**30  # bytes of all rows

Named = tuple[str, Path]


def stacked(folder: Path, frames: int) -> str:
    """What a folder holds: "volumes", "clips", or "" for pictures."""
    if frames:
        return "clips"
    names = [name for name, _ in _entries(folder)]
    if any(ending_of(Path(name)) for name in names):
        return "" if walked(folder).files else "volumes"
    if any(name.lower().endswith(VIDEOS) for name in names):
        return "" if walked(folder).files else "clips"
    return ""


def stack_rows(
    folder: Path, kind: str, reading: Reading, frames: int, cache: str | os.PathLike | None
) -> Rows:
    """The rows of a folder of `kind`. BadInput where one cannot be used, unless on_bad="skip"."""
    found = list(_clips(folder) if kind == "clips" else _volumes(folder))
    if not found:
        raise BadInput(f"holds no {kind}", where=shown(str(folder)))
    frames = (frames or FRAMES) if kind == "clips" else 0
    place = cache_root(cache, folder) / f"stacks-{_digest(found, reading, frames)}"
    rows = _kept(place)
    if rows is None:
        rows = _clip_rows(found, frames, reading) if frames else _volume_rows(found, reading)
        with suppress(CannotWrite):  # it is in memory: only time is lost
            _keep(place, rows)
    return _named(rows, folder, found, time=kind == "clips")


def _entries(folder: Path) -> Iterator[Named]:
    """Files below, by name; hidden ones are passed over, links to folders not followed."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                path = Path(root) / name
                yield path.relative_to(folder).as_posix(), path


def _volumes(folder: Path) -> Iterator[Named]:
    return ((name, path) for name, path in _entries(folder) if ending_of(path))


def _clips(folder: Path) -> Iterator[Named]:
    """Videos and animations; a folder with two pictures and more and no folder in it is a clip."""
    still = {".jpg", ".jpeg", ".bmp", ".png", ".tif", ".tiff", ".webp"}
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(root)
        shown_here = [name for name in names if Path(name).suffix.lower() in still]
        if here != folder and not folders and len(shown_here) > 1:
            yield here.relative_to(folder).as_posix(), here
            continue
        for name in sorted(names):
            if name.lower().endswith((*VIDEOS, *ANIMATED)) and not name.startswith("."):
                path = here / name
                yield path.relative_to(folder).as_posix(), path


def _digest(found: list[Named], reading: Reading, frames: int) -> str:
    """Of all that decides about the rows: names, sizes and times of files, and the reading."""
    stats = [
        (name, part.name, part.stat().st_size, part.stat().st_mtime_ns)
        for name, path in found
        for part in (sorted(path.iterdir()) if path.is_dir() else [path])
    ]
    told = repr((1, reading.digest, reading.on_bad, frames, stats))
    return sha256(told.encode(errors="surrogatepass")).hexdigest()[:24]


def _each(
    found: list[Named], use: Callable[[Path], None], reading: Reading, kind: str
) -> list[int]:
    """Numbers of those that could be used. BadInput names the first three that could not."""
    bad, good = [], []
    for number, (name, path) in enumerate(found):
        try:
            use(path)
            good.append(number)
        except BadInput as fault:
            bad.append(Bad(name, fault.what))
            if fault.mend and "pip install" in fault.mend:
                raise
    if bad and (reading.on_bad == "stop" or not good):
        first = ", ".join(str(one) for one in bad[:3])
        raise BadInput(
            f"{len(bad)} of {len(found)} {kind} cannot be used: {first}",
            mend="mend or remove them, or leave them out (--set data.on_bad=skip)",
        )
    return good


def _volume_rows(found: list[Named], reading: Reading) -> Rows:
    """Two passes: the levels and edges of all, then each to its cube."""
    ends: list[tuple[float, float]] = []
    edges: list[int] = []
    asked = reading.size[0] if reading.size else 0

    def measure(path: Path) -> None:
        if ending_of(path) in MESHES:
            read_volume(path, asked or _EDGE)
            ends.append((0.0, 1.0))
            edges.append(_EDGE)
        else:
            values = read_volume(path, 0)
            ends.append(ends_of(values))
            edges.append(max(values.shape))

    good = _each(found, measure, reading, "volumes")
    size, rule = asked or default_size([(edge, edge) for edge in edges])[0], rule_of(ends)
    _refuse_large(len(good) * size**3)
    values = np.empty((len(good), 1, size, size, size), np.uint8)
    for row, number in enumerate(good):
        values[row, 0] = cubed(read_volume(found[number][1], size), size, rule)
    told = f"read at {size}x{size}x{size}, {rule[0]:g} … {rule[1]:g} became 0 … 255"
    return Rows(name="", values=values, sources=tuple(found[n][0] for n in good), notes=(told,))


def _clip_rows(found: list[Named], frames: int, reading: Reading) -> Rows:
    sizes: list[tuple[int, int]] = []

    def measure(path: Path) -> None:
        frame = next(frames_of(path, reading), None)
        if frame is None:
            raise BadInput("has no frames")
        sizes.append((frame.shape[0], frame.shape[1]))

    good = _each(found, measure, reading, "clips")
    size = reading.size or default_size(sizes)
    clips: list[np.ndarray] = []
    owner: list[int] = []

    def cut(path: Path) -> None:
        for clip in windows(path, frames, size, reading):
            clips.append(clip)
            owner.append(names[path])
            _refuse_large(clip.nbytes * len(clips))

    names = {found[number][1]: number for number in good}
    _each([found[number] for number in good], cut, reading, "clips")
    channels = reading.channels or max(len(clip) for clip in clips)
    values = np.stack([_channelled(clip, channels) for clip in clips])
    told = f"read at {size[1]}x{size[0]}, {frames} frames a clip, fit {reading.fit}"
    sources = tuple(found[number][0] for number in owner)
    return Rows(name="", values=values, sources=sources, group=np.array(owner), notes=(told,))


def _channelled(clip: np.ndarray, channels: int) -> np.ndarray:
    return np.moveaxis(with_channels(np.moveaxis(clip, 0, -1), channels), -1, 0)


def _refuse_large(count: int) -> None:
    if count > _MOST:
        what = f"all rows take {count / 2**30:.0f} GB, the cap {_MOST >> 30}"
        raise BadInput(what, where="data", mend="ask for a smaller data.size, or fewer files")


def _named(rows: Rows, folder: Path, found: list[Named], *, time: bool) -> Rows:
    """With its name, classes from the folders, and what time is."""
    tops = [source.split("/")[0] if "/" in source else "" for source in rows.sources]
    kinds = sorted(set(tops) - {""})
    # a folder of frames is a clip, no class
    whole = {name for name, path in found if path.is_dir()}
    kinds = [kind for kind in kinds if kind not in whole]
    labels = np.array([kinds.index(top) if top in kinds else -1 for top in tops], np.int64)
    told = {"labels": labels, "classes": tuple(map(shown, kinds))} if len(kinds) > 1 else {}
    return replace(rows, name=shown(folder.resolve().name), time=time, **told)


def _keep(place: Path, rows: Rows) -> None:
    group = np.arange(len(rows.values)) if rows.group is None else rows.group
    with saved(place) as beside:
        np.save(beside / "values.npy", rows.values)
        np.savez(
            beside / "rows.npz", sources=np.array(rows.sources), notes=np.array(rows.notes),
            group=group,
        )  # fmt: skip


def _kept(place: Path) -> Rows | None:
    try:
        values = np.load(place / "values.npy", mmap_mode="r", allow_pickle=False)
        with np.load(place / "rows.npz", allow_pickle=False) as told:
            sources, notes = (tuple(map(str, told[name])) for name in ("sources", "notes"))
            group = told["group"]
    except (OSError, ValueError, EOFError, KeyError):
        return None
    if not len(values) == len(sources) == len(group):
        return None
    return Rows(name="", values=values, sources=sources, group=group, notes=notes)
