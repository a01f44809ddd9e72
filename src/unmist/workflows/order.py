"""What is asked of a training run beside its recipe, and the data of a recipe."""

from dataclasses import dataclass
from pathlib import Path

import torch

from unmist.base.machine import Machine, choose
from unmist.data.dataset import DataSet
from unmist.data.opening import open_data
from unmist.nn.memory import keep_freed_memory
from unmist.run.recipe import Recipe

__all__ = ["Order", "machine_of", "opened"]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked for beside the recipe.

    budget: seconds, turned into a length once; fit: a U-Net narrower than the recipe's where the
    budget is too short for it; start: a model to begin from; fresh: throw an earlier run in the
    folder away; accept_drift, accept_rounding: go on although data or machine
    changed; device: auto, cpu, cuda or mps; threads: 0 for all (a resumed run keeps its own).
    """

    budget: float | None = None
    fit: bool = False
    start: Path | None = None
    fresh: bool = False
    accept_drift: bool = False
    accept_rounding: bool = False
    device: str = "auto"
    threads: int = 0


def opened(recipe: Recipe, order: Order) -> DataSet:
    """The data of a recipe."""
    data = recipe.data
    return open_data(
        data.source,
        size=data.size or None,
        channels=data.channels or None,
        fit=data.fit,
        background=data.background,
        on_bad=data.on_bad,
        frames=data.frames,
        accept_drift=order.accept_drift,
    )


def machine_of(order: Order, threads: int = 0) -> Machine:
    """The machine as this run uses it; torch is told the number of threads."""
    machine = choose(order.device, threads=threads or order.threads, precision="float32")
    torch.set_num_threads(machine.threads)
    keep_freed_memory()
    return machine
