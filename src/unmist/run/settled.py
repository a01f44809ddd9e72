"""What a recipe leaves open is settled from the data when a run begins, and compared afterwards."""

from dataclasses import replace
from pathlib import Path

from unmist.base.faults import BadInput
from unmist.codecs.family import Codec
from unmist.codecs.latent import Latent
from unmist.codecs.pixels import Pixels
from unmist.data.dataset import DataSet
from unmist.networks.unet import UNet
from unmist.run.given import like, settle
from unmist.run.latents import with_unit
from unmist.run.plain import to_plain
from unmist.run.recipe import FAMILIES, Measuring, Recipe, Saving, read_recipe

__all__ = ["measured", "same_recipe"]

MEASURABLE = 100  # held-out pictures: below that neither distance nor the copies' threshold hold


def measured(recipe: Recipe, data: DataSet) -> Recipe:
    """The recipe with shape, codec, conditions and saving points filled in from the data."""
    codec = _codec(recipe, data)
    plan, saving = recipe.training, recipe.saving

    def every(asked: int, share: int) -> int:
        return asked or max(plan.batch, plan.samples // share)

    points = Saving(
        checkpoint=every(saving.checkpoint, 20),
        look=every(saving.look, 10),
        held=every(saving.held, 10),
    )
    recipe = replace(recipe, shape=data.shape, codec=codec, saving=points, time=data.time)
    recipe = settle(recipe, data)
    if recipe.augment.share and (not isinstance(codec, Pixels) or len(data.shape) != 3):
        mend = "leave it out"
        raise BadInput("only pictures of pixels can be moved", where="augment", mend=mend)
    if recipe.rolling and (not isinstance(codec, Pixels) or not data.time):
        mend = "leave it out, or give clips or series"
        raise BadInput("only clips and series of pixels have frames", where="rolling", mend=mend)
    return replace(recipe, measuring=_measuring(recipe, data))


def _codec(recipe: Recipe, data: DataSet) -> Codec:
    """The recipe's, or pixels; its unit measured on the training rows."""
    match recipe.codec:
        case None:
            return Pixels.measure(data.values[data.train])
        case Latent(mean=()) as codec:
            if recipe.training.flip:  # a mirrored picture has other latents than mirrored ones
                mend = "leave it out, or give the mirrored pictures as data"
                raise BadInput("latents cannot be mirrored", where="training.flip", mend=mend)
            return with_unit(codec, data)
        case codec:
            codec.inner(data.shape)  # refused here where the data are not such as it takes
            return codec


def _measuring(recipe: Recipe, data: DataSet) -> Measuring:
    """When to measure, where the recipe leaves it open: seldom enough to cost 2 % of the run."""
    asked, plan = recipe.measuring, recipe.training
    if asked.every > 0 and len(data.held) < MEASURABLE:
        raise BadInput(
            f"{len(data.held)} held-out pictures are too few to measure against",
            where="measuring.every",
            mend=f"{MEASURABLE} are needed, about ten times that in all; or leave it out",
        )
    if asked.every:
        return asked
    # a call of the network is a third of an update
    price = asked.samples * min(asked.steps, recipe.sampling.steps) / 3
    times = min(8, int(0.02 * plan.samples / price))
    worth = times >= 3 and len(data.held) >= MEASURABLE
    return replace(asked, every=max(plan.batch, plan.samples // times) if worth else -1)


def same_recipe(
    asked: Recipe, folder: Path, *, any_length: bool = False, any_width: bool = False
) -> None:
    """Refuse to resume under another recipe; what was measured at the start does not count."""
    there = read_recipe(folder / "recipe.toml")
    asked = replace(asked, shape=there.shape, saving=there.saving, time=there.time)
    asked = replace(asked, codec=_like(asked.codec, there.codec))
    asked = replace(asked, conditions=like(asked.conditions, there.conditions))
    if asked.measuring.every == 0:  # chosen from the length when the run began
        chosen = replace(asked.measuring, every=there.measuring.every)
        asked = replace(asked, measuring=chosen)
    if any_length:  # a time budget became a length when the run began
        plan = replace(asked.training, samples=there.training.samples)
        asked = replace(asked, training=plan)
    net, began = asked.network, there.network
    if isinstance(net, UNet) and isinstance(began, UNet):  # chosen by the room, and by the budget
        width = began.width if any_width else net.width
        asked = replace(asked, network=replace(net, recompute=began.recompute, width=width))
    ours, theirs = to_plain(asked, FAMILIES), to_plain(there, FAMILIES)
    for path in _differences(ours, theirs, "recipe"):
        raise BadInput(
            f"{path}, but the run began otherwise",
            where=folder,
            mend="choose another folder, or pass --fresh to begin anew",
        )


def _like(asked: Codec | None, there: Codec | None) -> Codec | None:
    """The asked codec, with what was measured when the run began."""
    if asked is None and not isinstance(there, Latent):
        return there
    if not isinstance(asked, Latent) or not isinstance(there, Latent):
        return asked
    if asked.channels != there.channels:  # what was measured would not fit; the difference is told
        return asked
    measured = ("shape", "pixels", "digest", "mean", "spread")
    empty = [name for name in measured if not getattr(asked, name)]
    return replace(asked, **{name: getattr(there, name) for name in empty})


def _differences(ours: object, theirs: object, path: str) -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted({*ours, *theirs})
        return [d for k in keys for d in _differences(ours.get(k), theirs.get(k), f"{path}.{k}")]
    return [] if ours == theirs else [f"{path} is {_short(theirs)}, asked {_short(ours)}"]


def _short(value: object) -> str:
    """In a line: of a part its kind."""
    text = str(value.get("kind", "a table") if isinstance(value, dict) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."
