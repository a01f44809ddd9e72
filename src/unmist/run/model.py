"""A trained model: the one place where network, conditions, codec and schedule are joined."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.base.noise import keyed
from unmist.codecs.family import Codec
from unmist.codecs.latent import Latent
from unmist.codecs.pixels import Pixels
from unmist.core.condition import Cond, Signals, Sockets, Tokens
from unmist.core.denoiser import NetDenoiser, Within
from unmist.core.schedule import Schedule
from unmist.core.student import Interval
from unmist.nn.seeded import seeded
from unmist.run.codec import CODEC, opened_codec
from unmist.run.recipe import Recipe, read_recipe
from unmist.run.shipped import home_of, shipped
from unmist.run.weights import frozen
from unmist.training.augment import Augment, Untold

__all__ = [
    "WEIGHTS",
    "Joined",
    "Model",
    "denoiser_of",
    "joined",
    "load",
    "sockets_of",
    "weights_path",
    "with_codec",
]

WEIGHTS = Path("weights") / "model.safetensors"


class Joined(nn.Module):
    """A network behind the embedders of its conditions, by name: (x, clock, cond) -> output.

    Vectors and maps are put side by side, tokens one after another; tokens narrower than the widest
    get a layer. A condition that is not given is kept in no row.
    """

    def __init__(self, net: nn.Module, told: Mapping[str, tuple[nn.Module, Sockets]]) -> None:
        super().__init__()
        self.net, self.names = net, tuple(told)
        wide = max((sockets.tokens for _, sockets in told.values()), default=0)
        self.embed = nn.ModuleDict({_key(name): module for name, (module, _) in told.items()})
        self.widen = nn.ModuleDict(
            {
                _key(name): nn.Linear(sockets.tokens, wide)
                for name, (_, sockets) in told.items()
                if 0 < sockets.tokens < wide
            }
        )

    def forward(self, x: Tensor, clock: Tensor, cond: Cond | Signals | None = None) -> Tensor:
        """x (b, c, *s), clock (b,). A condition that it cannot follow is refused, never ignored."""
        return self.net(x, clock, cond if isinstance(cond, Signals) else self.signals(x, cond))

    def signals(self, x: Tensor, cond: Cond | None) -> Signals:
        """What the network is told beside x (b, c, *s)."""
        values = {} if cond is None else cond.values
        known = [name for name in self.names if name != Augment.name]
        for name in values:
            if name not in self.names:
                raise BadInput(
                    f"this model follows no {name} (it follows: {', '.join(known) or 'none'})",
                    where="conditions",
                    mend="ask without, or train a model on it",
                )
        parts = []
        for name in self.names:
            keep = torch.zeros(len(x), dtype=torch.bool, device=x.device)
            if cond is not None and name in values:
                keep = cond.kept(name).to(x.device)
            part = self.embed[_key(name)](values.get(name), keep, x)
            if part.tokens is not None and _key(name) in self.widen:
                wider = self.widen[_key(name)](part.tokens.values)
                part = part._replace(tokens=Tokens(wider, part.tokens.mask))
            parts.append(part)
        return _together(parts)


def _key(name: str) -> str:
    """Of a condition's embedder: a module may not be called as a method of torch's tables is."""
    return f"on_{name}"


def _together(parts: list[Signals]) -> Signals:
    """Side by side what goes into one socket; tokens one after another."""
    vectors = [part.vector for part in parts if part.vector is not None]
    tokens = [part.tokens for part in parts if part.tokens is not None]
    maps = [part.map for part in parts if part.map is not None]
    return Signals(
        torch.cat(vectors, 1) if vectors else None,
        Tokens(torch.cat([t.values for t in tokens], 1), torch.cat([t.mask for t in tokens], 1))
        if tokens
        else None,
        torch.cat(maps, 1) if maps else None,
    )


def sockets_of(recipe: Recipe) -> Sockets:
    """What all conditions of a recipe plug in together."""
    parts = [condition.sockets(recipe.inner) for condition in recipe.conditions.values()]
    parts += [Untold.sockets] * (recipe.augment.share > 0)
    return Sockets(
        vector=sum(part.vector for part in parts),
        tokens=max((part.tokens for part in parts), default=0),
        map=sum(part.map for part in parts),
        frames=int(recipe.rolling > 0),
    )


@dataclass(frozen=True, eq=False)
class Model:
    """What `load` returns. shape is (c, *s) of one sample; digest is the weights' SHA-256.

    inner: of a sample in model space, where the walk is; the same but for a codec of latents.
    """

    folder: Path
    recipe: Recipe
    net: nn.Module
    denoiser: NetDenoiser | Within | Interval
    schedule: Schedule
    codec: Codec
    shape: tuple[int, ...]
    digest: str

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def inner(self) -> tuple[int, ...]:
        """The shape (k, *s) in model space."""
        return self.codec.inner(self.shape)

    def pixels(self, what: str) -> Pixels:
        """The codec of a model of pixels. BadInput for `what` in latents."""
        if isinstance(self.codec, Pixels):
            return self.codec
        mend = "use a model of pixels"
        raise BadInput(f"{what} is of pixels, and this model's are latents", where=self.folder,
                       mend=mend)  # fmt: skip

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.net.parameters()).device


def joined(recipe: Recipe) -> Joined:
    """The untrained network of a recipe whose shape is known."""
    assert recipe.shape, "the recipe's shape is measured when a run starts"
    answers = 2 if recipe.variance.learned else 1
    seed, shape = recipe.training.seed, recipe.inner
    net = recipe.network.build(shape, sockets_of(recipe), seed, answers=answers)
    told = {}
    for name, condition in recipe.conditions.items():
        own = int(keyed(seed, f"condition {name}").integers(2**63))
        told[name] = condition.build(shape, own), condition.sockets(shape)
    if recipe.augment.share:
        told[Augment.name] = Untold(), Untold.sockets
    with seeded(int(keyed(seed, "joined").integers(2**63))):
        return Joined(net, told)


def denoiser_of(net: nn.Module, recipe: Recipe) -> NetDenoiser | Within | Interval:
    """A recipe's network as the denoiser of its plans, able to answer from the schedule's top on.

    Where the top is NOISE and the prediction says nothing there, as eps, all beyond sigma/alpha =
    80 is asked as at 80: the start stays pure noise, and nothing is divided by zero signal. A
    student answers for its own steps alone.
    """
    base = NetDenoiser(net, recipe.prediction, recipe.variance)
    if recipe.student is not None:
        return Interval(base, recipe.student.ratios)
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


def with_codec(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe of a run with the weights of its codec, where that has any. Raises BadInput."""
    codec = recipe.codec
    if not isinstance(codec, Latent) or not codec.digest:
        return recipe
    return replace(recipe, codec=opened_codec(codec, folder / CODEC))


def _named(names: tuple[str, ...]) -> str:
    return f", or a model that comes with unmist: {', '.join(names)}" if names else ""


def load(folder: Path | str, device: str = "cpu", *, weights: str = "last") -> Model:
    """A model from its run folder: `recipe.toml` and `weights/`. Nothing is unpickled.

    folder: a run's, or the name of a model that comes with the package, as emoji. weights: last,
    best (by a measure during training) or the name of another file there, as averaged-0.03. Raises
    BadInput where there is no model, or where file and recipe do not belong together.
    """
    folder = home_of(Path(folder))
    if not (folder / "recipe.toml").is_file():
        raise BadInput(
            "no model is here (recipe.toml is missing)",
            where=folder,
            mend=f"give the folder that `unmist train` wrote{_named(shipped())}",
        )
    recipe, path = read_recipe(folder / "recipe.toml"), weights_path(folder, weights)
    recipe = with_codec(recipe, folder)
    if not path.is_file() or not recipe.shape or recipe.codec is None:
        raise BadInput(
            "this run has no weights yet",
            where=folder,
            mend="let it train at least to its first checkpoint",
        )
    net = frozen(joined(recipe), path, device)
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
