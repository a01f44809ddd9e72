"""The length of the weights' average, chosen after training (2312.02696, section 3)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from unmist.base.faults import BadInput
from unmist.data.dataset import DataSet
from unmist.metrics.features import extract
from unmist.metrics.frechet import frechet_score
from unmist.nn.memory import keep_freed_memory
from unmist.run.averages import Stored, averaged, reach, stored_averages, write_averaged
from unmist.run.course import stored
from unmist.run.given import given_of
from unmist.run.model import joined
from unmist.run.recipe import Recipe, read_recipe
from unmist.run.weights import fill
from unmist.workflows.midway import draw, held_out, referee, shown
from unmist.workflows.order import Order, opened

__all__ = ["SCORES", "WIDTHS", "Made", "Tried", "average", "search"]

WIDTHS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15)
SCORES = ("held", "frechet")
SAMPLES = 512
STEPS = 12


@dataclass(frozen=True)
class Tried:
    """One width and its score: lower is better. missed: the part of its profile beyond reach.

    worse, error: by how much its held-out loss is above the best one's, with the standard error of
    the paired difference; nan where it is the best, or for a Fréchet distance.
    """

    width: float
    value: float
    missed: float
    worse: float = float("nan")
    error: float = float("nan")


@dataclass(frozen=True)
class Made:
    """The average that was left, after how many samples, and the widths tried for it, if any."""

    path: Path
    width: float
    missed: float
    seen: int
    tried: tuple[Tried, ...] = ()


def average(folder: Path | str, width: float) -> Made:
    """Leave weights/averaged-WIDTH.safetensors in a run's folder. Raises BadInput, CannotWrite."""
    folder = Path(folder)
    kept = _kept(folder)[1]
    tensors, mix = averaged(kept, width)
    path = write_averaged(folder, width, tensors)
    return Made(path, width, mix.error, int(kept[-1].profile.end))


def search(folder: Path | str, widths: Sequence[float] = (), by: str = "held") -> Made:
    """Try widths (those of `WIDTHS` within reach where none are given); the best one is left.

    by: held, the loss on up to 512 held-out rows, or frechet, the distance of 512 samples in the
    judge's features. Rows, noise and seeds are the same for all.
    """
    if by not in SCORES:
        raise BadInput(f"no score '{by}'", where="--by", mend=f"there are {', '.join(SCORES)}")
    folder = Path(folder)
    recipe, kept = _kept(folder)
    keep_freed_memory()
    torch.set_num_threads(_threads(folder))
    data = opened(recipe, Order(accept_drift=True))
    net, score = joined(recipe).eval().requires_grad_(False), _scorer(folder, recipe, data, by)
    found: dict[float, tuple[Tensor, float]] = {}
    for width in tuple(widths) or tuple(_near(kept)):
        tensors, mix = averaged(kept, width)
        fill(net, tensors, where=kept[-1].path)
        found[width] = score(net), mix.error
    best = min(found, key=lambda width: float(found[width][0].mean()))
    made = average(folder, best)
    rows = tuple(_beside(w, *found[w], found[best][0]) for w in found)
    return Made(made.path, made.width, made.missed, made.seen, rows)


def _beside(width: float, score: Tensor, missed: float, best: Tensor) -> Tried:
    gap = score - best
    if len(gap) < 2 or not bool(gap.any()):
        return Tried(width, float(score.mean()), missed)
    error = float(gap.std()) / len(gap) ** 0.5
    return Tried(width, float(score.mean()), missed, float(gap.mean()), error)


def _scorer(folder: Path, recipe: Recipe, data: DataSet, by: str) -> Callable[[nn.Module], Tensor]:
    """A network's score: the losses (n,) of held-out rows, or one distance (1,)."""
    given = given_of(recipe, data, torch.device("cpu"))
    if by == "held":

        def losses(net: nn.Module) -> Tensor:
            rows = held_out(net, recipe, data, given)
            if rows is None:
                mend = "16 are needed; choose the width yourself, with --width"
                raise BadInput("too few held-out rows", where=data.name, mend=mend)
            return rows[0]

        return losses
    judge = referee(data, folder)

    def distance(net: nn.Module) -> Tensor:
        cond = shown(data, given, SAMPLES)
        found = extract(judge.features, draw(net, recipe, SAMPLES, STEPS, "average", cond))
        score = frechet_score(found, judge.train[1], judge.held[1], features=judge.features.name)
        return torch.tensor([score.value], dtype=torch.float64)

    return distance


def _near(kept: tuple[Stored, ...]) -> Iterator[float]:
    """The widths of the list that the stored averages can give."""
    for width in WIDTHS:
        try:
            reach(kept, width)
        except BadInput:
            continue
        yield width


def _kept(folder: Path) -> tuple[Recipe, tuple[Stored, ...]]:
    if not (folder / "recipe.toml").is_file():
        mend = "give the folder that `unmist train` wrote"
        raise BadInput("no run is here (recipe.toml is missing)", where=folder, mend=mend)
    recipe = read_recipe(folder / "recipe.toml")
    kept = stored_averages(folder, recipe.snapshots.widths)
    if not kept:
        raise BadInput(
            "this run stored no averages",
            where=folder,
            mend="train with snapshots.points above 0 (5 where nothing is said)",
        )
    return recipe, kept


def _threads(folder: Path) -> int:
    machine = stored(folder)["machine"]
    return int(machine["threads"]) if isinstance(machine, dict) else 1
