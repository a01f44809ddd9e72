"""Latent against pixel diffusion at equal CPU minutes: distance, seconds a sample, PSNR.

Slide 15 and Rombach et al. 2022 (2112.10752). See benchmarks/README.md for the pictures.
"""

import argparse
import json
import signal
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from unmist.codecs.latent import Latent
from unmist.data.opening import open_data
from unmist.metrics.features import extract
from unmist.metrics.frechet import frechet_score
from unmist.networks.unet import UNet
from unmist.run.codec import CODEC, worth_of
from unmist.run.model import load
from unmist.run.picture import grid, save_picture
from unmist.run.recipe import Data, Measuring, Recipe, Saving
from unmist.training.loop import Schooling
from unmist.training.reconstruct import Coding
from unmist.workflows.coding import SHARE
from unmist.workflows.judges import judged
from unmist.workflows.order import Order
from unmist.workflows.sample import Shot, sample
from unmist.workflows.train import planned, training

TURN = 20.0  # CPU seconds that one side works before the other


@dataclass(frozen=True)
class Found:
    """One side: CPU minutes of its training, samples seen, and what its samples are worth."""

    side: str
    minutes: float
    seen: int
    parameters: int
    frechet: float
    floor: float
    floor_spread: float
    seconds: float
    psnr: float | None


def recipes(source, width, steps):
    """Both sides, with about as many operations a call of the network."""
    base = Recipe(
        data=Data(source=str(source)),
        training=Schooling(samples=1 << 30, batch=32),
        measuring=Measuring(every=-1),
        network=UNet(width=width),
    )
    latent = replace(
        base,
        network=UNet(width=2 * width, fold=1),
        codec=Latent(width=width // 2),
        coding=Coding(batch=16),
    )
    sides = {"pixels": base, "latents": latent}
    return {
        name: replace(one, sampling=replace(one.sampling, steps=steps))
        for name, one in sides.items()
    }


def fitted(recipe, minutes):
    """The recipe with lengths that take so many CPU minutes, by a few measured updates.

    Updates are timed on the wall; `clock` says how much of that was the CPU's.
    """
    clock = time.perf_counter(), time.process_time()
    estimate = planned(recipe, Order(threads=1))
    share = (time.process_time() - clock[1]) / (time.perf_counter() - clock[0])
    speed, seconds = estimate.speed / share, 0.9 * 60 * minutes
    if recipe.codec is None:
        own = int(seconds * speed / 32) * 32
        return replace(recipe, training=replace(recipe.training, samples=max(own, 32)))
    # what the plan needs before the model itself is the codec, for half of the samples asked
    before = (estimate.seconds - estimate.samples / speed) * share
    rate = (recipe.training.samples / 2) / max(before, 1e-9)
    own = int((1 - SHARE) * seconds * speed / 32) * 32
    coding = replace(recipe.coding, samples=max(16, int(SHARE * seconds * rate / 16) * 16))
    return replace(recipe, coding=coding, training=replace(recipe.training, samples=max(own, 32)))


def trained(sides, folder):
    """Both sides in turns; CPU minutes of each, by its name, also of what was trained before."""
    path = folder / "cpu.json"
    spent = json.loads(path.read_text()) if path.is_file() else dict.fromkeys(sides, 0.0)
    runs = {
        name: training(recipe, folder / name, Order(threads=1)) for name, recipe in sides.items()
    }
    while runs:
        for name, reports in list(runs.items()):
            start = time.process_time()
            for report in reports:
                if report.notice:
                    print(f"{name}: {report.notice}", flush=True)
                if time.process_time() - start > TURN:
                    break
            else:
                del runs[name]
            spent[name] += (time.process_time() - start) / 60
            path.write_text(json.dumps(spent))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return spent


def judged_side(name, folder, minutes, data, features, count):
    """Draw from one side and measure."""
    model = load(folder / name)
    start = time.process_time()
    pixels = sample(model, Shot(count=count)).pixels
    seconds = (time.process_time() - start) / count
    save_picture(folder / f"{name}.png", grid(pixels[:64], zoom=2), {"kind": "benchmark"})
    real = [extract(features, data.values[rows]) for rows in (data.train, data.held)]
    score = frechet_score(
        extract(features, torch.from_numpy(pixels)), *real, features=features.name
    )
    worth = worth_of(folder / name / CODEC)
    return Found(
        name, minutes, model.recipe.training.samples,
        sum(p.numel() for p in model.net.parameters()),
        score.value, score.floor, score.floor_spread, seconds, worth.get("psnr"),
    )  # fmt: skip


def reconstructed(folder, data):
    """Held-out pictures above what the codec makes of them."""
    codec = load(folder / "latents").codec
    values = torch.from_numpy(data.values[data.held[:16]])
    back = codec.decode(codec.encode(values))
    rows = torch.stack([values, back], 1).flatten(0, 1).numpy()
    save_picture(folder / "codec.png", grid(rows, columns=8, zoom=2), {"kind": "benchmark"})


def claim(found):
    """Whether latents gain at equal minutes."""
    excess = {one.side: one.frechet - one.floor for one in found}
    return {
        "claim": "latents: excess Fréchet distance over that of pixels, equal CPU minutes",
        "value": round(excess["latents"] / excess["pixels"], 4),
        "target": 1.0,
        "meets": excess["latents"] <= excess["pixels"],
        "sides": [asdict(one) for one in found],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="?", default="emoji", help="a folder or built-in set")
    parser.add_argument("--minutes", type=float, default=8.0, help="CPU minutes of each side")
    parser.add_argument("--count", type=int, default=500, help="samples of each side")
    parser.add_argument("--width", type=int, default=32, help="of the network of pixels")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--to", type=Path, help="a folder; the same command goes on there")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.quick:
        asked.minutes, asked.count, asked.width, asked.steps = 0.1, 60, 8, 6
    torch.set_num_threads(1)
    folder = asked.to or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    data = open_data(asked.pictures)
    plain = recipes(asked.pictures, asked.width, asked.steps)
    path = folder / "lengths.json"
    if path.is_file():
        lengths = json.loads(path.read_text())
    else:
        sides = {name: fitted(one, asked.minutes) for name, one in plain.items()}
        lengths = {
            name: (one.training.samples, one.coding.samples if one.coding else 0)
            for name, one in sides.items()
        }
        path.write_text(json.dumps(lengths))
    for name, (samples, coded) in lengths.items():
        one = plain[name]
        every = Saving(checkpoint=max(32, samples // 10), look=max(32, samples // 4))
        one = replace(one, training=replace(one.training, samples=samples), saving=every)
        plain[name] = replace(one, coding=replace(one.coding, samples=coded)) if coded else one
    spent = trained(plain, folder)
    features = judged(data, folder)
    found = [judged_side(name, folder, spent[name], data, features, asked.count) for name in plain]
    reconstructed(folder, data)
    if asked.json:
        print(json.dumps(claim(found)))
        return
    for one in found:
        print(
            f"{one.side}: {one.minutes:.1f} CPU min, {one.seen} samples seen, "
            f"{one.parameters} parameters; excess Fréchet distance "
            f"{one.frechet - one.floor:.2f} (floor {one.floor:.2f} ± {one.floor_spread:.2f}); "
            f"{1000 * one.seconds:.0f} ms a sample"
            + (f"; the codec gives back at {one.psnr} dB" if one.psnr else "")
        )
    print(f"pictures in {folder}")


if __name__ == "__main__":
    main()
