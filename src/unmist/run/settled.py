"""What a recipe leaves open is settled from the data when a run begins, and compared afterwards."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from unmist.base.faults import BadInput
from unmist.codecs.family import Codec
from unmist.codecs.latent import Latent
from unmist.codecs.pixels import Pixels
from unmist.core.default import default_spacing
from unmist.core.hiding import half_hidden
from unmist.core.objective import UNMEASURED, LogNormal
from unmist.core.schedules import Exploding
from unmist.core.spacing import Logistic
from unmist.data.dataset import DataSet
from unmist.networks.unet import UNet
from unmist.run.given import like, settle
from unmist.run.latents import rows_of, with_unit
from unmist.run.plain import to_plain
from unmist.run.recipe import FAMILIES, Measuring, Recipe, Saving, read_recipe

__all__ = ["measured", "same_recipe"]

# Levels by that at which samples are half hidden: found on digits and emoji (docs/log.md)
BELOW, WIDE = 1.8, 1.4  # log of half hidden less the draw's mean; the draw's std
OVER, UNDER = 8.0, 6.0  # the top over half hidden; half hidden over the spacing's centre
SAMPLED = (256, 1 << 25)  # rows that this is measured on, and the most numbers in them
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
    recipe = _suited(settle(recipe, data), data)
    if recipe.augment.share and (not isinstance(codec, Pixels) or len(data.shape) != 3):
        mend = "leave it out"
        raise BadInput("only pictures of pixels can be moved", where="augment", mend=mend)
    if recipe.rolling and (not isinstance(codec, Pixels) or not data.time):
        mend = "leave it out, or give clips or series"
        raise BadInput("only clips and series of pixels have frames", where="rolling", mend=mend)
    return replace(recipe, measuring=_measuring(recipe, data))


def _suited(recipe: Recipe, data: DataSet) -> Recipe:
    """The recipe with its levels measured, where its draw leaves them open.

    What decides which sample this will be lies between a sixth of the level at which the training
    rows are half hidden and a few times that: at 7 for digits of 28x28, 65 for solids of 32x32x32.
    The draw of levels, the top of an exploding schedule and the centre of the sampling's levels
    follow it, the last two where they stand at their defaults.
    """
    draw, schedule, sampling = recipe.draw, recipe.schedule, recipe.sampling
    if not isinstance(draw, LogNormal) or draw.mean is not None:
        return recipe
    half = _half_hidden(recipe, data)
    if math.isnan(half) or math.log(half) - BELOW < UNMEASURED[0]:  # little differs but noise
        draw = LogNormal(UNMEASURED[0], draw.std or UNMEASURED[1])
        return replace(recipe, draw=draw)
    draw = LogNormal(round(math.log(half) - BELOW, 3), draw.std or WIDE)
    if isinstance(schedule, Exploding) and schedule.sigma_max == Exploding.sigma_max:
        top = max(schedule.sigma_max, round(OVER * half, 1))
        schedule = replace(schedule, sigma_max=top)
    base = default_spacing()
    if isinstance(base, Logistic) and sampling.spacing == base:
        spacing = replace(base, center=max(base.center, round(half / UNDER, 2)))
        sampling = replace(sampling, spacing=spacing)
    return replace(recipe, draw=draw, schedule=schedule, sampling=sampling)


def _half_hidden(recipe: Recipe, data: DataSet) -> float:
    """On as many training rows, evenly taken, as memory allows."""
    assert recipe.codec is not None
    most, room = SAMPLED
    count = min(most, len(data.train), max(8, room // math.prod(recipe.inner)))
    rows = data.train[np.linspace(0, len(data.train) - 1, count).astype(np.int64)]
    return half_hidden(rows_of(recipe.codec, data, torch.device("cpu"))(rows))


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
    asked = _as_suited(asked, there)
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


def _as_suited(asked: Recipe, there: Recipe) -> Recipe:
    """The asked recipe with the levels that were measured when the run began."""
    draw, began = asked.draw, there.draw
    if not isinstance(draw, LogNormal) or draw.mean is not None:
        return asked
    if not isinstance(began, LogNormal):
        return asked
    std = began.std if draw.std is None else draw.std
    asked = replace(asked, draw=LogNormal(began.mean, std))
    old, new = asked.schedule, there.schedule
    if isinstance(old, Exploding) and isinstance(new, Exploding):
        top = new.sigma_max if old.sigma_max == Exploding.sigma_max else old.sigma_max
        asked = replace(asked, schedule=replace(old, sigma_max=top))
    if asked.sampling.spacing == default_spacing():
        asked = replace(asked, sampling=replace(asked.sampling, spacing=there.sampling.spacing))
    return asked


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
