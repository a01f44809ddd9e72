"""A training run in its folder: begun, resumed, saved, rolled back."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unmist.base import files
from unmist.base.faults import BadInput, Diverged
from unmist.base.machine import Machine, differences, facts
from unmist.codecs.pixels import Pixels
from unmist.core.condition import Cond
from unmist.data.dataset import DataSet
from unmist.run import checkpoint
from unmist.run.model import WEIGHTS, Model, joined
from unmist.run.plain import to_plain
from unmist.run.recipe import FAMILIES, Recipe, Saving, read_recipe, write_recipe
from unmist.run.weights import fill, load_weights, write_weights
from unmist.training.loop import Batches, Learner

__all__ = [
    "Course",
    "begin",
    "cleared",
    "learner_of",
    "measured",
    "resume",
    "same_recipe",
    "stored",
]

OURS = frozenset(
    "about.json card.md log.jsonl looks recipe.toml samples scores.json state weights".split()  # noqa: SIM905
)


@dataclass
class Course:
    """A run under way: where it is, what it follows, what it learns from, how far it is."""

    folder: Path
    recipe: Recipe
    data: DataSet
    learner: Learner
    rollbacks: int = 0
    notices: tuple[str, ...] = ()

    @property
    def states(self) -> Path:
        """The checkpoints."""
        return self.folder / "state"

    def due(self, every: int) -> bool:
        """Whether a thing done every so many samples is due now."""
        return (
            self.learner.seen // every > (self.learner.seen - self.recipe.training.batch) // every
        )

    def log(self, entry: dict[str, object]) -> None:
        """One line of `log.jsonl`."""
        line = json.dumps(entry, sort_keys=True, allow_nan=False)
        files.append_line(self.folder / "log.jsonl", line)

    def save(self) -> None:
        """A checkpoint, and the averaged weights for sampling."""
        state = {**self.learner.state(), "slower": self.learner.slower, "rollbacks": self.rollbacks}
        checkpoint.save(self.states, self.learner.seen, self.learner.tensors(), state)
        (self.folder / WEIGHTS).parent.mkdir(exist_ok=True)
        write_weights(self.folder / WEIGHTS, dict(self.learner.ema.state_dict()))

    def roll_back(self, why: str) -> str:
        """To the last checkpoint, at a lower rate; what to tell. Diverged after too many."""
        guard, seen = self.recipe.guard, self.learner.seen
        if self.rollbacks >= guard.rollbacks:
            raise Diverged(
                f"{why}, for the {self.rollbacks + 1}th time, at {seen} samples",
                where=self.folder,
                mend="lower optimizer.rate, or look at the data",
            )
        slower, rollbacks = self.learner.slower * guard.slow_down, self.rollbacks + 1
        restore(self)
        self.learner.slower, self.rollbacks = slower, rollbacks
        self.save()
        return f"{why} at {seen} samples: back to {self.learner.seen}, rate times {slower:g}"


def measured(recipe: Recipe, data: DataSet) -> Recipe:
    """The recipe with shape, codec and saving points filled in from the data."""
    codec = recipe.codec or Pixels.measure(data.values[data.train])
    plan, saving = recipe.training, recipe.saving

    def every(asked: int, share: int) -> int:
        return asked or max(plan.batch, plan.samples // share)

    points = Saving(
        checkpoint=every(saving.checkpoint, 20),
        look=every(saving.look, 10),
        held=every(saving.held, 10),
    )
    return replace(recipe, shape=data.shape, codec=codec, saving=points)


def learner_of(recipe: Recipe, data: DataSet, device: torch.device) -> Learner:
    """The learner of a measured recipe, untrained."""
    codec = recipe.codec
    assert codec is not None

    def fetch(rows: np.ndarray) -> tuple[Tensor, Cond | None]:
        return codec.encode(torch.from_numpy(data.values[rows]).to(device)), None

    def fetch_train(rows: np.ndarray) -> tuple[Tensor, Cond | None]:
        return fetch(data.train[rows])

    return Learner(
        net=joined(recipe).to(device),
        objective=recipe.objective,
        optimizer=recipe.optimizer,
        average=recipe.average,
        schooling=recipe.training,
        batches=Batches(len(data.train), fetch_train),
        guard=recipe.guard,
    )


def begin(
    folder: Path, recipe: Recipe, data: DataSet, machine: Machine, parent: Model | None
) -> Course:
    """A new run: recipe and facts written, a checkpoint at 0 samples; warm from `parent`."""
    learner = learner_of(recipe, data, torch.device(machine.device))
    if parent is not None:
        source = parent.folder / WEIGHTS
        for net in (learner.net, learner.ema):
            fill(net, load_weights(source), where=source)
    course = Course(folder, recipe, data, learner)
    files.write_json(folder / "about.json", about(data, machine, parent))
    course.save()
    # last: a folder with a recipe has everything that resuming needs
    write_recipe(folder / "recipe.toml", recipe)
    return course


def cleared(folder: Path, *, fresh: bool) -> None:
    """Make room for a new run: what a crash left of a beginning goes, an earlier run is set aside.

    Raises BadInput where the folder holds anything that is not ours.
    """
    checkpoint.sweep(folder)
    there = {path.name for path in folder.iterdir()} - {".lock"}
    aside = {name for name in there if re.fullmatch(r"earlier-\d+", name)}
    if strange := sorted(there - OURS - aside):
        raise BadInput(
            f"the folder holds other things ({strange[0]})",
            where=folder,
            mend="give a new or empty folder",
        )
    if fresh and "recipe.toml" in there:
        with files.told(folder):
            old = folder / f"earlier-{len(aside) + 1}"
            old.mkdir()
            for name in sorted(there - aside, key=lambda name: name != "recipe.toml"):
                (folder / name).rename(old / name)
    else:
        for name in there - aside:
            files.remove(folder / name)


def stored(folder: Path) -> dict[str, object]:
    """The facts in `about.json`."""
    path = folder / "about.json"
    told = files.parse_json(files.read_bytes(path, most=1 << 20), where=path)
    if not isinstance(told, dict) or not {"machine", "fingerprint"} <= told.keys():
        raise BadInput("is not what a run writes", where=path, mend="restore it from a copy")
    return told


def resume(
    folder: Path, data: DataSet, machine: Machine, *, accept_drift: bool, accept_rounding: bool
) -> Course:
    """The run in `folder` from its newest whole checkpoint, with as many threads as it began."""
    recipe, before = read_recipe(folder / "recipe.toml"), stored(folder)
    if before["fingerprint"] != data.fingerprint and not accept_drift:
        raise BadInput(
            "the data changed since this run began",
            where=folder,
            mend="restore them, start in another folder, or pass --accept-drift",
        )
    notices = _same_machine(folder, before["machine"], machine, accept_rounding)
    learner = learner_of(recipe, data, torch.device(machine.device))
    course = Course(folder, recipe, data, learner, notices=notices)
    restore(course)
    _trim_log(course)
    return course


def restore(course: Course) -> None:
    """Learner, rate and roll-backs as the newest whole checkpoint has them."""
    found = checkpoint.latest(course.states)
    if found is None:
        raise BadInput(
            "the run has a recipe but no checkpoint",
            where=course.folder,
            mend="start in another folder, or pass --fresh",
        )
    tensors, state = checkpoint.read(found.path)
    for name, module in (("net", course.learner.net), ("ema", course.learner.ema)):
        fill(module, tensors[name], where=found.path / f"{name}.safetensors")
    course.learner.restore(tensors, state)
    course.learner.slower = float(str(state["slower"]))
    course.rollbacks = int(str(state["rollbacks"]))
    course.notices += found.notices


def about(data: DataSet, machine: Machine, parent: Model | None) -> dict[str, object]:
    """What the run was made with: machine, versions, data, the model it began from."""
    return {
        "machine": facts(machine),
        "data": data.name,
        "rows": len(data),
        "held": len(data.held),
        "fingerprint": data.fingerprint,
        "licence": data.licence,
        "parent": parent.digest if parent else "",
    }


def _same_machine(folder: Path, before: object, machine: Machine, accept: bool) -> tuple[str, ...]:
    """What is no longer as it was: told, or refused where it changes the last digits."""
    assert isinstance(before, dict)
    changed = differences(before, facts(machine))
    rounding = [line for line in changed if line.split()[0] not in ("python", "system", "unmist")]
    if rounding and not accept:
        raise BadInput(
            f"{', '.join(rounding)}: the run would not go on to the bit",
            where=folder,
            mend="pass --accept-rounding, or use the machine it began on",
        )
    return changed


def _trim_log(course: Course) -> None:
    """Drop what was logged after the checkpoint: those samples are seen again."""
    path = course.folder / "log.jsonl"
    lines = files.read_lines(path)
    kept = [line for line in lines if _seen(line, path) <= course.learner.seen]
    if len(kept) < len(lines):
        files.write_text(path, "".join(line + "\n" for line in kept))


def _seen(line: str, path: Path) -> int:
    entry = files.parse_json(line.encode(), where=path)
    return int(entry["seen"]) if isinstance(entry, dict) else 0


def same_recipe(asked: Recipe, folder: Path, *, any_length: bool = False) -> None:
    """Refuse to resume under another recipe; what was measured at the start does not count."""
    there = read_recipe(folder / "recipe.toml")
    asked = replace(asked, shape=there.shape, codec=there.codec, saving=there.saving)
    if any_length:  # a time budget became a length when the run began
        plan = replace(asked.training, samples=there.training.samples)
        asked = replace(asked, training=plan)
    ours, theirs = to_plain(asked, FAMILIES), to_plain(there, FAMILIES)
    for path in _differences(ours, theirs, "recipe"):
        raise BadInput(
            f"{path}, but the run began otherwise",
            where=folder,
            mend="choose another folder, or pass --fresh to begin anew",
        )


def _differences(ours: object, theirs: object, path: str) -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted({*ours, *theirs})
        return [d for k in keys for d in _differences(ours.get(k), theirs.get(k), f"{path}.{k}")]
    return [] if ours == theirs else [f"{path} is {theirs}, asked {ours}"]
