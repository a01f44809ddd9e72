"""The model that a run begins from, checked against the recipe before any data are read."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from unmist.base.faults import BadInput
from unmist.codecs.latent import Latent
from unmist.run.given import like
from unmist.run.model import Model, joined, load
from unmist.run.plain import to_plain
from unmist.run.recipe import FAMILIES, Recipe

__all__ = ["inheriting", "parent_of"]


def parent_of(folder: Path | None, recipe: Recipe) -> Model | None:
    """The model in a folder, if its weights fit the network the recipe asks for; None for None.

    Raises BadInput with the settings that differ, the parent's and the asked.
    """
    if folder is None:
        return None
    parent = load(folder)
    told = _differences(parent, recipe)
    if told and _shapes(joined(_asked(parent, recipe))) != _shapes(parent.net):
        shown = ", ".join(f"{name} is {_word(a)} there, asked {_word(b)}" for name, a, b in told)
        flags = " ".join(_flag(name, there) for name, there, _ in told)
        raise BadInput(
            f"its weights do not fit: {shown}", where=folder, mend=f"{flags}, or leave --from out"
        )
    return parent


def inheriting(recipe: Recipe, parent: Model | None) -> Recipe:
    """The recipe told of its data as the parent was: what its words and numbers mean stays."""
    if parent is None:
        return recipe
    codec = recipe.codec
    if codec is None and isinstance(parent.codec, Latent):
        codec = parent.codec  # another one's latents would mean nothing to the weights
    return replace(
        recipe, conditions=like(recipe.conditions, parent.recipe.conditions), codec=codec
    )


def _asked(parent: Model, recipe: Recipe) -> Recipe:
    """The recipe with the shape it would have, as far as that is known before the data."""
    channels = recipe.data.channels or parent.shape[0]
    return replace(inheriting(recipe, parent), shape=(channels, *parent.shape[1:]))


def _differences(parent: Model, recipe: Recipe) -> list[tuple[str, object, object]]:
    """What decides about the weights and differs: (name, the parent's, the asked)."""
    recipe = _asked(parent, recipe)
    ours, theirs = (to_plain(r, FAMILIES) for r in (recipe, parent.recipe))
    pairs: list[tuple[str, object, object]] = [("data.channels", parent.shape[0], recipe.shape[0])]
    pairs += [("codec", _coded(parent.recipe), _coded(recipe))]
    pairs += [("conditions", theirs["conditions"], ours["conditions"])]
    told = [bool(one.augment.share) for one in (parent.recipe, recipe)]
    if told[0] != told[1]:
        pairs += [("augment.share", parent.recipe.augment.share, recipe.augment.share)]
    if bool(parent.recipe.rolling) != bool(recipe.rolling):
        pairs += [("rolling", parent.recipe.rolling, recipe.rolling)]
    for part in ("network", "variance"):
        there, asked = theirs[part], ours[part]
        assert isinstance(there, dict)
        assert isinstance(asked, dict)
        keys = there.keys() if there["kind"] == asked["kind"] else ("kind",)
        pairs += [(f"{part}.{key}", there[key], asked[key]) for key in keys]
    return [pair for pair in pairs if pair[1] != pair[2]]


def _coded(recipe: Recipe) -> str:
    """What the network sees."""
    codec = recipe.codec
    return "pixels" if not isinstance(codec, Latent) else f"{codec.channels} latents"


def _shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}


def _word(value: object) -> str:
    """Of a table its keys: what a model follows."""
    return (", ".join(value) or "nothing") if isinstance(value, dict) else str(value)


def _flag(name: str, value: object) -> str:
    """As the command line reads it."""
    if isinstance(value, dict):
        return f"--on {','.join(value)}" if value else "no --on"
    text = f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
    return f"--set {name}={text}"
