"""From measured blocks to scores: each with its sample size, interval and floor (slide 11)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import keyed
from unmist.data.dataset import DataSet
from unmist.metrics.alike import alike
from unmist.metrics.classes import ClassBalance, class_balance
from unmist.metrics.copies import NEAR, Copies, Copy, copies
from unmist.metrics.diversity import diversity_estimates
from unmist.metrics.estimate import Estimate
from unmist.metrics.features import Features
from unmist.metrics.frechet_limit import frechet_limit
from unmist.metrics.grouped import Groups
from unmist.metrics.inception import inception_score
from unmist.metrics.kernel import kernel_distance
from unmist.workflows.blocks import Block, Job, kept_blocks, stream
from unmist.workflows.judging import names_classes
from unmist.workflows.statistics import Statistics

__all__ = ["NEAR_MOST", "Evidence", "Findings", "Found", "measured"]

NEAR_MOST = 5000  # pictures of either side for measures that compare each with each
SHOWN = 12


@dataclass(frozen=True, eq=False)
class Found:
    """All that was measured before anything is compared.

    flips: the model was shown its pictures mirrored.
    """

    data: DataSet
    features: Features
    statistics: Statistics
    job: Job
    blocks: tuple[Block, ...]
    flips: bool = False

    @property
    def count(self) -> int:
        """How many pictures are judged."""
        return self.blocks[-1][1]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the page shows: pictures uint8 (n, c, *s), rows of those farthest from real ones, pairs.

    `suspects` and `nearest` give rows of the pictures and of the data set; the second are the
    nearest of those that are no suspects.
    """

    pixels: np.ndarray
    farthest: tuple[int, ...]
    suspects: tuple[Copy, ...]
    nearest: tuple[Copy, ...]


@dataclass(frozen=True)
class Findings:
    """Estimates, shares of the classes, and what the reader must know of how they were made.

    spread: the sum of the variances of the held-out pictures' features, by which distances are
    read; accuracy: of the features' classifier on held-out pictures.
    """

    count: int
    features: str
    spread: float
    estimates: tuple[Estimate, ...]
    balance: ClassBalance | None
    accuracy: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Near:
    """The pictures that are compared each with each: at most `NEAR_MOST` samples and held-out."""

    samples: tuple[Tensor, Tensor]
    held: tuple[Tensor, Tensor]
    train: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, found: Found) -> "_Near":
        """Pictures and features of the first samples, of held-out and of all used training ones."""
        few = tuple(block for block in found.blocks if block[0] < NEAR_MOST)
        parts = list(kept_blocks(found.job, few))
        ours = (torch.cat([part[name] for part in parts]) for name in ("pixels", "features"))
        pixels, features = (part[:NEAR_MOST] for part in ours)
        statistics, values = found.statistics, found.data.values
        chosen = some(len(statistics.held))
        held_rows = statistics.held_rows[chosen].numpy()
        train_rows = statistics.train_rows.numpy()
        return cls(
            samples=(pixels, features),
            held=(torch.from_numpy(values[held_rows]), statistics.held[chosen]),
            train=(torch.from_numpy(values[train_rows]), statistics.train),
        )


def some(count: int) -> Tensor:
    """At most `NEAR_MOST` row numbers of so many, ascending, always the same."""
    chosen = keyed(0, "near").permutation(count)[:NEAR_MOST]
    return torch.from_numpy(np.sort(chosen))


def measured(found: Found) -> tuple[Findings, Evidence]:
    """Compare what was measured: distances over all pictures, neighbours over `NEAR_MOST`."""
    near = _Near.of(found)
    notes = list(_notes(found, near))
    balance = _balance(found)
    copied = copies(
        near.samples,
        near.train,
        near.held,
        level=max(0.01, 1 / len(near.held[1])),
        flips=found.flips,
    )
    taken = _taken(found, near, notes)
    shares = [copied.share] if balance is None else [balance.distance, copied.share]
    findings = Findings(
        count=found.count,
        features=found.features.name,
        spread=float(found.statistics.held.var(0).sum()),
        estimates=(*taken, *shares),
        balance=balance,
        accuracy=_accuracy(found),
        notes=tuple(notes),
    )
    return findings, _evidence(found, near, copied)


def _taken(found: Found, near: _Near, notes: list[str]) -> list[Estimate]:
    """The estimates that can be had; for each other one a note says why not."""
    name = found.features.name
    tries: tuple[Callable[[], Iterable[Estimate]], ...] = (
        lambda: [_distance(found)],
        lambda: [kernel_distance(near.samples[1], near.held[1], features=name)],
        lambda: _surety(found),
        lambda: diversity_estimates(near.held[1], near.samples[1], features=name),
        lambda: [_repeats(near)],
    )
    taken = []
    for attempt in tries:
        try:
            taken += attempt()
        except BadInput as fault:
            notes.append(f"not measured: {fault}")
    return taken


def _distance(found: Found) -> Estimate:
    """The Fréchet distance of all pictures, a block in memory at a time; its floor by real ones."""
    name, statistics = found.features.name, found.statistics
    held = Groups.over(statistics.held.split(256))
    score = frechet_limit(
        Groups.over(stream(found.job, found.blocks, "features")), held, features=name
    )
    real = frechet_limit(Groups.over(statistics.train.split(256)), held, features=name)
    return replace(score, floor=real.value)


def _surety(found: Found) -> list[Estimate]:
    """The score by class probabilities, where features tell them; its floor by held-out ones."""
    chances = list(stream(found.job, found.blocks, "probabilities"))
    if not chances:
        return []
    name, real = found.features.name, found.statistics.probabilities
    score = inception_score(torch.cat(chances), features=name)
    if real is None:
        return [score]
    return [replace(score, floor=inception_score(real, features=name).value)]


def _repeats(near: _Near) -> Estimate:
    """How many samples repeat another one, beside as many training pictures."""
    chosen = some(len(near.train[1]))
    return alike(near.samples, (near.train[0][chosen], near.train[1][chosen])).share


def _evidence(found: Found, near: _Near, copied: Copies) -> Evidence:
    rows, (pixels, samples) = found.statistics.train_rows, near.samples
    suspects = copied.pairs[:SHOWN]
    taken = {pair.sample for pair in copied.pairs}
    rest = (pair for pair in _nearest(samples, near.train[1]) if pair.sample not in taken)
    nearest = [pair for pair, _ in zip(rest, range(SHOWN - len(suspects)), strict=False)]
    suspects, nearest = (
        tuple(replace(pair, original=int(rows[pair.original])) for pair in pairs)
        for pairs in (suspects, nearest)
    )
    # the fifth nearest real picture: far where a sample is unlike all real ones
    far = [
        torch.cdist(part, near.held[1]).kthvalue(min(5, len(near.held[1])), dim=1).values
        for part in samples.split(512)
    ]
    farthest = torch.cat(far).argsort(descending=True)[:SHOWN].tolist()
    return Evidence(pixels.numpy(), tuple(farthest), suspects, nearest)


def _nearest(samples: Tensor, train: Tensor) -> Iterator[Copy]:
    """Each sample with its nearest training picture in features, the most copy-like first."""
    least, rows = [], []
    for part in samples.split(128):
        near = torch.cdist(part, train).topk(NEAR, largest=False)
        rows.append(near.indices[:, 0])
        least.append(near.values[:, 0] / near.values.mean(1).clamp(min=1e-12))
    ratio, row = torch.cat(least), torch.cat(rows)
    for sample in ratio.argsort().tolist():
        yield Copy(sample, int(row[sample]), float(ratio[sample]), "features")


def _balance(found: Found) -> ClassBalance | None:
    """The classes as the features' classifier names them, against the training labels."""
    known = _known(found)
    if known is None:
        return None
    kinds, truth = known
    chances = torch.cat(list(stream(found.job, found.blocks, "probabilities")))
    names = tuple(
        found.data.classes[kind] if found.data.classes else str(kind) for kind in kinds.tolist()
    )
    told = truth[found.data.train]
    labels = torch.from_numpy(np.searchsorted(kinds, told[told >= 0]))
    return class_balance(chances.argmax(1), labels, names)


def _accuracy(found: Found) -> float | None:
    """The share of held-out pictures that the features' classifier names right."""
    known, chances = _known(found), found.statistics.probabilities
    if known is None or chances is None:
        return None
    kinds, truth = known
    labels = truth[found.statistics.held_rows.numpy()]
    named = kinds[chances.argmax(1).numpy()]
    return float((named == labels)[labels >= 0].mean()) if (labels >= 0).any() else None


def _known(found: Found) -> tuple[np.ndarray, np.ndarray] | None:
    """The labels that the classifier's answers stand for, and the labels of all rows."""
    labels = found.data.labels
    if labels is None or not names_classes(found.features):
        return None
    told = labels[found.data.train]
    return np.unique(told[told >= 0]), labels


def _notes(found: Found, near: _Near) -> Iterator[str]:
    """What was left out, or is too few."""
    ours, held = len(near.samples[1]), len(found.statistics.held)
    if found.count > ours:
        yield f"neighbours, copies and repeats: the first {ours} of {found.count} pictures"
    if held > len(near.held[1]):
        yield f"neighbours: {len(near.held[1])} of {held} held-out pictures, drawn once for all"
    for part, rows in (("training", found.data.train), ("held-out", found.data.held)):
        used = found.statistics.train if part == "training" else found.statistics.held
        if len(rows) > len(used):
            yield f"{len(used)} of {len(rows)} {part} pictures were used, drawn once for all"
    least, width = min(found.count, held), found.features.width
    if least < 10 * width:
        yield (
            f"{least} pictures are few for {width} features: from {10 * width} of either side on "
            "the distance is told well"
        )
