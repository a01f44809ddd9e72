"""Pictures measured in blocks: each written whole, so that a killed run goes on with the rest.

A block is a function of its first and last number alone: which process makes it, when, and beside
which others changes nothing. Every process works with one thread for the same reason.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.base.noise import keyed
from unmist.data.dataset import DataSet
from unmist.data.opening import open_data
from unmist.metrics.features import Features, extract
from unmist.run.given import given_of
from unmist.run.model import WEIGHTS, Model, load
from unmist.run.picture import read_settings
from unmist.run.recipe import Data
from unmist.workflows.judging import Judge, probabilities
from unmist.workflows.sample import Shot, Told, sample
from unmist.workflows.sealed import read_sealed, write_sealed

__all__ = [
    "HELD_MOST",
    "TRAIN_MOST",
    "Block",
    "Chosen",
    "Drawn",
    "Job",
    "Reference",
    "Rows",
    "divided",
    "follows_data",
    "kept_blocks",
    "make_block",
    "missing",
    "one_thread",
    "part_of",
    "rows_of",
    "stream",
]

TRAIN_MOST = 100_000  # training pictures among which copies are sought
HELD_MOST = 50_000  # held-out pictures that samples are compared with

Block = tuple[int, int]  # first number and the one after the last


@dataclass(frozen=True)
class Reference:
    """A data set by its source, brought to a shape (c, *s) where one is given."""

    data: Data
    shape: tuple[int, ...] = ()

    def open(self) -> DataSet:
        """The data set as it is now, drifted or not; BadInput where its shape cannot be had."""
        data, shape = self.data, self.shape
        pictures = len(shape) == 3
        opened = open_data(
            data.source,
            size=(shape[1], shape[2]) if pictures else data.size or None,
            channels=shape[0] if pictures else data.channels or None,
            fit=data.fit,
            background=data.background,
            frames=data.frames,
            accept_drift=True,
        )
        if shape and opened.shape != shape:
            raise BadInput(
                f"data of shape {opened.shape} against {shape}",
                where=data.source,
                mend="give data of one shape",
            )
        return opened


@dataclass(frozen=True)
class Drawn:
    """Samples of a model, whose weights must stay those of `digest`."""

    folder: Path
    digest: str
    shot: Shot

    def open(self) -> Model:
        """The model. Raises BadInput where training went on meanwhile."""
        for path in sorted((self.folder / WEIGHTS).parent.glob("*.safetensors")):
            if files.digest(path) == self.digest:
                name = "last" if path.name == WEIGHTS.name else path.stem
                return load(self.folder, weights=name)
        raise BadInput(
            "the weights changed while they were measured",
            where=self.folder,
            mend="evaluate again, best when no training runs in it",
        )


@dataclass(frozen=True)
class Rows:
    """Pictures of a data set: "all" (but grids and animations of ours), "train" or "held"."""

    reference: Reference
    part: str = "all"

    def open(self, data: DataSet | None = None) -> "Chosen":
        """Values and row numbers; `data` is what the reference opens, where it is open already."""
        data = data or self.reference.open()
        if self.part != "all":
            return Chosen(data.values, rows_of(data, self.part))
        named = enumerate(data.sources)
        return Chosen(data.values, np.array([n for n, s in named if not self._many(s)], np.int64))

    def _many(self, name: str) -> bool:
        """Whether a file shows many samples at once, as `unmist sample` leaves beside them."""
        path = Path(self.reference.data.source) / name
        if path.name not in ("grid.png", "denoising.webp") or not path.is_file():
            return False
        try:
            return read_settings(path).get("kind") in ("grid", "film")
        except BadInput:
            return False


@dataclass(frozen=True, eq=False)
class Chosen:
    """Rows of values uint8 (n, c, *s), by their numbers."""

    values: np.ndarray
    rows: np.ndarray


def rows_of(data: DataSet, part: str) -> np.ndarray:
    """Row numbers of the "train" or "held" part, at most as many as are used, always the same."""
    rows, most = (data.train, TRAIN_MOST) if part == "train" else (data.held, HELD_MOST)
    if len(rows) <= most:
        return rows
    return np.sort(rows[keyed(0, "measured rows").permutation(len(rows))[:most]])


@dataclass(frozen=True)
class Job:
    """What is measured, by which features, where the blocks are kept. Fit to be sent to a process.

    Pixels are kept of the first `pixels` pictures, for neighbours and the page; features of all.
    """

    source: Drawn | Rows
    reference: Reference
    judge: Judge
    features: str
    place: Path
    pixels: int

    def path(self, block: Block) -> Path:
        """The file of a block."""
        return self.place / f"{block[0]:09d}-{block[1]:09d}.safetensors"


@dataclass(frozen=True, eq=False)
class Part:
    """What a process needs to make blocks: the job, its source opened, the features.

    told: the conditions of samples by their numbers, where the data say them.
    """

    job: Job
    opened: Model | Chosen
    features: Features
    told: Told | None = None


def part_of(job: Job, data: DataSet | None = None) -> Part:
    """The job made ready in this process; BadInput where its features come out as others."""
    data = data or job.reference.open()
    features = job.judge.open(data)
    if features.name != job.features:
        raise BadInput(
            f"the features came out as {features.name}, not {job.features}",
            mend="measure with --processes 1",
        )
    if isinstance(job.source, Drawn):
        model = job.source.open()
        return Part(job, model, features, told_by(job, model, data))
    known = data if job.source.reference == job.reference else None
    return Part(job, job.source.open(known), features)


def follows_data(job: Job, model: Model) -> bool:
    """Whether samples are drawn with the conditions of the data: its own, and nothing is wished."""
    assert isinstance(job.source, Drawn)
    own = job.reference.data == model.recipe.data and job.source.shot.wish is None
    return own and bool(model.recipe.conditions)


def told_by(job: Job, model: Model, data: DataSet) -> Told | None:
    """The conditions of held-out rows in turn, in an order that is always the same."""
    if not follows_data(job, model):
        return None
    given = given_of(model.recipe, data, model.device)
    rows = keyed(0, "told").permutation(data.held)
    return lambda ids: given(rows[np.asarray(ids) % len(rows)])


def divided(count: int, size: int) -> tuple[Block, ...]:
    """The numbers 0 … count-1 in blocks."""
    return tuple((first, min(first + size, count)) for first in range(0, count, size))


def missing(job: Job, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The blocks that are not kept yet; a damaged one counts as missing and is removed."""
    left = []
    for block in blocks:
        if read_sealed(job.path(block)) is None:
            files.remove(job.path(block))
            left.append(block)
    return tuple(left)


def make_block(part: Part, block: Block) -> None:
    """Draw or read the pictures of a block, extract their features, keep them."""
    pixels, calls = _pixels(part, block)
    found = extract(part.features, pixels)
    tensors = {"features": found, "calls": torch.tensor(calls)}
    chances = probabilities(part.features, found)
    if chances is not None:
        tensors["probabilities"] = chances
    if block[0] < part.job.pixels:
        tensors["pixels"] = torch.from_numpy(pixels)
    write_sealed(part.job.path(block), tensors)


def _pixels(part: Part, block: Block) -> tuple[np.ndarray, int]:
    """uint8 (n, c, *s) of a block, and the network evaluations each took."""
    first, last = block
    if isinstance(part.opened, Chosen):
        return np.array(part.opened.values[part.opened.rows[first:last]]), 0
    assert isinstance(part.job.source, Drawn)
    shot = part.job.source.shot
    shot = replace(shot, first=shot.first + first, count=last - first)
    drawn = sample(part.opened, shot, part.told)
    return drawn.pixels, drawn.calls


def kept_blocks(job: Job, blocks: tuple[Block, ...]) -> Iterator[dict[str, Tensor]]:
    """The tensors of each block, in order. Raises BadInput where one is gone."""
    for block in blocks:
        tensors = read_sealed(job.path(block))
        if tensors is None:
            raise BadInput("a measured block is gone", where=job.path(block), mend="repeat")
        yield tensors


def stream(job: Job, blocks: tuple[Block, ...], name: str) -> Iterator[Tensor]:
    """One tensor of each block, in order, where it has it: memory of a block at a time."""
    for tensors in kept_blocks(job, blocks):
        if name in tensors:
            yield tensors[name]


@contextmanager
def one_thread() -> Iterator[None]:
    """torch with one thread inside, with as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
