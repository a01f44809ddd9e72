"""What a training would take, and how long and large it is to be where a time is given."""

import resource
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from unmist.base.machine import in_bytes
from unmist.core.denoiser import Denoiser
from unmist.data.dataset import DataSet
from unmist.networks.count import kept_bytes
from unmist.networks.unet import UNet
from unmist.run.course import learner_of
from unmist.run.given import given_of
from unmist.run.model import joined, sockets_of
from unmist.run.parent import inheriting, parent_of
from unmist.run.recipe import Recipe
from unmist.run.settled import measured
from unmist.workflows.coding import drafted
from unmist.workflows.judges import judged
from unmist.workflows.midway import HELD
from unmist.workflows.order import Order, machine_of, opened
from unmist.workflows.statistics import statistics_home
from unmist.workflows.teaching import teacher_of

__all__ = ["Estimate", "fitted", "needed", "planned", "roomy"]

SPARE = 0.05  # of a time budget: what is written beside checkpoints, a machine that slows down
FORWARD = 3.0  # forward passes in the time of an update, about
SAFE = 0.8  # of the free memory that is planned with
DISK = 2e8  # bytes a second to a disk that is waited for
WIDTHS = ((15_000, 24), (60_000, 32), (200_000, 48))
"""Samples that the recipe's own U-Net would see in the time, and the width that does best below."""


@dataclass(frozen=True)
class Estimate:
    """What a run would take, from a few measured updates; bytes and seconds."""

    samples: int
    seconds: float
    speed: float
    memory: int
    disk: int
    parameters: int
    recipe: Recipe = field(repr=False)


def planned(recipe: Recipe, order: Order) -> Estimate:
    """What `--plan` shows: nothing is written."""
    parent, data = parent_of(order.start, recipe), opened(recipe, order)
    recipe = inheriting(recipe, parent)
    before, recipe = drafted(recipe, data, order)
    left = None if order.budget is None else max(order.budget - before, order.budget / 2)
    order = replace(order, budget=left)
    asked, speed, parameters = _narrowed(recipe, data, order, teacher_of(parent, recipe))
    samples = _length(asked, speed, parameters, left)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    recipe = _long(measured(asked, data), samples)
    disk = _disk(recipe, parameters)
    return Estimate(
        samples,
        before + samples / speed / (1 - SPARE) + _aside(asked, speed, parameters, samples),
        speed,
        peak,
        disk,
        parameters,
        recipe,
    )


def fitted(
    recipe: Recipe, to: Path, data: DataSet, order: Order, teacher: Denoiser | None
) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe with the length, and where it is open the width, that suit the budget; notices.

    What is done here, and teaching the judge of a run that measures itself, is in the budget.
    """
    began, budget = time.perf_counter(), order.budget
    assert budget is not None
    asked, speed, parameters = _narrowed(recipe, data, order, teacher)
    if measured(_long(asked, int(budget * speed)), data).measuring.every > 0:
        judged(data, statistics_home(to / "measures"))
    left = budget - (time.perf_counter() - began)
    told = ()
    if asked.network != recipe.network:
        assert isinstance(asked.network, UNet)
        told = (f"network.width {asked.network.width} suits the time given; --size sets another",)
    return _long(asked, _length(asked, speed, parameters, max(left, budget / 2))), told


def needed(recipe: Recipe) -> tuple[int, int]:
    """Bytes that training a measured recipe holds: for its weights, for one network call.

    Weights, gradients, two moments and each average followed; what a call keeps for the way back.
    """
    net, sockets, shape = joined(recipe).net, sockets_of(recipe), recipe.inner
    followed = 5 + sum(width != recipe.average.width for width in recipe.snapshots.widths)
    weights = 4 * followed * sum(p.numel() for p in net.parameters())
    plan = recipe.training
    return weights, (plan.micro or plan.batch) * kept_bytes(net, shape, sockets)


def roomy(recipe: Recipe, room: int) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe, told to recompute where `room` bytes (0: not known) would not do; notices."""
    weights, call = needed(recipe)
    told = (
        f"memory: {in_bytes(weights)} for weights and moments, {in_bytes(call)} for a network call"
    )
    if not room or weights + call < SAFE * room:
        return recipe, (told,) if weights + call > 1 << 30 else ()
    over = f"{told}, {in_bytes(room)} free"
    net = recipe.network
    if not isinstance(net, UNet) or net.recompute:
        return recipe, (f"{over}: this may not fit; a smaller --set training.micro needs less",)
    recipe = replace(recipe, network=replace(net, recompute=True))
    return recipe, (f"{over}: activations are worked out again on the way back",)


def _long(recipe: Recipe, samples: int) -> Recipe:
    return replace(recipe, training=replace(recipe.training, samples=samples))


def _narrowed(
    recipe: Recipe, data: DataSet, order: Order, teacher: Denoiser | None
) -> tuple[Recipe, float, int]:
    """The recipe with the width that suits the budget, its samples a second and parameters."""
    speed, parameters = _speed(measured(recipe, data), data, order, teacher)
    net = recipe.network
    if order.budget is None or not order.fit or not isinstance(net, UNet):
        return recipe, speed, parameters
    seen = order.budget * speed
    width = next((width for most, width in WIDTHS if seen < most), net.width)
    if width >= net.width:
        return recipe, speed, parameters
    recipe = replace(recipe, network=replace(net, width=width))
    return recipe, *_speed(measured(recipe, data), data, order, teacher)


def _disk(recipe: Recipe, parameters: int) -> int:
    """Two checkpoints of four tensors a weight and the averages followed, model, best, stored."""
    plan = recipe.training
    widths, main = recipe.snapshots.widths, recipe.average.width
    followed = sum(width != main for width in widths) if recipe.snapshots.points else 0
    kept = len(recipe.snapshots.times(plan.samples, plan.batch)) * len(widths)
    return 4 * parameters * (2 * (4 + followed) + 1 + (recipe.measuring.every > 0) + kept)


def _speed(
    recipe: Recipe, data: DataSet, order: Order, teacher: Denoiser | None
) -> tuple[float, int]:
    """Samples a second of updates that are thrown away, after two to warm up; parameters."""
    device = torch.device(machine_of(order).device)
    learner = learner_of(recipe, data, given_of(recipe, data, device), teacher)
    for _ in range(2):
        learner.advance()
    start, first = time.perf_counter(), learner.seen
    while time.perf_counter() - start < 3 or learner.seen < first + 3 * recipe.training.batch:
        learner.advance()
    speed = (learner.seen - first) / (time.perf_counter() - start)
    return speed, sum(p.numel() for p in learner.net.parameters())


def _length(recipe: Recipe, speed: float, parameters: int, budget: float | None) -> int:
    """Samples that fit into so many seconds beside all that is not training; half of them always.

    `recipe` as it was asked for, its saving points not yet filled in.
    """
    batch = recipe.training.batch
    if budget is None:
        return recipe.training.samples
    aside = _aside(recipe, speed, parameters, int(budget * speed))
    left = max(budget * (1 - SPARE) - aside, budget / 2)
    return max(1, int(left * speed / batch)) * batch


def _aside(recipe: Recipe, speed: float, parameters: int, samples: int) -> float:
    """Seconds of looks (25 samples of 12 calls), measures, held-out losses and checkpoints."""
    saving, forward = recipe.saving, FORWARD * speed
    followed = 4 + sum(width != recipe.average.width for width in recipe.snapshots.widths)

    def times(every: int, share: int) -> float:
        return samples / every if every else share

    measuring = recipe.measuring
    drawn = measuring.samples * min(measuring.steps, recipe.sampling.steps)
    # as settled: measures that cost 2 % or less where nothing is asked
    measures = samples // measuring.every if measuring.every > 0 else min(8, samples / 150 / drawn)
    return (
        max(0, measures) * 2 * drawn / forward  # half of it is judging
        + times(saving.look, 10) * 25 * 12 / forward
        + times(saving.held, 10) * HELD / forward
        + times(saving.checkpoint, 20) * 4 * parameters * (followed + 1) / DISK
    )
