"""A classifier of noisy samples for a run: taught on its data and levels, by the training step."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.base.noise import Noise
from unmist.conditions.label import numbered
from unmist.core.condition import Cond
from unmist.core.level import noised
from unmist.core.objective import LogNormal
from unmist.data.dataset import DataSet
from unmist.networks.encoder import Encoder
from unmist.networks.unet import UNet
from unmist.run import checkpoint
from unmist.run.guide import CLASSIFIER, GUIDE, HIGH, LOW, accuracies, keep_classifier
from unmist.run.latents import rows_of
from unmist.run.lock import hold
from unmist.run.model import Model, load
from unmist.run.shipped import refuse_shipped
from unmist.run.stop import stoppable
from unmist.training.classify import Classifying, told_at
from unmist.training.ema import Average
from unmist.training.loop import Batches, Learner, Schooling
from unmist.training.optimizer import AdamW
from unmist.workflows.beside import continued, stepping
from unmist.workflows.order import Order, machine_of, opened
from unmist.workflows.progress import Report, reported

__all__ = ["RATIOS", "classify", "classifying", "named_at"]

SAMPLES, BATCH = 150_000, 64
RATIOS = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""sigma/alpha at which the share named right is told."""
MOST = 2000
DRAW = LogNormal(mean=0.0, std=1.6)  # LOW and HIGH are 2.5 of these from the middle


def classify(folder: Path | str, order: Order | None = None) -> dict[float, float]:
    """`classifying`, drained; the share of held-out samples named right at each of `RATIOS`."""
    for _ in classifying(folder, order):
        pass
    return accuracies(Path(folder))


def classifying(folder: Path | str, order: Order | None = None) -> Iterator[Report]:
    """Teach the classifier of a run, or go on with it; reports as it goes.

    order: its budget and `fresh` count. Leaves guide/classifier.*. Raises BadInput where the run's
    data have no labels, Stopped where a signal asked for it.
    """
    order, model = order or Order(), load(folder)
    refuse_shipped(model.folder)
    data = opened(model.recipe, order)
    if data.labels is None:
        mend = "classifier guidance needs data with labels"
        raise BadInput(f"{data.name} has no labels", where=model.folder, mend=mend)
    machine = machine_of(order)
    state = model.folder / GUIDE / "state"
    with hold(model.folder), stoppable() as stop:
        checkpoint.sweep(state)
        if order.fresh:
            files.remove(state)
        elif finished := _finished(model.folder, state):
            yield finished
            return
        learner = _learner(model, data, torch.device(machine.device), order, state)
        for stats, speed in stepping(learner, state, stop):
            yield reported(learner, stats, speed)
        shares = named_at(learner.ema, model, data)
        facts: dict[str, object] = {
            "classes": list(data.classes),
            "samples": learner.seen,
            "fingerprint": data.fingerprint,
            "accuracy": {f"{ratio:g}": round(share, 4) for ratio, share in shares.items()},
        }
        keep_classifier(model.folder, _encoder(model), learner.ema, facts)
        files.remove(state)
        yield replace(reported(learner, None, 0.0, notice=_told(shares)), finished=True)


def _finished(folder: Path, state: Path) -> Report | None:
    """That there is nothing left to do, where a classifier is there and none is under way."""
    if not (folder / CLASSIFIER).is_file() or checkpoint.latest(state) is not None:
        return None
    notice = f"already finished; {_told(accuracies(folder))}; --fresh starts anew"
    return Report(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, notice=notice, finished=True)


def _told(shares: dict[float, float]) -> str:
    parts = ", ".join(f"{share:.1%} at {ratio:g}" for ratio, share in shares.items())
    return f"held-out samples named right, by sigma/alpha: {parts}"


def _encoder(model: Model) -> Encoder:
    """Half as wide as the U-Net that it leads."""
    match model.recipe.network:
        case UNet(width=width):
            return Encoder(width=max(8, width // 2))
        case _:
            return Encoder()


def _learner(
    model: Model, data: DataSet, device: torch.device, order: Order, state: Path
) -> Learner:
    """Begun, or as it was when it was stopped."""
    recipe, codec, labels = model.recipe, model.codec, data.labels
    assert labels is not None
    rows, inner = data.train[labels[data.train] >= 0], rows_of(codec, data, device)

    def fetch(chosen: np.ndarray) -> tuple[Tensor, Cond]:
        own = rows[chosen]
        value, kept = numbered(labels[own].tolist())
        assert isinstance(value, Tensor)
        return inner(own), Cond({"label": value.to(device)}, {"label": kept.to(device)})

    plan = Schooling(
        samples=SAMPLES,
        batch=BATCH,
        seed=recipe.training.seed,
        flip=recipe.training.flip,
        drop=0.0,
    )
    learner = Learner(
        net=_encoder(model).build(model.inner, len(data.classes), plan.seed).to(device),
        objective=Classifying(recipe.schedule, recipe.prediction, DRAW),
        optimizer=AdamW(weight_decay=0.05),
        average=Average(),
        schooling=plan,
        batches=Batches(len(rows), fetch),
    )
    return continued(learner, state, order.budget)


@torch.no_grad()
def named_at(net: torch.nn.Module, model: Model, data: DataSet) -> dict[float, float]:
    """The share of held-out samples that are named right at each of `RATIOS`."""
    assert data.labels is not None
    held = data.held if len(data.held) else data.train
    rows = held[data.labels[held] >= 0][:MOST]
    device = next(net.parameters()).device
    labels = torch.from_numpy(data.labels[rows])
    x0 = rows_of(model.codec, data, device)(rows)
    eps = Noise(0, "classifier by level", tuple(range(len(rows))))(x0, 0)
    shares = {}
    for ratio in RATIOS:
        assert LOW <= ratio <= HIGH
        level = model.schedule.process(-2 * torch.tensor(ratio).double().log())
        right = [
            told_at(net, model.recipe.prediction, noised(x, level, e), level).argmax(1).cpu() == y
            for x, e, y in zip(x0.split(256), eps.split(256), labels.split(256), strict=True)
        ]
        shares[ratio] = float(torch.cat(right).double().mean())
    return shares
