"""Slide 1 made visible: one picture at rising noise, with the figures under each column."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.base.noise import Noise
from unmist.codecs.pixels import Pixels
from unmist.core.level import DATA, Level, noised
from unmist.core.schedule import Schedule
from unmist.data.picture import decoded
from unmist.data.reading import Reading
from unmist.run.picture import grid

__all__ = ["Column", "NoiseRow", "labelled", "noise_row", "opened_picture"]

MOST_BYTES = 1 << 28
SIDE = 192  # larger pictures are reduced, smaller ones enlarged when drawn
MOST = 64


@dataclass(frozen=True)
class Column:
    """One picture of the row. noise_variance is measured and to be compared with sigma^2.

    time: of the schedule, 0 at the data and 1 at the noise; variance_error: one standard error of
    the measured variance, sigma^2*sqrt(2/values). log_snr is inf without noise, -inf without data.
    """

    time: float
    alpha: float
    sigma: float
    log_snr: float
    noise_variance: float
    variance_error: float


@dataclass(frozen=True, eq=False)
class NoiseRow:
    """pixels uint8 (n, c, h, w), cleanest first, and the figures of each."""

    pixels: np.ndarray
    columns: tuple[Column, ...]


def opened_picture(path: Path) -> np.ndarray:
    """The first frame of a picture file, uint8 (1 or 3, h, w), no side above 192."""
    try:
        found = decoded(files.read_bytes(path, most=MOST_BYTES, links=True), Reading())
    except BadInput as fault:
        raise BadInput(fault.what, where=path, mend=fault.mend) from None
    pixels = np.ascontiguousarray(
        found.pixels[..., 0] if found.pixels.shape[2] == 1 else found.pixels
    )
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    small = np.asarray(image)
    return small[None] if small.ndim == 2 else small.transpose(2, 0, 1)


def noise_row(
    picture: np.ndarray, schedule: Schedule, *, steps: int = 8, seed: int = 0
) -> NoiseRow:
    """The picture (c, h, w) at `steps` times even from the data to the schedule's top.

    It is shifted and scaled to mean 0 and variance 1 first, as in training; each column has noise
    of its own and is shown at unit variance, x/hypot(alpha, sigma): what a network is given.
    """
    if not 2 <= steps <= MOST:
        raise BadInput(f"{steps} columns", where="look noise", mend=f"2 … {MOST}")
    values = torch.from_numpy(np.array(picture))[None]
    codec = Pixels.measure(values.numpy())
    x0 = codec.encode(values)
    noise = Noise(seed, "look noise", (0,))
    shown, columns = [], []
    for number in range(steps):
        time = number / (steps - 1)
        level = _level(schedule, time)
        x = noised(x0, level, noise(x0, number))
        shown.append(codec.decode(x / float(torch.hypot(level.alpha, level.sigma))).numpy())
        columns.append(_measured(time, level, x - float(level.alpha) * x0))
    return NoiseRow(np.concatenate(shown), tuple(columns))


def _level(schedule: Schedule, time: float) -> Level:
    if time == 0:
        return DATA
    return schedule.top if time == 1 else schedule(time)


def _measured(time: float, level: Level, noise: Tensor) -> Column:
    sigma = float(level.sigma)
    variance = float(noise.double().square().mean())
    error = sigma**2 * (2 / noise.numel()) ** 0.5
    return Column(time, float(level.alpha), sigma, float(level.log_snr), variance, error)


def labelled(row: NoiseRow) -> np.ndarray:
    """The row as one picture (3, H, W), figures under each column."""
    height, width = row.pixels.shape[2:]
    zoom = max(1, -(-112 // width))
    pictures = grid(row.pixels, len(row.columns), zoom=zoom, gap=4)
    font = ImageFont.load_default(size=13)
    lines = 4 * 17 + 6
    page = Image.new("RGB", (pictures.shape[2], height * zoom + lines), "white")
    colours = pictures.repeat(3, axis=0) if len(pictures) == 1 else pictures
    colours[:, :, :] = np.where(_gaps(pictures, width * zoom), 255, colours)
    page.paste(Image.fromarray(colours.transpose(1, 2, 0)), (0, 0))
    pen = ImageDraw.Draw(page)
    for number, column in enumerate(row.columns):
        centre = number * (width * zoom + 4) + width * zoom / 2
        for line, text in enumerate(_texts(column)):
            at = (centre, height * zoom + 4 + 17 * line)
            pen.text(at, text, fill="black", font=font, anchor="ma")
    return np.asarray(page).transpose(2, 0, 1)


def _gaps(pictures: np.ndarray, width: int) -> np.ndarray:
    """True in the columns of pixels between the pictures."""
    return np.broadcast_to(np.arange(pictures.shape[2]) % (width + 4) >= width, pictures.shape[1:])


def _texts(column: Column) -> tuple[str, ...]:
    return (
        f"log-SNR {_number(column.log_snr)}",
        f"alpha {_number(column.alpha)}",
        f"sigma {_number(column.sigma)}",
        f"time {column.time:.2f}",
    )


def _number(value: float) -> str:
    if np.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
