"""A model alone, to be given away: what drawing needs, out of a run's folder, whole or not at all.

Left behind are checkpoints, looks, stored averages and caches. `half` stores weights as
float16, which halves the file; drawing still computes in float32. Such weights are other weights:
plans, scales and measures of the first ones are not taken along, and are made anew for these.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.run.card import leave_card
from unmist.run.guide import CLASSIFIER, GUIDE
from unmist.run.model import WEIGHTS, Model, load
from unmist.run.story import read_story
from unmist.run.tuned import TUNED
from unmist.run.weights import write_weights

__all__ = ["Packed", "pack"]

RUN = ("recipe.toml", "about.json", "log.jsonl", "codec")
OF_WEIGHTS = (TUNED, "scores.json", (GUIDE / "scale.json").as_posix())
CLASSIFIERS = (CLASSIFIER.as_posix(), CLASSIFIER.with_suffix(".safetensors").as_posix())
STUDENTS = ("student-1", "student-2", "student-4")
MOST = 1 << 32


@dataclass(frozen=True)
class Packed:
    """What was written: the folder, its bytes, the students in it, what was left behind and why."""

    folder: Path
    bytes: int
    students: tuple[str, ...]
    left: tuple[str, ...]


def pack(model: Path | str, to: Path | str, *, half: bool = False, weights: str = "last") -> Packed:
    """Copy a model and its finished students into the new folder `to`.

    Raises BadInput where there is no model or `to` is there already, CannotWrite.
    """
    to, loaded = Path(to), load(model, weights=weights)
    if to.exists():
        raise BadInput("is there already", where=to, mend="name a new folder")
    students = [load(loaded.folder / name) for name in STUDENTS if _finished(loaded, name)]
    with files.told(to):
        to.parent.mkdir(parents=True, exist_ok=True)
    with files.whole_folder(to) as beside:
        left = _copied(loaded, beside, half=half, weights=weights)
        for student in students:
            _copied(student, beside / student.folder.name, half=half, weights="last")
    for folder in (to, *(to / student.folder.name for student in students)):
        leave_card(folder)
    size = sum(path.stat().st_size for path in to.rglob("*") if path.is_file())
    return Packed(to, size, tuple(student.folder.name for student in students), left)


def _finished(model: Model, name: str) -> bool:
    folder = model.folder / name
    return (folder / WEIGHTS).is_file() and read_story(folder).finished


def _copied(model: Model, to: Path, *, half: bool, weights: str) -> tuple[str, ...]:
    """What of a run goes along; the names of what is of other weights and stays."""
    for name in (*RUN, *CLASSIFIERS):
        _copy(model.folder / name, to / name)
    tensors = {name: _stored(part, half=half) for name, part in model.net.state_dict().items()}
    (to / WEIGHTS).parent.mkdir(parents=True)
    write_weights(to / WEIGHTS, tensors)
    there = tuple(name for name in OF_WEIGHTS if (model.folder / name).is_file())
    same = weights == "last" and files.digest(to / WEIGHTS) == model.digest
    for name in there if same else ():
        _copy(model.folder / name, to / name)
    return () if same else there


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        for path in sorted(source.iterdir()):
            _copy(path, target / path.name)
    elif source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(target, files.read_bytes(source, most=MOST))


def _stored(tensor: Tensor, *, half: bool) -> Tensor:
    return tensor.to(torch.float16) if half and tensor.dtype == torch.float32 else tensor
