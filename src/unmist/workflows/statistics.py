"""What a data set's own pictures give: measured once, kept by content, read by every evaluation.

They lie under the cache (UNMIST_CACHE, else ~/.cache/unmist) in `statistics/`, named by the data
set's fingerprint and the features. A file that was damaged is made again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from unmist.base import files
from unmist.base.faults import CannotWrite
from unmist.data.dataset import DataSet
from unmist.data.index import cache_home
from unmist.run.lock import hold
from unmist.workflows.blocks import (
    Block,
    Job,
    Rows,
    divided,
    kept_blocks,
    missing,
    rows_of,
)
from unmist.workflows.sealed import read_sealed, write_sealed
from unmist.workflows.workers import made, processes_for

__all__ = ["Statistics", "known_statistics", "measuring", "statistics_home", "statistics_path"]

PARTS = ("train", "held")


@dataclass(frozen=True, eq=False)
class Statistics:
    """Features (n, d) of the training and the held-out part, row i of data row `rows[i]`.

    probabilities: of the held-out pictures, where the features tell classes.
    """

    train: Tensor
    train_rows: Tensor
    held: Tensor
    held_rows: Tensor
    probabilities: Tensor | None

    def tensors(self) -> dict[str, Tensor]:
        """By their names, for a file."""
        own = {"probabilities": self.probabilities} if self.probabilities is not None else {}
        return {name: value for name, value in vars(self).items() if name != "probabilities"} | own


def statistics_home(fallback: Path) -> Path:
    """The folder in the cache, or `fallback` where nothing can be written there."""
    try:
        home = cache_home(None).parent / "statistics"
        with files.told(home):
            home.mkdir(parents=True, exist_ok=True)
        files.write_text(home / "README", "Made by unmist; may be deleted at any time.\n")
    except CannotWrite:
        return fallback
    return home


def statistics_path(home: Path, data: DataSet, features: str) -> Path:
    """The file of a data set under some features."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "_", features)[:60]
    if plain != features:
        plain = f"{plain}_{sha256(features.encode()).hexdigest()[:8]}"
    return home / f"{data.fingerprint}-{plain}.safetensors"


def known_statistics(path: Path, data: DataSet, width: int) -> Statistics | None:
    """From the cache; None where there is none, it is damaged, or the data's split is another."""
    tensors = read_sealed(path)
    if tensors is None:
        return None
    try:
        found = Statistics(**{"probabilities": None, **tensors})
    except TypeError:
        return None
    for part in PARTS:
        rows = torch.from_numpy(rows_of(data, part))
        have, features = tensors[f"{part}_rows"], tensors[part]
        if not torch.equal(have, rows) or features.shape != (len(rows), width):
            return None
    return found


def measuring(job: Job, data: DataSet, size: int, processes: int) -> Iterator[tuple[int, int]]:
    """Measure what is missing of both parts, in blocks; yields how many are done, and of how many.

    Afterwards the file of `statistics_path(job.place, …)` is there. Busy where another process
    measures the same.
    """
    jobs = [_job_of(job, data, part) for part in PARTS]
    wholes = [divided(len(rows_of(data, part)), size) for part in PARTS]
    place, total = _path(job, data).with_suffix(""), sum(map(len, wholes))
    with hold(place):
        done = 0
        for each, blocks in zip(jobs, wholes, strict=True):
            with files.told(each.place):
                each.place.mkdir(parents=True, exist_ok=True)
            left = missing(each, blocks)
            done += len(blocks) - len(left)
            for new in made(each, left, processes_for(processes, len(left)), data):
                yield done + new, total
            done += len(left)
        write_sealed(_path(job, data), _gathered(jobs, wholes, data).tensors())
        files.remove(place)


def _path(job: Job, data: DataSet) -> Path:
    return statistics_path(job.place, data, job.features)


def _job_of(job: Job, data: DataSet, part: str) -> Job:
    place = _path(job, data).with_suffix("") / part
    return replace(job, source=Rows(job.reference, part), place=place, pixels=0)


def _gathered(jobs: list[Job], wholes: list[tuple[Block, ...]], data: DataSet) -> Statistics:
    (train, held), (ours, theirs) = jobs, wholes
    parts = list(kept_blocks(held, theirs))
    told = all("probabilities" in part for part in parts)
    return Statistics(
        train=torch.cat([part["features"] for part in kept_blocks(train, ours)]),
        train_rows=torch.from_numpy(rows_of(data, "train")),
        held=torch.cat([part["features"] for part in parts]),
        held_rows=torch.from_numpy(rows_of(data, "held")),
        probabilities=torch.cat([part["probabilities"] for part in parts]) if told else None,
    )
