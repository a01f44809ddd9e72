"""Samples from a model: seeds to noise, the walk, decoding (slide 5)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import Noise
from unmist.core.condition import Cond
from unmist.core.plan import Plan
from unmist.core.solver import Solver
from unmist.core.spacing import Spacing
from unmist.core.walk import State, started, walk
from unmist.guidance.guide import Guide
from unmist.nn.memory import keep_freed_memory
from unmist.run.model import Model
from unmist.run.plain import to_plain
from unmist.run.recipe import FAMILIES, Sampling
from unmist.run.tuned import with_tuned
from unmist.workflows.guided import followed, guiding, whole_guide
from unmist.workflows.marking import marked, own_mark
from unmist.workflows.wishes import Wish, asking, pictures, wished

__all__ = ["Samples", "Shot", "Told", "batches", "drained", "sample", "sampling", "settled"]

Told = Callable[[Sequence[int]], Cond | None]
"""The conditions of samples by their numbers."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """What to draw: sample i of seed s is one picture, whatever else is drawn with it.

    steps to guide: as in the recipe's Sampling, None for the model's own; exact: bit-equal in
    any company, slower for few; first: the number of the first sample; wish: what is asked, by the
    names of the model's conditions, several values taken in turn (None: all classes in turn, where
    it knows classes; {}: nothing); mark: start from noise with one's own mark in its signs.
    """

    count: int = 16
    first: int = 0
    seed: int = 0
    steps: int | None = None
    solver: Solver | None = None
    spacing: Spacing | None = None
    eta: float | None = None
    larger: bool | None = None
    churn: float | None = None
    churn_low: float | None = None
    churn_high: float | None = None
    churn_gain: float | None = None
    langevin: int | None = None
    guide: Guide | None = None
    exact: bool = False
    batch: int = 64
    wish: dict[str, Wish] | None = None
    mark: bool = False


@dataclass(frozen=True, eq=False)
class Samples:
    """pixels uint8 (n, c, *s); settings that repeat them; film: the mean after each move.

    time: whether the first axis of s is time.
    """

    pixels: np.ndarray
    settings: dict[str, object]
    calls: int
    film: tuple[np.ndarray, ...] = ()
    time: bool = False


def settled(model: Model, shot: Shot) -> Sampling:
    """How a shot is sampled: what it does not say is the model's own. Raises BadInput.

    Where neither solver nor spacing is said, the plan that was fitted to the model for as many
    steps (`unmist tune`) is used, if there is one.
    """
    asked = {part.name: getattr(shot, part.name) for part in fields(Sampling)}
    named = {name: value for name, value in asked.items() if value is not None}
    chosen = replace(model.recipe.sampling, **named)
    if model.recipe.student is not None:
        return own_steps(chosen, model.recipe.sampling)
    chosen = replace(chosen, guide=whole_guide(model, chosen.guide))
    if {"solver", "spacing"} & named.keys():
        return chosen
    return with_tuned(chosen, model.folder, model.digest)


def own_steps(asked: Sampling, own: Sampling) -> Sampling:
    """A student's own sampling; BadInput where another is asked."""
    if asked != own:
        raise BadInput(
            f"a student of {own.steps} steps is drawn as it was taught, and no other way",
            where="sample",
            mend="leave steps, solver, scale and their like out, or draw with its teacher",
        )
    return own


def plan_of(model: Model, shot: Shot) -> tuple[Plan, Sampling]:
    """The plan of a shot, and the sampling settings it comes from."""
    chosen = settled(model, shot)
    return chosen.plan(model.schedule), chosen


def batches(shot: Shot, where: str) -> list[tuple[int, ...]]:
    """The numbers of a shot's samples, a batch each. Raises BadInput."""
    if shot.count < 1 or shot.batch < 1 or shot.first < 0:
        raise BadInput("count and batch are 1 or more, first 0 or more", where=where)
    end = shot.first + shot.count
    starts = range(shot.first, end, shot.batch)
    return [tuple(range(start, min(start + shot.batch, end))) for start in starts]


def drained(
    model: Model, states: Iterable[tuple[int, State]], sizes: tuple[int, ...] | None = None
) -> tuple[np.ndarray, int]:
    """Where every batch ends, decoded, uint8 (n, c, *s); network evaluations of the last.

    sizes: s, None for the model's own.
    """
    last: dict[int, Tensor] = {}
    calls = 0
    for start, state in states:
        last[start], calls = state.x, state.calls
    parts = [model.codec.decode(x, sizes).cpu().numpy() for x in last.values()]
    return np.concatenate(parts), calls


def sampling(model: Model, shot: Shot, told: Told | None = None) -> Iterator[tuple[int, State]]:
    """Every state of every batch, with the number of its first sample.

    told: the conditions of samples by their numbers, in place of the shot's wish.
    """
    portions = batches(shot, "sample")
    keep_freed_memory()
    plan, chosen = plan_of(model, shot)
    told = told or asking(followed(model, chosen.guide), shot.wish)
    guide = guiding(model, chosen.guide, told, exact=shot.exact)
    for ids in portions:
        noise = Noise(shot.seed, "sample", ids)
        like = torch.zeros(len(ids), *model.inner, device=model.device)
        x = started(like, plan, marked(noise, plan, chosen.solver) if shot.mark else noise)
        guide.start()
        asked = (x, plan, chosen.solver, noise, guide.cond(ids))
        for state in walk(guide.denoise, *asked, spread=guide.spread):
            yield ids[0], state._replace(calls=guide.calls(len(ids)))


def sample(model: Model, shot: Shot | None = None, told: Told | None = None) -> Samples:
    """`sampling`, drained and decoded."""
    shot = shot or Shot()
    pixels, calls = drained(model, sampling(model, shot, told))
    return Samples(pixels, settings_of(model, shot, calls), calls, time=model.recipe.time)


def settings_of(model: Model, shot: Shot, calls: int) -> dict[str, object]:
    """Everything that `sample --like` needs to repeat the first sample, as plain values."""
    chosen = settled(model, shot)
    asked = followed(model, chosen.guide)
    wish = wished(asked, shot.wish)
    read = pictures(asked, wish)
    return {
        "model": model.name,
        "hash": model.digest,
        "sample": shot.first,
        "seed": shot.seed,
        "exact": shot.exact,
        "nfe": calls,
        "shape": list(model.shape),
        "sampling": to_plain(chosen, FAMILIES),
        "wish": {name: list(texts) for name, texts in wish.items()},
        **({"read": read} if read else {}),
        **({"time": True} if model.recipe.time else {}),
        **({"mark": own_mark()} if shot.mark else {}),
    }
