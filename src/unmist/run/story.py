"""What a run's folder tells: recipe, facts, log, measures, looks. Nothing is loaded into a net."""

import fcntl
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.run.model import WEIGHTS
from unmist.run.recipe import Recipe, read_recipe

__all__ = ["Held", "Point", "Story", "read_story"]

_LOOK = re.compile(r"\d{9,15}\.png")
MOST = 1 << 24

Table = Mapping[str, object]


@dataclass(frozen=True)
class Held:
    """The held-out loss at one time: mean, one standard error, and by log(sigma/alpha)."""

    mean: float
    error: float
    edges: tuple[float, ...]
    means: tuple[float, ...]


@dataclass(frozen=True)
class Point:
    """One line of the log; nan where the number was not finite or not told.

    measure: what samples drawn then were worth, empty where none were; alarms: what it rang.
    """

    seen: int
    loss: float
    grad_norm: float
    speed: float
    held: Held | None
    notice: str
    measure: Table = field(default_factory=dict)
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Story:
    """A run as its folder tells it. scores is empty where nothing was measured yet."""

    folder: Path
    recipe: Recipe
    about: Table
    points: tuple[Point, ...]
    scores: Table
    looks: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def seen(self) -> int:
        """Samples seen, by the log."""
        return self.points[-1].seen if self.points else 0

    @property
    def held(self) -> tuple[tuple[int, Held], ...]:
        """The held-out losses, with the samples seen before each."""
        return tuple((point.seen, point.held) for point in self.points if point.held)

    @property
    def alarms(self) -> tuple[tuple[int, str], ...]:
        """What the run warned of, and after how many samples."""
        return tuple((point.seen, line) for point in self.points for line in point.alarms)

    def measures(self, name: str) -> tuple[tuple[int, float], ...]:
        """A number of the measures of samples during training, by samples seen; nan if not told."""
        return tuple((p.seen, _number(p.measure.get(name))) for p in self.points if p.measure)

    @property
    def finished(self) -> bool:
        """Whether it has seen all the samples of its recipe."""
        return self.seen >= self.recipe.training.samples

    @property
    def busy(self) -> bool:
        """Whether a process works in the folder now."""
        try:
            lock = os.open(self.folder / ".lock", os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(lock)
        return False

    @property
    def digest(self) -> str:
        """SHA-256 of the weights, empty where there are none yet."""
        path = self.folder / WEIGHTS
        return files.digest(path) if path.is_file() else ""


def read_story(folder: Path) -> Story:
    """All that a run's folder tells. Raises BadInput where it is no run, or a part is damaged."""
    if not (folder / "recipe.toml").is_file():
        mend = "give the folder that `unmist train` wrote"
        raise BadInput("no run is here (recipe.toml is missing)", where=folder, mend=mend)
    log = folder / "log.jsonl"
    points = (_point(files.parse_json(line.encode(), where=log), log) for line in _lines(log))
    looks = folder / "looks"
    names = sorted(p for p in looks.iterdir() if _LOOK.fullmatch(p.name)) if looks.is_dir() else []
    return Story(
        folder=folder,
        recipe=read_recipe(folder / "recipe.toml"),
        about=_table(folder / "about.json"),
        points=tuple(points),
        scores=_table(folder / "scores.json"),
        looks=tuple(names),
    )


def _lines(log: Path) -> list[str]:
    return files.read_lines(log)


def _table(path: Path) -> Table:
    """A JSON object, empty where the file is not there."""
    if not path.is_file():
        return {}
    table = files.parse_json(files.read_bytes(path, most=MOST), where=path)
    if not isinstance(table, dict):
        raise BadInput("holds no table", where=path, mend="it was altered")
    return table


def _point(entry: object, log: Path) -> Point:
    if not isinstance(entry, dict) or not isinstance(entry.get("seen"), int):
        raise BadInput("a line does not say how many samples were seen", where=log)
    held = entry.get("held")
    return Point(
        entry["seen"],
        _number(entry.get("loss")),
        _number(entry.get("grad_norm")),
        _number(entry.get("speed")),
        _held(held) if isinstance(held, dict) else None,
        str(entry.get("notice", "")),
        measure if isinstance(measure := entry.get("measure"), dict) else {},
        tuple(map(str, alarms)) if isinstance(alarms := entry.get("alarm"), list) else (),
    )


def _held(table: Table) -> Held:
    edges, means = _numbers(table.get("edges")), _numbers(table.get("means"))
    return Held(_number(table.get("mean")), _number(table.get("error")), edges, means)


def _numbers(value: object) -> tuple[float, ...]:
    return tuple(map(_number, value)) if isinstance(value, list) else ()


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
