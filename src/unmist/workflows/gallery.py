"""Samples to files: a picture each, a grid, the denoising as an animation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unmist.core.walk import State
from unmist.run.export import check_export, export, write_array
from unmist.run.model import Model
from unmist.run.picture import grid, save_film, save_picture
from unmist.run.views import moving, stills
from unmist.workflows.sample import Samples, Shot, drained, settings_of
from unmist.workflows.wishes import own_wish

__all__ = [
    "Written",
    "developed",
    "save_denoising",
    "save_grid",
    "save_moving",
    "save_samples",
    "zoom_for",
]

FILMED = 12  # so many samples are shown in the animation
SIDE = 84  # pictures smaller than this are enlarged by a whole factor to be seen


@dataclass(frozen=True)
class Written:
    """Where a call of `sample` left its files."""

    pictures: tuple[Path, ...] = ()
    grid: Path | None = None
    film: Path | None = None
    array: Path | None = None
    exported: tuple[Path, ...] = ()


def developed(
    model: Model, shot: Shot, states: Iterable[tuple[int, State]], *, film: bool = False
) -> Samples:
    """Drain `sampling`; with `film` each frame is what is seen (left) and the mean (right).

    What is seen is x/hypot(alpha, sigma), the state at unit variance.
    """
    frames: list[np.ndarray] = []

    def filmed() -> Iterator[tuple[int, State]]:
        for start, state in states:
            if film and start == shot.first and state.mean is not None:
                frames.append(_frame(model, state))
            yield start, state

    pixels, calls = drained(model, filmed())
    settings, time = settings_of(model, shot, calls), model.recipe.time
    return Samples(pixels, settings, calls, tuple(frames), time)


def _frame(model: Model, state: State) -> np.ndarray:
    """uint8 (n, c, h, 2*w) of the first few samples."""
    assert state.mean is not None
    x, mean = state.x[:FILMED], state.mean[:FILMED]
    at = state.level if state.level.shape == () else state.level[:FILMED]
    at = at.like(x)
    seen = x / (at.alpha**2 + at.sigma**2).sqrt()
    decoded = (model.codec.decode(part).cpu().numpy() for part in (seen, mean))
    sides = [stills(part, time=model.recipe.time) for part in decoded]
    return np.concatenate(sides, axis=3)


def save_samples(samples: Samples, shot: Shot, folder: Path, kind: str = "") -> Written:
    """Each sample as `seed-number.png`, and a grid of all where there is more than one.

    Data that are no pictures (lines, volumes, clips, other channels) are kept as `samples.npy`
    beside the pictures that show them; clips and volumes also move, in `moving.webp`. kind: write
    each sample as `seed-number.KIND` too (`run.export`). Raises BadInput before anything is written
    where that cannot be.
    """
    pixels, time = samples.pixels, samples.time
    if kind:
        check_export(kind, pixels.shape[1:], time=time)
    pictures, exported = [], []
    for number, picture in enumerate(stills(pixels, time=time), start=shot.first):
        told, name = {**_of(samples, number), "kind": "sample"}, f"{shot.seed}-{number:06}"
        save_picture(folder / f"{name}.png", picture, told)
        pictures.append(folder / f"{name}.png")
        path = folder / f"{name}.{kind}"
        if kind and export(path, pixels[number - shot.first], told):
            exported.append(path)
    whole = save_grid(samples, folder / "grid.png") if len(pictures) > 1 else None
    array = None
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3):
        array = folder / "samples.npy"
        write_array(array, pixels)
    film = save_moving(samples, folder / "moving.webp") if pixels.ndim == 5 else None
    return Written(tuple(pictures), whole, film, array, tuple(exported))


def save_moving(samples: Samples, path: Path) -> Path:
    """The first few clips or volumes side by side, moving."""
    shown = moving(samples.pixels[:FILMED], time=samples.time)
    zoom = zoom_for(shown[0])
    told = {**samples.settings, "count": len(shown[0]), "kind": "moving"}
    save_film(path, [grid(frame, zoom=zoom) for frame in shown], told, pause=100, last=0)
    return path


def _of(samples: Samples, number: int) -> dict[str, object]:
    """The settings of one sample: its number, and of what was wished its own."""
    told = {**samples.settings, "sample": number}
    wish = told.get("wish")
    return {**told, "wish": own_wish(wish, number)} if isinstance(wish, dict) else told


def save_grid(samples: Samples, path: Path) -> Path:
    """All samples in one picture, whose settings repeat them all; one alone as it is."""
    shown = stills(samples.pixels, time=samples.time)
    zoom = zoom_for(shown[:1]) if len(shown) > 1 else 1
    told = {**samples.settings, "count": len(samples.pixels), "kind": "grid"}
    save_picture(path, grid(shown, zoom=zoom), told)
    return path


def save_denoising(samples: Samples, path: Path) -> Path:
    """The film as an animation: noise to samples on the left, the mean on the right of each."""
    assert samples.film, "sampled without film"
    zoom = max(1, zoom_for(samples.film[0]) // 2)
    frames = [grid(frame, columns=3, zoom=zoom) for frame in samples.film]
    told = {**samples.settings, "count": len(samples.film[0]), "kind": "film"}
    save_film(path, frames, told)
    return path


def zoom_for(pictures: np.ndarray) -> int:
    """By what whole factor pictures (n, c, h, w) are enlarged to be seen on a screen."""
    return max(1, SIDE // max(pictures.shape[2], 1))


def with_film(written: Written, film: Path) -> Written:
    """The same, and the animation."""
    return replace(written, film=film)


def written_paths(written: Written) -> Iterator[Path]:
    """All of them, the most telling first."""
    for path in (written.grid, written.film, written.array, *written.exported, *written.pictures):
        if path is not None:
            yield path
