"""Measures of a model or of pictures against data: distance, variety, copies (slide 11)."""

import json
import re
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from unmist.base import files
from unmist.base.faults import BadInput, Busy
from unmist.data.dataset import DataSet
from unmist.data.opening import located
from unmist.metrics.classes import ClassBalance
from unmist.metrics.estimate import Estimate
from unmist.metrics.frechet import frechet_name
from unmist.run.card import leave_card
from unmist.run.lock import hold
from unmist.run.model import Model, load
from unmist.run.plain import to_plain
from unmist.run.recipe import FAMILIES, Data, mirrors
from unmist.run.shipped import refuse_shipped
from unmist.run.story import read_story
from unmist.workflows.blocks import (
    Block,
    Drawn,
    Job,
    Reference,
    Rows,
    divided,
    follows_data,
    missing,
    stream,
)
from unmist.workflows.judging import CLASSIFIER, Judge
from unmist.workflows.likelihood import ROUTES, bits_per_dimension
from unmist.workflows.measures import NEAR_MOST, Found, measured
from unmist.workflows.report import Subject, page
from unmist.workflows.sample import Shot, settings_of
from unmist.workflows.shots import MOST, checked_shot, whole_shot
from unmist.workflows.statistics import (
    Statistics,
    known_statistics,
    measuring,
    statistics_home,
    statistics_path,
)
from unmist.workflows.verdict import Sentence, verdict
from unmist.workflows.workers import made, processes_for

__all__ = ["Asked", "Progress", "Scores", "evaluate", "evaluating", "is_run"]

LEAST = 100  # pictures of either side: below that neither distance nor the copies' threshold hold
BLOCK = 250
BITS_MOST, BITS_STEPS = 512, 10_000
COUNT = 1000
_WORK = re.compile(r"[0-9a-f]{12}-[0-9a-f]{12}")
_BLOCK = re.compile(r"[0-9]{9,}-[0-9]{9,}\.safetensors")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked for beside what is judged.

    against: data (default: what the model learned from); count: how many pictures are judged (1,000
    drawn, or all that are given); shot: how samples are drawn; features: the judge in a few words;
    processes: 0 for as many as are worth their start; to: where scores and page go (default: the
    model's folder); fresh: measure again what is kept; block: pictures a block; bits: also the bits
    per dimension of held-out pictures, over so many steps (0: not; models only).
    """

    against: str = ""
    count: int | None = None
    shot: Shot = field(default_factory=lambda: Shot(seed=1))
    features: str = CLASSIFIER
    processes: int = 1
    to: Path | None = None
    fresh: bool = False
    block: int = BLOCK
    bits: int = 0


@dataclass(frozen=True)
class Scores:
    """What was measured, each number with its size, interval and floor, and where the page is."""

    estimates: tuple[Estimate, ...]
    balance: ClassBalance | None
    features: str
    accuracy: float | None
    notes: tuple[str, ...]
    verdict: tuple[Sentence, ...]
    settings: dict[str, object]
    report: Path

    def named(self, name: str) -> Estimate:
        """The estimate of this name; BadInput names those there are."""
        for estimate in self.estimates:
            if estimate.name == name:
                return estimate
        known = ", ".join(estimate.name for estimate in self.estimates)
        raise BadInput(f"no measure '{name}' was taken", where="scores", mend=f"there are {known}")

    @property
    def frechet(self) -> Estimate:
        """The Fréchet distance, called FID in Inception's features alone."""
        return self.named(frechet_name(self.features))

    def _classes(self) -> dict[str, object]:
        """Of each class its share of the samples and of the data, and those that are lost."""
        if self.balance is None:
            return {}
        shares = {name: list(pair) for name, pair in self.balance.shares.items()}
        return {"shares": shares, "lost": list(self.balance.lost)}

    def plain(self) -> dict[str, object]:
        """As plain values, for `scores.json` and `--json`."""
        return {
            **{estimate.name: estimate.plain() for estimate in self.estimates},
            "classes": self._classes(),
            "features": self.features,
            "classifier_held_out_accuracy": self.accuracy,
            "notes": list(self.notes),
            "verdict": [sentence.text for sentence in self.verdict],
            "settings": self.settings,
        }


@dataclass(frozen=True)
class Progress:
    """How far an evaluation is: its stage in words, done of total; the last one has the scores."""

    stage: str
    done: int = 0
    total: int = 0
    note: str = ""
    scores: Scores | None = None


def evaluate(what: Model | Path | str, asked: Asked | None = None) -> Scores:
    """`evaluating`, drained; the scores."""
    for progress in evaluating(what, asked):
        if progress.scores is not None:
            return progress.scores
    raise AssertionError("an evaluation ends with its scores")


def evaluating(what: Model | Path | str, asked: Asked | None = None) -> Iterator[Progress]:
    """Measure a model (loaded, or its folder) or pictures (a folder, an array) against data.

    Leaves `scores.json` and `report.html`; what was measured is kept in `measures/` beside them,
    so that a killed evaluation goes on with what is missing. Raises BadInput, CannotWrite, Busy.
    """
    asked = asked or Asked()
    yield Progress("opening the data")
    task, data = _task(what, asked)
    for note in _drifted(task, data):
        yield Progress("opening the data", note=note)
    home = statistics_home(task.place / "measures")
    judge = Judge(asked.features, home)
    yield Progress("teaching the features")
    features = judge.open(data)
    work = _work_folder(task, features.name)
    job = Job(task.source, task.reference, judge, features.name, work, NEAR_MOST)
    statistics = yield from _statistics(replace(job, place=home), data, features.width, asked)
    with hold(work):
        blocks = divided(task.count, asked.block)
        yield from _blocks(job, blocks, task, data)
        yield Progress("comparing")
        flips = task.model is not None and mirrors(task.model.recipe)
        scores = _finished(task, Found(data, features, statistics, job, blocks, flips))
    _forget_others(work)
    own = task.model is not None and task.place.resolve() == task.model.folder.resolve()
    yield Progress("done", note=leave_card(task.place) if own else "", scores=scores)


@dataclass(frozen=True, eq=False)
class _Task:
    """What is judged: `identity` is the digest of the weights or of the pictures."""

    name: str
    source: Drawn | Rows
    reference: Reference
    identity: str
    count: int
    place: Path
    model: Model | None
    asked: Asked


def _task(what: Model | Path | str, asked: Asked) -> tuple[_Task, DataSet]:
    """The task and the data it is measured against, both fit to be measured. Raises BadInput."""
    for name, value, least in (("count", asked.count, LEAST), ("block", asked.block, 1)):
        if value is not None and not least <= value <= MOST:
            raise BadInput(f"{name} {value}", where="evaluate", mend=f"give {least} … {MOST}")
    if asked.bits and not (isinstance(what, Model) or is_run(what)):
        raise BadInput("bits are for models, these are pictures", where=str(what), mend="leave out")
    if asked.bits % 2 or not 0 <= asked.bits <= BITS_STEPS:
        mend = f"an even number up to {BITS_STEPS}, or 0 for none"
        raise BadInput(f"bits {asked.bits}", where="evaluate", mend=mend)
    processes_for(asked.processes, 1)
    if isinstance(what, Model) or is_run(what):
        model = what if isinstance(what, Model) else load(what)
        task, data = _of_model(model, asked)
    else:
        task, data = _of_pictures(str(what), asked)
    _enough(f"{len(data.held)} held-out pictures", len(data.held), data.name, "against")
    _enough(f"{task.count} pictures", task.count, task.name)
    return task, data


def _enough(told: str, count: int, where: str, how: str = "") -> None:
    if count < LEAST:
        raise BadInput(
            f"{told} are too few to measure {how}".rstrip(),
            where=where,
            mend=f"{LEAST} are needed{', about ten times that in all' if how else ''}",
        )


def is_run(what: Path | str) -> bool:
    """Whether this is the folder of a model, not of pictures."""
    try:
        return (Path(what) / "recipe.toml").is_file()
    except (OSError, ValueError):  # names that no file can have
        return False


def _of_model(model: Model, asked: Asked) -> tuple[_Task, DataSet]:
    own = model.recipe.data
    other = asked.against and asked.against != own.source
    reference = Reference(replace(own, source=asked.against), model.shape) if other else None
    reference = reference or Reference(own)
    shot = replace(checked_shot(whole_shot(model, asked.shot)), count=1)
    place = asked.to or model.folder
    refuse_shipped(place)
    count = COUNT if asked.count is None else asked.count
    drawn = Drawn(model.folder, model.digest, shot)
    task = _Task(model.name, drawn, reference, model.digest, count, place, model, asked)
    data = reference.open()
    if data.shape != model.shape:
        raise BadInput(f"data of shape {data.shape}, a model of {model.shape}", where=model.folder)
    return task, data


def _of_pictures(what: str, asked: Asked) -> tuple[_Task, DataSet]:
    path = located(what)
    if not asked.against:
        mend = "add --against and a folder, an array or a built-in set"
        raise BadInput("is no model and no data are named to measure it against", where=what,
                       mend=mend)  # fmt: skip
    reference = Reference(Data(source=asked.against))
    data = reference.open()
    source = Rows(Reference(Data(source=what), data.shape))
    given = source.reference.open()
    rows = source.open(given).rows
    count = len(rows) if asked.count is None else asked.count
    if count > len(rows):
        raise BadInput(f"holds {len(rows)} pictures, {count} are asked for", where=what)
    place = asked.to or Path(f"unmist-{Path(path).resolve().stem}-measured")
    task = _Task(given.name, source, reference, given.fingerprint, count, place, None, asked)
    return task, data


def _drifted(task: _Task, data: DataSet) -> Iterator[str]:
    """Whether the model's own data, where it is measured by them, are no longer as they were."""
    if task.model is None or task.reference.data != task.model.recipe.data:
        return
    before = read_story(task.model.folder).about.get("fingerprint")
    if before != data.fingerprint:
        yield f"{data.name} changed since this model learned from it: its split may be another"


def _work_folder(task: _Task, features: str) -> Path:
    """One for each set of weights (or pictures), settings and features, whatever the count."""
    shot = to_plain(task.source.shot, FAMILIES) if isinstance(task.source, Drawn) else None
    told = json.dumps([features, shot], sort_keys=True)
    return (
        task.place / "measures" / f"{task.identity[:12]}-{sha256(told.encode()).hexdigest()[:12]}"
    )


def _statistics(
    job: Job, data: DataSet, width: int, asked: Asked
) -> Generator[Progress, None, Statistics]:
    """The data's own, from the cache or measured now."""
    path = statistics_path(job.place, data, job.features)
    known = known_statistics(path, data, width)
    while known is None:
        for done, total in measuring(job, data, asked.block, asked.processes):
            yield Progress("measuring the data", done, total)
        known = known_statistics(path, data, width)
    return known


def _blocks(
    job: Job, blocks: tuple[Block, ...], task: _Task, data: DataSet
) -> Generator[Progress, None, None]:
    """Make what is missing; what a killed process left half-written goes."""
    for path in sorted(job.place.iterdir()):
        if path.name != ".lock" and (task.asked.fresh or not _BLOCK.fullmatch(path.name)):
            files.remove(path)
    left = missing(job, blocks)
    kept, total = len(blocks) - len(left), len(blocks)
    note = f"{kept} of {total} blocks were measured before" if kept else ""
    stage = "measuring samples" if task.model else "measuring pictures"
    yield Progress(stage, kept, total, note)
    for done in made(job, left, processes_for(task.asked.processes, len(left)), data):
        yield Progress(stage, kept + done, total)


def _finished(task: _Task, found: Found) -> Scores:
    """Compare, and leave the scores and the page."""
    findings, evidence = measured(found)
    findings = replace(findings, estimates=(*findings.estimates, *_bits(task, found.data)))
    settings = _settings(task, found)
    scores = Scores(
        estimates=findings.estimates,
        balance=findings.balance,
        features=found.features.name,
        accuracy=findings.accuracy,
        notes=findings.notes,
        verdict=verdict(findings),
        settings=settings,
        report=task.place / "report.html",
    )
    story = read_story(task.model.folder) if task.model else None
    subject = Subject(task.name, found.data, findings, evidence, settings, story)
    files.write_text(scores.report, page(subject))
    files.write_json(task.place / "scores.json", scores.plain())
    return scores


def _bits(task: _Task, data: DataSet) -> list[Estimate]:
    """Bits per dimension of at most `BITS_MOST` held-out pictures, by both routes."""
    if not task.asked.bits or task.model is None:
        return []
    pictures = data.values[data.held[:BITS_MOST]]
    return [
        bits_per_dimension(task.model, pictures, route=route, steps=task.asked.bits)
        for route in ROUTES
    ]


def _settings(task: _Task, found: Found) -> dict[str, object]:
    """What repeats this evaluation."""
    told: dict[str, object] = {
        "count": found.count,
        "against": found.data.name,
        "against_fingerprint": found.data.fingerprint,
        "features": found.features.name,
    }
    if task.model is None or not isinstance(task.source, Drawn):
        return {"pictures": task.name, "fingerprint": task.identity, **told}
    calls = int(next(stream(found.job, found.blocks, "calls")))
    told |= {"wish": "as the held-out rows"} if follows_data(found.job, task.model) else {}
    return {**settings_of(task.model, task.source.shot, calls), **told}


def _forget_others(work: Path) -> None:
    """Remove what was measured of other weights: it can never be used again."""
    for other in sorted(work.parent.iterdir()):
        if _WORK.fullmatch(other.name) and other.name[:12] != work.name[:12]:
            with suppress(Busy), hold(other):
                files.remove(other)
