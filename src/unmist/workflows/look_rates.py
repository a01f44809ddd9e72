"""The learning rate of a recipe, found on its own data by updates that are thrown away."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from unmist.run.course import learner_of
from unmist.run.given import given_of
from unmist.run.recipe import Recipe
from unmist.run.settled import measured
from unmist.training.rates import Rates, Tried, rates_of, trying
from unmist.workflows.order import Order, machine_of, opened
from unmist.workflows.plots import plotted

__all__ = ["drawn_rates", "find_rate", "rates_tried"]


def rates_tried(recipe: Recipe, order: Order | None = None, updates: int = 200) -> Iterator[Tried]:
    """Update by update, from the network's first weights; nothing is written. Raises BadInput."""
    order = order or Order()
    data = opened(recipe, order)
    flat = replace(recipe.optimizer, warmup=0.0, decay=0.0)
    recipe = measured(replace(recipe, optimizer=flat), data)
    device = torch.device(machine_of(order).device)
    yield from trying(learner_of(recipe, data, given_of(recipe, data, device)), updates)


def find_rate(recipe: Recipe, order: Order | None = None, updates: int = 200) -> Rates:
    """`rates_tried`, drained, and what is to be made of it."""
    return rates_of(tuple(rates_tried(recipe, order, updates)))


def drawn_rates(found: Rates, now: float) -> np.ndarray:
    """The loss over the rate, the choice and the recipe's own `now` marked: uint8 (3, h, w)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=110, layout="constrained")
    axis = figure.subplots()
    shown = [one for one in found.tried if math.isfinite(one.loss)]
    rates = [one.rate for one in shown]
    axis.semilogx(rates, [one.loss for one in shown], color="0.75", lw=1, label="loss")
    axis.semilogx(rates, [one.smooth for one in shown], color="C0", lw=2, label="smoothed")
    axis.axvline(found.chosen, color="C2", ls="--", label=f"suggested {found.chosen:.2g}")
    axis.axvline(now, color="C1", ls=":", label=f"the recipe's {now:.2g}")
    least = min(one.smooth for one in shown)
    axis.set_ylim(0.9 * least, 1.1 * max(one.smooth for one in shown[: len(shown) // 2 + 1]))
    axis.set(xlabel="learning rate", ylabel="loss", title="Loss while the rate rises")
    axis.legend(frameon=False)
    return plotted(figure)
