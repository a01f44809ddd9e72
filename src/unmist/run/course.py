"""A training run in its folder: begun, resumed, saved, rolled back."""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unmist.base import files
from unmist.base.faults import BadInput, Diverged
from unmist.base.machine import Machine, differences, facts
from unmist.codecs.latent import Latent
from unmist.core.condition import Cond
from unmist.core.denoiser import Denoiser
from unmist.core.objective import Lesson
from unmist.data.dataset import DataSet
from unmist.run import averages, checkpoint
from unmist.run.best import Best, keep_best
from unmist.run.codec import CODEC, keep_codec, read_codec
from unmist.run.given import Given, given_of
from unmist.run.latents import rows_of
from unmist.run.model import WEIGHTS, Model, joined, with_codec
from unmist.run.recipe import Recipe, read_recipe, write_recipe
from unmist.run.weights import fill, load_weights, write_weights
from unmist.training.alarms import Alarm, Watch
from unmist.training.augment import Augment
from unmist.training.distill import Distilling
from unmist.training.ema import Tracks
from unmist.training.loop import Batches, Learner, Stats

__all__ = [
    "Course",
    "begin",
    "cleared",
    "learner_of",
    "resume",
    "stored",
]

OURS = frozenset(
    (
        *("about.json", "card.md", "log.jsonl", "looks", "measures", "recipe.toml", "report.html"),
        *("codec", "guide", "samples", "scores.json", "state", "tuned.json", "weights"),
        *("student-1", "student-2", "student-4"),
    )
)


@dataclass
class Course:
    """A run under way: where it is, what it follows, what it learns from, how far it is.

    given: the conditions of rows; tracks: averages of other widths; watch: of the held-out loss;
    best: the weights kept; ringing: kinds of alarms that have been told and last; short: classes
    too rare at the last measure.
    """

    folder: Path
    recipe: Recipe
    data: DataSet
    learner: Learner
    given: Given
    rollbacks: int = 0
    notices: tuple[str, ...] = ()
    watch: Watch = field(default_factory=Watch)
    best: Best | None = None
    ringing: tuple[str, ...] = ()
    short: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        recipe = self.recipe
        self.tracks = Tracks.start(recipe.snapshots, recipe.average, self.learner.net)
        plan = recipe.training
        self.points = frozenset(recipe.snapshots.times(plan.samples, plan.batch))

    @property
    def states(self) -> Path:
        """The checkpoints."""
        return self.folder / "state"

    def advance(self) -> Stats:
        """One update of the network and of all averages."""
        stats = self.learner.advance()
        if not stats.skipped:
            self.tracks.update(self.learner.net, stats.seen // self.recipe.training.batch)
        return stats

    def due(self, every: int) -> bool:
        """Whether a thing done every so many samples (-1: never) is due now."""
        return every > 0 and (
            self.learner.seen // every > (self.learner.seen - self.recipe.training.batch) // every
        )

    def log(self, entry: dict[str, object]) -> None:
        """One line of `log.jsonl`."""
        line = json.dumps(entry, sort_keys=True, allow_nan=False)
        files.append_line(self.folder / "log.jsonl", line)

    def save(self) -> None:
        """A checkpoint, and the averaged weights for sampling."""
        state = {
            **self.learner.state(),
            "slower": self.learner.slower,
            "rollbacks": self.rollbacks,
            "best": asdict(self.best) if self.best else None,
            "turns": self.watch.plain(),
            "ringing": list(self.ringing),
            "short": list(self.short),
        }
        watched = {} if self.watch.low is None else {"watch": {"low": self.watch.low}}
        tensors = {**self.learner.tensors(), **self.tracks.tensors(), **watched}
        # the checkpoint last: once it is there nothing of it is done again, were it the run's end
        (self.folder / WEIGHTS).parent.mkdir(exist_ok=True)
        write_weights(self.folder / WEIGHTS, dict(self.learner.ema.state_dict()))
        checkpoint.save(self.states, self.learner.seen, tensors, state)

    def store_averages(self) -> None:
        """The averages as they are, where this is one of the points to store them."""
        if self.learner.seen in self.points:
            main, widths = self.recipe.average.width, self.recipe.snapshots.widths
            ours = {main: self.learner.ema} if main in widths else {}
            averages.store(self.folder, self.learner.seen, {**ours, **self.tracks.nets})

    def offer(self, value: float, scores: object) -> bool:
        """Keep the averaged weights if their score is the best so far; whether it was."""
        new = Best(self.learner.seen, self.recipe.measuring.best, value)
        if not np.isfinite(value) or (self.best is not None and not self.best.beaten(value)):
            return False
        self.best = new
        keep_best(self.folder, new, dict(self.learner.ema.state_dict()), scores)
        return True

    def ring(self, alarms: list[Alarm], judged: tuple[str, ...]) -> tuple[str, ...]:
        """The lines of alarms not told yet; of the kinds judged now, those past are forgotten."""
        now = {alarm.kind for alarm in alarms}
        fresh = tuple(alarm.line for alarm in alarms if alarm.kind not in self.ringing)
        lasting = {kind for kind in self.ringing if kind not in judged or kind in now}
        self.ringing = tuple(sorted(lasting | now))
        return fresh

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


def learner_of(
    recipe: Recipe, data: DataSet, given: Given, teacher: Denoiser | None = None
) -> Learner:
    """The learner of a measured recipe, untrained, on the device of what is given.

    teacher: what a student learns from.
    """
    codec, device = recipe.codec, given.device
    assert codec is not None
    rows = rows_of(codec, data, device)

    def fetch_train(numbers: np.ndarray) -> tuple[Tensor, Cond | None]:
        chosen = data.train[numbers]
        return rows(chosen), given(chosen)

    return Learner(
        net=joined(recipe).to(device),
        objective=lesson_of(recipe, teacher),
        optimizer=recipe.optimizer,
        average=recipe.average,
        schooling=recipe.training,
        batches=Batches(len(data.train), fetch_train),
        guard=recipe.guard,
        augment=recipe.augment if teacher is None else Augment(),
        rolling=recipe.rolling if teacher is None else 0.0,
    )


def lesson_of(recipe: Recipe, teacher: Denoiser | None) -> Lesson:
    """What is minimised: the recipe's objective, or its teacher's steps where it is a student."""
    if recipe.student is None:
        return recipe.objective
    if teacher is None:
        mend = "use unmist distill, with the model it was made from"
        raise BadInput("a student learns from its teacher alone", where="student", mend=mend)
    return Distilling(teacher, recipe.schedule, recipe.prediction, recipe.student)


def begin(
    folder: Path,
    recipe: Recipe,
    data: DataSet,
    machine: Machine,
    parent: Model | None = None,
    teacher: Denoiser | None = None,
) -> Course:
    """A new run: recipe and facts written, a checkpoint at 0 samples; warm from `parent`."""
    given = given_of(recipe, data, torch.device(machine.device))
    learner = learner_of(recipe, data, given, teacher)
    if parent is not None:
        source = parent.folder / WEIGHTS
        for net in (learner.net, learner.ema):
            fill(net, load_weights(source), where=source)
    course = Course(folder, recipe, data, learner, given, notices=data.notes)
    files.write_json(folder / "about.json", about(data, machine, parent))
    _leave_codec(folder / CODEC, recipe)
    course.save()
    # last: a folder with a recipe has everything that resuming needs
    write_recipe(folder / "recipe.toml", recipe)
    return course


def _leave_codec(folder: Path, recipe: Recipe) -> None:
    """The codec of a run, where it was not taught in its folder."""
    codec = recipe.codec
    if not isinstance(codec, Latent):
        return
    there = read_codec(folder)
    if there is None or there.digest != codec.digest:
        assert codec.net is not None
        keep_codec(folder, codec, codec.net, {"reused": True})


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
        for name in there - aside - {CODEC.name}:  # it may have been taught for this run
            files.remove(folder / name)


def stored(folder: Path) -> dict[str, object]:
    """The facts in `about.json`."""
    path = folder / "about.json"
    told = files.parse_json(files.read_bytes(path, most=1 << 20), where=path)
    if not isinstance(told, dict) or not {"machine", "fingerprint"} <= told.keys():
        raise BadInput("is not what a run writes", where=path, mend="restore it from a copy")
    return told


def resume(
    folder: Path,
    data: DataSet,
    machine: Machine,
    teacher: Denoiser | None = None,
    *,
    accept_drift: bool,
    accept_rounding: bool,
) -> Course:
    """The run in `folder` from its newest whole checkpoint, with as many threads as it began.

    teacher: what a student learns from.
    """
    recipe, before = with_codec(read_recipe(folder / "recipe.toml"), folder), stored(folder)
    if before["fingerprint"] != data.fingerprint and not accept_drift:
        raise BadInput(
            "the data changed since this run began",
            where=folder,
            mend="restore them, start in another folder, or pass --accept drift",
        )
    notices = _same_machine(folder, before["machine"], machine, accept_rounding)
    given = given_of(recipe, data, torch.device(machine.device))
    learner = learner_of(recipe, data, given, teacher)
    course = Course(folder, recipe, data, learner, given, notices=notices)
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
    _restore_watched(course, tensors, state)
    averages.trim(course.folder, course.learner.seen)


def _restore_watched(course: Course, tensors: checkpoint.Tensors, state: dict[str, object]) -> None:
    """What is followed beside the learner; a checkpoint of an earlier version has none of it."""
    tracked = course.tracks.tensors().keys()
    if tracked <= tensors.keys():
        for name, net in zip(tracked, course.tracks.nets.values(), strict=True):
            fill(net, tensors[name], where=f"{name}.safetensors")
    else:
        course.tracks, course.points = Tracks({}), frozenset()
        course.notices += ("the run began without stored averages, and goes on without them",)
    course.best = Best.from_plain(state.get("best"))
    low = tensors.get("watch", {}).get("low")
    course.watch = course.watch.restored(state.get("turns", []), low)
    course.ringing, course.short = (_words(state.get(key)) for key in ("ringing", "short"))


def _words(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def about(data: DataSet, machine: Machine, parent: Model | None) -> dict[str, object]:
    """What the run was made with: machine, versions, data, the model it began from."""
    return {
        "machine": facts(machine),
        "data": data.name,
        "rows": len(data),
        "held": len(data.held),
        "fingerprint": data.fingerprint,
        "licence": data.licence,
        "notes": list(data.notes),
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
            mend="pass --accept rounding, or use the machine it began on",
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
