"""What leads a model's samples, kept in its folder.

guide/scale.json                   the scale that was measured to be best, and the whole curve
guide/classifier.safetensors, .json   a classifier of noisy samples, and how well it names them
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.core.denoiser import NetDenoiser, Within
from unmist.core.student import Interval
from unmist.guidance.classifier import NetPosterior
from unmist.networks.encoder import Encoder
from unmist.run.averages import stored_averages
from unmist.run.model import Model, denoiser_of, joined
from unmist.run.plain import from_plain, to_plain
from unmist.run.recipe import FAMILIES
from unmist.run.weights import frozen, write_weights

__all__ = [
    "CLASSIFIER",
    "GUIDE",
    "HIGH",
    "LOW",
    "Led",
    "accuracies",
    "classes_of",
    "keep_classifier",
    "posterior_of",
    "scale_of",
    "weaker_of",
    "write_scale",
]

GUIDE = Path("guide")
CLASSIFIER = GUIDE / "classifier.json"
LOW, HIGH = 0.02, 50.0  # sigma/alpha between which the classifier is taught
MOST = 1 << 20


@dataclass(frozen=True)
class Led:
    """The model's own scale: for which weights (their SHA-256) it was measured.

    low, high: sigma/alpha between which it acts, as in a Guide.
    """

    scale: float
    weights: str
    low: float = 0.0
    high: float = 0.0


def write_scale(folder: Path, led: Led, curve: list[dict[str, object]]) -> Path:
    """Leave guide/scale.json."""
    path = folder / GUIDE / "scale.json"
    with files.told(folder):
        path.parent.mkdir(exist_ok=True)
    files.write_json(path, {**asdict(led), "curve": curve})
    return path


def scale_of(folder: Path) -> Led | None:
    """The scale that was measured for this model; None where none was."""
    path = folder / GUIDE / "scale.json"
    if not path.is_file():
        return None
    told = _table(path)
    found = []
    for name, otherwise in (("scale", None), ("low", 0.0), ("high", 0.0)):
        value = told.get(name, otherwise)
        if not isinstance(value, int | float) or not math.isfinite(value):
            mend = "measure it again: unmist evaluate MODEL --scales"
            raise BadInput(f"holds no {name}", where=path, mend=mend)
        found.append(float(value))
    return Led(found[0], str(told.get("weights")), *found[1:])


def keep_classifier(
    folder: Path, encoder: Encoder, net: nn.Module, facts: dict[str, object]
) -> Path:
    """Leave guide/classifier.*; facts must hold its `classes`."""
    path = folder / GUIDE / "classifier.safetensors"
    with files.told(folder):
        path.parent.mkdir(exist_ok=True)
    write_weights(path, dict(net.state_dict()))
    files.write_json(path.with_suffix(".json"), {**facts, "network": to_plain(encoder, FAMILIES)})
    return path


def classes_of(folder: Path) -> tuple[str, ...]:
    """The classes that the classifier of a run knows. Raises BadInput where it has none."""
    return tuple(map(str, _classifier(folder)["classes"]))


def accuracies(folder: Path) -> dict[float, float]:
    """The share of held-out samples that the classifier names right, by sigma/alpha."""
    told = _classifier(folder).get("accuracy")
    return dict(sorted((float(ratio), float(share)) for ratio, share in dict(told or {}).items()))


def posterior_of(model: Model) -> NetPosterior:
    """The classifier of a model's run. Raises BadInput where it has none."""
    told, path = _classifier(model.folder), model.folder / GUIDE / "classifier.safetensors"
    encoder = from_plain(told.get("network"), Encoder, FAMILIES, str(path.with_suffix(".json")))
    net = frozen(encoder.build(model.inner, len(told["classes"])), path, model.device)
    return NetPosterior(net, model.recipe.prediction, LOW, HIGH)


def _classifier(folder: Path) -> dict:
    path = folder / CLASSIFIER
    if not path.is_file():
        mend = f"teach one: unmist train --classifier {folder}"
        raise BadInput("this run has no classifier of noisy samples", where=folder, mend=mend)
    told = _table(path)
    if not isinstance(told.get("classes"), list) or not told["classes"]:
        raise BadInput("names no classes", where=path, mend="teach the classifier again")
    return told


def _table(path: Path) -> dict:
    told = files.parse_json(files.read_bytes(path, most=MOST), where=path)
    if not isinstance(told, dict):
        raise BadInput("holds no table", where=path, mend="remove it, and measure again")
    return told


def weaker_of(model: Model, share: float) -> NetDenoiser | Within | Interval:
    """The same model after about this share of its run: the stored average that is nearest.

    Raises BadInput where the run stored none.
    """
    recipe = model.recipe
    stored = stored_averages(model.folder, recipe.snapshots.widths)
    if not stored:
        mend = "train with snapshots.points above 0 (the default is 5)"
        raise BadInput("this run stored no averages", where="guide.weaker", mend=mend)
    asked = share * recipe.training.samples
    nearest = min(stored, key=lambda one: (abs(one.profile.end - asked), one.profile.width))
    return denoiser_of(frozen(joined(recipe), nearest.path, model.device), recipe)
