"""A trained model: the one place where network, conditions, codec and schedule are joined."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.codecs.pixels import Pixels
from unmist.core.condition import Cond, Signals, Sockets
from unmist.core.denoiser import NetDenoiser, Within
from unmist.core.schedule import Schedule
from unmist.run.recipe import Recipe, read_recipe
from unmist.run.weights import fill, load_weights

__all__ = ["WEIGHTS", "Joined", "Model", "denoiser_of", "joined", "load", "weights_path"]

WEIGHTS = Path("weights") / "model.safetensors"


class Joined(nn.Module):
    """A network behind the embedders of its conditions (none yet): (x, clock, cond) -> output."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, clock: Tensor, cond: Cond | Signals | None = None) -> Tensor:
        """A condition that the network cannot follow is refused, never ignored."""
        if isinstance(cond, Cond) and cond.values:
            raise BadInput(
                f"this model follows no {', '.join(cond.values)}",
                where="conditions",
                mend="ask without, or train a model on them",
            )
        return self.net(x, clock, Signals())


@dataclass(frozen=True, eq=False)
class Model:
    """What `load` returns. shape is (c, *s) of one sample; digest is the weights' SHA-256."""

    folder: Path
    recipe: Recipe
    net: nn.Module
    denoiser: NetDenoiser | Within
    schedule: Schedule
    codec: Pixels
    shape: tuple[int, ...]
    digest: str

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.net.parameters()).device


def joined(recipe: Recipe) -> Joined:
    """The untrained network of a recipe whose shape is known."""
    assert recipe.shape, "the recipe's shape is measured when a run starts"
    answers = 2 if recipe.variance.learned else 1
    net = recipe.network.build(recipe.shape, Sockets(), recipe.training.seed, answers=answers)
    return Joined(net)


def denoiser_of(net: nn.Module, recipe: Recipe) -> NetDenoiser | Within:
    """A recipe's network as the denoiser of its plans, able to answer from the schedule's top on.

    Where the top is NOISE and the prediction says nothing there, as eps, all beyond sigma/alpha =
    80 is asked as at 80: the start stays pure noise, and nothing is divided by zero signal.
    """
    base = NetDenoiser(net, recipe.prediction, recipe.variance)
    if recipe.prediction.at_noise or not recipe.schedule.top.is_noise:
        return base
    return Within(base, low=0.0, high=80.0, spreads=base)


def weights_path(folder: Path, name: str) -> Path:
    """The file of a run's weights by their name. Raises BadInput where there is none of it."""
    if name == "last":
        return folder / WEIGHTS
    there = {path.stem for path in (folder / "weights").glob("*.safetensors")}
    there = {stem for stem in there if not stem.startswith("judge_")}
    if name not in there:
        mend = "best is kept where the run was measured (measuring.every); averaged-… come from "
        known = ", ".join(sorted({"last", *there} - {"model"}))
        raise BadInput(
            f"no weights '{name[:40]}' here (there: {known})",
            where=folder,
            mend=f"{mend}`unmist average`",
        )
    return folder / "weights" / f"{name}.safetensors"


def load(folder: Path | str, device: str = "cpu", *, weights: str = "last") -> Model:
    """A model from its run folder: `recipe.toml` and `weights/`. Nothing is unpickled.

    weights: last, best (by a measure during training) or the name of another file there, as
    averaged-0.03. Raises BadInput where there is no model, or where file and recipe do not belong
    together.
    """
    folder = Path(folder)
    if not (folder / "recipe.toml").is_file():
        raise BadInput(
            "no model is here (recipe.toml is missing)",
            where=folder,
            mend="give the folder that `unmist train` wrote",
        )
    recipe, path = read_recipe(folder / "recipe.toml"), weights_path(folder, weights)
    if not path.is_file() or not recipe.shape or recipe.codec is None:
        raise BadInput(
            "this run has no weights yet",
            where=folder,
            mend="let it train at least to its first checkpoint",
        )
    net = joined(recipe)
    fill(net, load_weights(path), where=path)
    net = net.to(device).eval().requires_grad_(False)
    return Model(
        folder=folder,
        recipe=recipe,
        net=net,
        denoiser=denoiser_of(net, recipe),
        schedule=recipe.schedule,
        codec=recipe.codec,
        shape=recipe.shape,
        digest=files.digest(path),
    )
