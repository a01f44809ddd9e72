"""What an edit leaves: each picture, a grid of all, an animation where it is a way."""

from dataclasses import replace
from pathlib import Path

from unmist.run.export import write_array
from unmist.run.picture import grid, save_film, save_picture
from unmist.run.views import stills
from unmist.workflows.gallery import Written, save_moving, zoom_for
from unmist.workflows.sample import Samples, Shot

__all__ = ["save_edit"]


def save_edit(samples: Samples, shot: Shot, folder: Path, verb: str) -> Written:
    """`verb-seed-number.png`, a grid where there are several, `blend.webp` for a blend."""
    pictures, name = [], f"{verb}-{shot.seed}"
    shown = stills(samples.pixels, time=samples.time)
    for number, picture in enumerate(shown, start=shot.first):
        path = folder / f"{name}-{number:06}.png"
        save_picture(path, picture, {**samples.settings, "sample": number, "kind": "edit"})
        pictures.append(path)
    written = Written(tuple(pictures))
    if samples.pixels.ndim != 4:
        array = folder / f"{name}.npy"
        write_array(array, samples.pixels)
        written = replace(written, array=array)
    if samples.pixels.ndim == 5:
        written = replace(written, film=save_moving(samples, folder / f"{name}.webp"))
    if len(pictures) < 2:
        return written
    told = {**samples.settings, "count": len(pictures), "kind": "edit"}
    zoom, whole = zoom_for(shown[:1]), folder / f"{name}-grid.png"
    save_picture(whole, grid(shown, zoom=zoom), told)
    written = replace(written, grid=whole)
    if verb != "blend":
        return written
    film = folder / f"{name}.webp"
    frames = [grid(frame[None], zoom=zoom) for frame in shown]
    save_film(film, frames, told)
    return replace(written, film=film)
