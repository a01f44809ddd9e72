"""Measures of a model against the data it learned from: distance, coverage, copies (slide 11)."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.data.dataset import DataSet
from unmist.metrics.copies import Copies, copies
from unmist.metrics.diversity import Diversity, diversity
from unmist.metrics.features import (
    ClassifierFeatures,
    accuracy,
    extract,
    learn_features,
    restore_features,
)
from unmist.metrics.frechet import FrechetScore, frechet_score
from unmist.run.model import Model
from unmist.run.weights import load_weights, write_weights
from unmist.workflows.sample import Shot, sample
from unmist.workflows.train import Order, opened

__all__ = ["Scores", "evaluate", "judged", "scored"]

LEAST = 100  # held-out pictures: below that neither distance nor the copies' threshold hold


@dataclass(frozen=True)
class Scores:
    """What was measured, each with its sample size and what real pictures get."""

    frechet: FrechetScore
    diversity: Diversity
    copies: Copies
    judge: str
    judge_accuracy: float | None

    def plain(self) -> dict[str, object]:
        """As plain values, for `scores.json` and `--json`."""
        frechet = {**asdict(self.frechet), "excess": self.frechet.excess}
        if math.isnan(self.frechet.floor_spread):
            frechet["floor_spread"] = None
        return {
            self.frechet.name: frechet,
            "diversity": asdict(self.diversity),
            "copies": {**asdict(self.copies), "pairs": len(self.copies.pairs)},
            "features": self.judge,
            "classifier_held_out_accuracy": self.judge_accuracy,
        }


def judged(data: DataSet, keep: Path | None = None) -> ClassifierFeatures:
    """The features that judge this data: a classifier taught on its labels, or on clusters.

    With `keep` (a folder) it is taught once and read from there afterwards.
    """
    path = keep / f"judge_{data.fingerprint[:16]}.safetensors" if keep else None
    if path is not None and path.is_file():
        return restore_features(load_weights(path), data.shape)
    labels = data.labels[data.train] if data.labels is not None else None
    features = learn_features(data.values[data.train], labels)
    if path is not None:
        write_weights(path, features.tensors())
    return features


def scored(pixels: np.ndarray, data: DataSet, features: ClassifierFeatures) -> Scores:
    """Samples uint8 (n, c, *s) against a data set, its held-out part the reference."""
    if len(data.held) < LEAST:
        raise BadInput(
            f"{len(data.held)} held-out pictures are too few to measure against",
            where=data.name,
            mend=f"{LEAST} are needed, about ten times that in all",
        )
    train, held = data.values[data.train], data.values[data.held]
    parts = [
        (torch.from_numpy(np.ascontiguousarray(part)), extract(features, part))
        for part in (pixels, train, held)
    ]
    ours, theirs, reference = (part[1] for part in parts)
    labels = data.labels[data.held] if data.labels is not None else None
    known = labels is not None and features.learned == "labels" and bool((labels >= 0).all())
    return Scores(
        frechet=frechet_score(ours, theirs, reference, features=features.name),
        diversity=diversity(reference, ours),
        copies=copies(*parts, level=max(0.01, 1 / len(held))),
        judge=features.name,
        judge_accuracy=accuracy(features, held, labels) if known and labels is not None else None,
    )


def evaluate(model: Model, shot: Shot | None = None, *, keep: bool = True) -> Scores:
    """Draw samples (1,000 where nothing is said), measure them, and leave `scores.json`."""
    shot = shot or Shot(count=1000)
    data = opened(model.recipe, Order())
    if data.shape != model.shape:
        raise BadInput(f"data of shape {data.shape}, a model of {model.shape}", where=model.folder)
    features = judged(data, model.folder / "weights" if keep else None)
    drawn = sample(model, shot)
    scores = scored(drawn.pixels, data, features)
    if keep:
        table = {**scores.plain(), "settings": drawn.settings}
        files.write_json(model.folder / "scores.json", table)
    return scores
