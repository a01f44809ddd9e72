"""The codec of a model in latents: taught on the model's own data before it, or another's.

A share of a time budget is the codec's; what it is worth is measured on held-out rows and kept.
"""

import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.base.noise import keyed
from unmist.codecs.autoencoder import Autoencoder
from unmist.codecs.bottleneck import VqModule
from unmist.codecs.latent import Latent
from unmist.codecs.pixels import Pixels
from unmist.core.condition import Cond
from unmist.data.dataset import DataSet
from unmist.networks.critic import Critic
from unmist.run import checkpoint
from unmist.run.codec import CODEC, codec_of, keep_codec, read_codec, worth_of
from unmist.run.course import cleared
from unmist.run.recipe import Recipe
from unmist.run.settled import same_recipe
from unmist.run.stop import Stop
from unmist.training.ema import Average
from unmist.training.loop import Batches, Learner, Schooling
from unmist.training.optimizer import AdamW
from unmist.training.reconstruct import Coding, Reconstructing, Seen, Taught
from unmist.workflows.beside import continued, stepping
from unmist.workflows.edit_between import psnr
from unmist.workflows.judges import judged
from unmist.workflows.order import Order, machine_of
from unmist.workflows.progress import Report, reported
from unmist.workflows.statistics import statistics_home

__all__ = ["SHARE", "coded", "drafted", "learner_of_codec", "worth"]

SHARE = 0.3  # of a time budget, where a codec has to be taught
HELD = 512  # held-out rows on which it is measured


def coded(
    recipe: Recipe, to: Path, data: DataSet, order: Order, stop: Stop
) -> Generator[Report, None, tuple[Recipe, Order]]:
    """The recipe with a codec that was taught, in the folder of the run, and what is left to do.

    Recipes of pixels, and those whose codec was read already, come back as they are.
    """
    codec = recipe.codec
    if not isinstance(codec, Latent) or codec.net is not None:
        return recipe, order
    place = to / CODEC
    if (to / "recipe.toml").exists() and not order.fresh:
        same_recipe(recipe, to, any_length=order.budget is not None, any_width=order.fit)
    else:
        cleared(to, fresh=order.fresh)
        if order.fresh:
            files.remove(place)
    if (there := read_codec(place)) is not None and not _under_way(place):
        _same(codec, there, place)
    else:
        share = None if order.budget is None else SHARE * order.budget
        yield from _taught(recipe, codec, place, data, (share, machine_of(order).device), stop)
    told = f"codec: {_told(worth_of(place))}"
    yield Report(0, recipe.training.samples, 0.0, 0.0, 0.0, 0.0, 0.0, notice=told)
    left = None if order.budget is None else (1 - SHARE) * order.budget
    return replace(recipe, codec=codec_of(place)), replace(order, budget=left, fresh=False)


def drafted(recipe: Recipe, data: DataSet, order: Order) -> tuple[float, Recipe]:
    """Seconds that teaching the codec would take, and the recipe with it untaught.

    Nothing is written; 0 where there is none to teach.
    """
    codec = recipe.codec
    if not isinstance(codec, Latent) or codec.net is not None:
        return 0.0, recipe
    device = torch.device(machine_of(order).device)
    codec = replace(codec, shape=data.shape, pixels=Pixels.measure(data.values[data.train]))
    learner = learner_of_codec(recipe, codec, data, device)
    learner.advance()
    began, first = time.perf_counter(), learner.seen
    while time.perf_counter() - began < 2:
        learner.advance()
    seconds = learner.schooling.samples * (time.perf_counter() - began) / (learner.seen - first)
    unit = {"mean": (0.0,) * codec.channels, "spread": (1.0,) * codec.channels}
    codec = replace(codec, net=codec.build(data.shape, 0), **unit)
    share = seconds if order.budget is None else SHARE * order.budget
    return share, replace(recipe, codec=codec)


def _under_way(place: Path) -> bool:
    return checkpoint.latest(place / "state") is not None


def _same(asked: Latent, there: Latent, place: Path) -> None:
    """BadInput where a codec was taught by other settings than are asked now."""
    plain = replace(there, shape=(), pixels=None, digest="")
    if asked != plain:
        what = f"the codec here was taught as {plain}"
        raise BadInput(what, where=place, mend="ask for the same, or pass --fresh to begin anew")


def _taught(
    recipe: Recipe, codec: Latent, place: Path, data: DataSet,
    means: tuple[float | None, str], stop: Stop,
) -> Generator[Report, None, None]:  # fmt: skip
    """Begin or go on, to the end; leaves codec.* in `place`."""
    budget, device = means
    checkpoint.sweep(place / "state")
    codec = replace(codec, shape=data.shape, pixels=Pixels.measure(data.values[data.train]))
    seen = _features(codec, data, place) if (recipe.coding or Coding()).perceptual else None
    learner = learner_of_codec(recipe, codec, data, torch.device(device), seen)
    learner = continued(learner, place / "state", budget)
    every = max(1, learner.schooling.samples // 20)
    yield reported(learner, None, 0.0, notice="teaching the codec first")
    for stats, speed in stepping(learner, place / "state", stop, every):
        yield reported(learner, stats, speed)
    net = learner.ema.coder
    assert isinstance(net, Autoencoder)
    told = {
        **worth(replace(codec, net=net), data),
        "samples": learner.seen,
        "data": data.name,
        "fingerprint": data.fingerprint,
    }
    keep_codec(place, codec, net, told)
    files.remove(place / "state")


def learner_of_codec(
    recipe: Recipe, codec: Latent, data: DataSet, device: torch.device, seen: Seen | None = None
) -> Learner:
    """The learner of an autoencoder, untaught, on the training rows; seen: perceptual features."""
    coding, seed = recipe.coding or Coding(), recipe.training.seed
    pixels = codec.pixels
    assert pixels is not None

    def fetch(rows: np.ndarray) -> tuple[Tensor, Cond | None]:
        return pixels.encode(torch.from_numpy(data.values[data.train[rows]]).to(device)), None

    draws = [int(keyed(seed, f"codec {part}").integers(2**63)) for part in ("coder", "critic")]
    critic = Critic().build(data.shape, draws[1]) if coding.adversary else None
    samples = coding.samples or recipe.training.samples // 2
    whole = -(-samples // coding.batch) * coding.batch
    plan = Schooling(samples=whole, batch=coding.batch, seed=seed, flip=recipe.training.flip)
    return Learner(
        net=Taught(codec.build(data.shape, draws[0]), critic).to(device),
        objective=Reconstructing(coding, seen),
        optimizer=AdamW(rate=coding.rate),
        average=Average(),
        schooling=plan,
        batches=Batches(len(data.train), fetch),
        guard=recipe.guard,
    )


def _features(codec: Latent, data: DataSet, place: Path) -> Seen:
    """What the data's own classifier sees at each depth of pictures in the codec's unit."""
    pixels, net = codec.pixels, judged(data, statistics_home(place)).net
    assert pixels is not None
    shape = (-1, *[1] * (len(data.shape) - 1))
    mean, spread = (torch.tensor(part).reshape(shape) for part in (pixels.mean, pixels.spread))
    return lambda x: net.to(x.device).depths(x * spread.to(x) + mean.to(x))


@torch.no_grad()
def worth(codec: Latent, data: DataSet) -> dict[str, object]:
    """How well a codec gives up to 512 held-out rows back: psnr in dB, of all their numbers.

    Of a codebook also `use`, the share of its codes that stand for any place, and `perplexity`,
    how many they are worth.
    """
    rows = (data.held if len(data.held) else data.train)[:HELD]
    plain = replace(codec, mean=(0.0,) * codec.channels, spread=(1.0,) * codec.channels)
    values = torch.from_numpy(data.values[rows])
    latents = plain.latents(values)
    back = plain.decode(latents, data.shape[1:]).numpy()
    told: dict[str, object] = {
        "psnr": round(psnr(back, data.values[rows]), 2),
        "rows": len(rows),
        "held": bool(len(data.held)),
    }
    assert codec.net is not None
    between = codec.net.between
    if isinstance(between, VqModule):
        counts = torch.bincount(between.chosen(latents).flatten(), minlength=len(between.cloud))
        share = counts[counts > 0] / counts.sum()
        told["use"] = round(float((counts > 0).double().mean()), 4)
        told["perplexity"] = round(float((-(share * share.log()).sum()).exp()), 1)
    return told


def _told(found: dict[str, object]) -> str:
    """What a codec is worth, in a line."""
    if "psnr" not in found:
        return "from another run"
    rows = "held-out" if found.get("held") else "training"
    line = f"{found['rows']} {rows} samples come back at {found['psnr']} dB"
    if "use" in found:
        line += f", {float(str(found['use'])):.1%} of the codes in use"
    return line
