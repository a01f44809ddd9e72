"""What a recipe leaves open is settled from the data when a run begins, and compared afterwards."""

from dataclasses import replace
from pathlib import Path

from unmist.base.faults import BadInput
from unmist.codecs.pixels import Pixels
from unmist.data.dataset import DataSet
from unmist.run.given import like, settle
from unmist.run.plain import to_plain
from unmist.run.recipe import FAMILIES, Measuring, Recipe, Saving, read_recipe

__all__ = ["measured", "same_recipe"]

MEASURABLE = 100  # held-out pictures: below that neither distance nor the copies' threshold hold


def measured(recipe: Recipe, data: DataSet) -> Recipe:
    """The recipe with shape, codec, conditions and saving points filled in from the data."""
    codec = recipe.codec or Pixels.measure(data.values[data.train])
    plan, saving = recipe.training, recipe.saving

    def every(asked: int, share: int) -> int:
        return asked or max(plan.batch, plan.samples // share)

    points = Saving(
        checkpoint=every(saving.checkpoint, 20),
        look=every(saving.look, 10),
        held=every(saving.held, 10),
    )
    recipe = settle(replace(recipe, shape=data.shape, codec=codec, saving=points), data)
    return replace(recipe, measuring=_measuring(recipe, data))


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


def same_recipe(asked: Recipe, folder: Path, *, any_length: bool = False) -> None:
    """Refuse to resume under another recipe; what was measured at the start does not count."""
    there = read_recipe(folder / "recipe.toml")
    asked = replace(asked, shape=there.shape, codec=there.codec, saving=there.saving)
    asked = replace(asked, conditions=like(asked.conditions, there.conditions))
    if asked.measuring.every == 0:  # chosen from the length when the run began
        chosen = replace(asked.measuring, every=there.measuring.every)
        asked = replace(asked, measuring=chosen)
    if any_length:  # a time budget became a length when the run began
        plan = replace(asked.training, samples=there.training.samples)
        asked = replace(asked, training=plan)
    ours, theirs = to_plain(asked, FAMILIES), to_plain(there, FAMILIES)
    for path in _differences(ours, theirs, "recipe"):
        raise BadInput(
            f"{path}, but the run began otherwise",
            where=folder,
            mend="choose another folder, or pass --fresh to begin anew",
        )


def _differences(ours: object, theirs: object, path: str) -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted({*ours, *theirs})
        return [d for k in keys for d in _differences(ours.get(k), theirs.get(k), f"{path}.{k}")]
    return [] if ours == theirs else [f"{path} is {_short(theirs)}, asked {_short(ours)}"]


def _short(value: object) -> str:
    """In a line: of a part its kind."""
    text = str(value.get("kind", "a table") if isinstance(value, dict) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."
