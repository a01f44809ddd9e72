"""Learned against fixed variance on the digits: bits per dimension, and ancestral sampling.

    python benchmarks/learned_variance.py [--samples 1000] [--pictures 256] [--train 48000]
                                          [--width 32] [--steps 10,25,100] [--bounds 25,100,400]
                                          [--state FOLDER] [--quick] [--json]

Two models of one size, seed and length: one with fixed variance, one with `variance = between`
(the hybrid loss). Measured on each:

- bits per dimension of held-out digits by the bound at 25, 100 and 400 steps (beta tilde, beta, the
  learned one) and along the deterministic path;
- the excess Fréchet distance (value less the floor of real digits at the same number) of ancestral
  sampling at 10, 25 and 100 steps: beta tilde, beta and the learned variance, each on our default
  spacing; and diffusers' DDPM scheduler driving the same weights (trailing spacing of a linear
  table of 1,000, as fixed_small, fixed_large and learned_range, without clipping) from the same
  seeds. Coverage and copies beside each.

Runs and results are kept in the state folder: a stopped benchmark goes on. CPU only.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["DIFFUSERS_VERBOSITY"] = "error"

import numpy as np
import torch

from unmist.base import files
from unmist.base.noise import Noise
from unmist.core.level import Level
from unmist.core.plan import ancestral, descend
from unmist.core.solver import Ancestral, Euler
from unmist.core.variance import Between, Larger, reverse
from unmist.core.walk import final, started, walk
from unmist.data.opening import open_data
from unmist.metrics.copies import copies
from unmist.metrics.diversity import diversity
from unmist.metrics.features import extract, learn_features, restore_features
from unmist.metrics.frechet import frechet_score
from unmist.run.model import load
from unmist.run.picture import grid, save_picture
from unmist.run.recipe import Data, Recipe
from unmist.run.weights import load_weights, write_weights
from unmist.workflows.likelihood import bits_per_dimension
from unmist.workflows.train import Order, training

BATCH = 125


def trained(name, chosen):
    """The run of one contestant, begun or gone on with."""
    recipe = Recipe(data=Data(source="digits"))
    recipe = replace(
        recipe,
        network=replace(recipe.network, width=chosen.width),
        training=replace(recipe.training, samples=chosen.train),
        **({"variance": Between()} if name == "learned" else {}),
    )
    folder = chosen.state / name
    for report in training(recipe, folder, Order()):
        print(f"  {name}: {report.seen}/{report.samples}", end="\r", file=sys.stderr)
    return load(folder)


def ours(model, kind, steps, ids):
    """Ancestral samples in model space, with the variance of that kind."""
    plan = descend(model.recipe.sampling.spacing(model.schedule, steps))
    noise, base = Noise(0, "variance", ids), model.denoiser
    x = started(torch.zeros(len(ids), *model.shape), plan, noise)
    if kind == "larger":
        return final(walk(base, x, ancestral(plan, larger=True), Euler(), noise)).x
    spread = base if kind == "learned" else None
    return final(walk(base, x, plan, Ancestral(), noise, spread=spread)).x


def theirs(model, kind, steps, ids):
    """diffusers' DDPM scheduler on the same weights, told eps and, where learned, the fraction."""
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(
        1000, clip_sample=False, variance_type=kind, timestep_spacing="trailing"
    )
    scheduler.set_timesteps(steps)
    kept = scheduler.alphas_cumprod.double()
    x = Noise(0, "variance", ids)(torch.zeros(len(ids), *model.shape), 0)
    draw = torch.Generator().manual_seed(ids[0])
    for time_step in scheduler.timesteps:
        before = int(time_step) - 1000 // steps
        here = Level(kept[time_step].sqrt(), (1 - kept[time_step]).sqrt())
        keep = kept[before] if before >= 0 else torch.tensor(1.0)
        there = Level(keep.sqrt(), (1 - keep).sqrt())
        with torch.no_grad():
            mean, gain = model.denoiser.spread(x, here, there=there)
        answer = (x - float(here.alpha) * mean) / float(here.sigma)
        if kind == "learned_range":
            most = float(reverse(here, there).most)
            share = gain.log() / np.log(most) if most > 1 else torch.zeros_like(gain)
            answer = torch.cat((answer, 2 * share - 1), 1)
        x = scheduler.step(answer, int(time_step), x, generator=draw).prev_sample
    return x


CELLS = {
    "ours, smaller": ("fixed", ours, "smaller"),
    "ours, larger": ("fixed", ours, "larger"),
    "ours, learned": ("learned", ours, "learned"),
    "ours, learned model, smaller": ("learned", ours, "smaller"),
    "diffusers fixed_small": ("fixed", theirs, "fixed_small"),
    "diffusers fixed_large": ("fixed", theirs, "fixed_large"),
    "diffusers learned_range": ("learned", theirs, "learned_range"),
}


class Judge:
    """One classifier for all cells."""

    def __init__(self, data, folder):
        self.data, path = data, folder / "judge.safetensors"
        if not path.exists():
            taught = learn_features(data.values[data.train], data.labels[data.train])
            write_weights(path, taught.tensors())
        self.features = restore_features(load_weights(path), data.shape)
        self.train, self.held = (self.pair(data.values[r]) for r in (data.train, data.held))

    def pair(self, pixels):
        return torch.from_numpy(np.ascontiguousarray(pixels)), extract(self.features, pixels)

    def __call__(self, pixels):
        pixels = self.pair(pixels)
        score = frechet_score(pixels[1], self.train[1], self.held[1], features=self.features.name)
        return {
            "excess": score.excess,
            "floor": score.floor,
            "count": score.count,
            "coverage": diversity(self.held[1], pixels[1]).coverage,
            "copies": copies(pixels, self.train, self.held).pixels,
        }


def once(chosen, name, measure):
    """A result, measured unless it is in the state folder."""
    path = chosen.state / "results" / f"{name.replace(' ', '_').replace(',', '')}.json"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        start = time.perf_counter()
        found = measure()
        files.write_json(path, {**found, "seconds": time.perf_counter() - start})
    return json.loads(path.read_text())


def sampled(chosen, models, judge, cell, steps):
    """One cell of the table of sampling."""
    name, draw, kind = CELLS[cell]
    model, parts = models[name], []
    for first in range(0, chosen.samples, BATCH):
        ids = tuple(range(first, min(first + BATCH, chosen.samples)))
        x = draw(model, kind, steps, ids)
        parts.append(model.codec.decode(x).numpy())
    pixels = np.concatenate(parts)
    picture = chosen.state / f"{cell.replace(' ', '_').replace(',', '')}_{steps}.png"
    save_picture(picture, grid(pixels[:100], columns=10), {})
    return judge(pixels)


def bits(chosen, models, judge, kind, steps):
    """One cell of the table of bits."""
    model = models["learned" if kind.startswith("learned") else "fixed"]
    if kind == "larger":
        model = replace(model, denoiser=replace(model.denoiser, variance=Larger()))
    pictures = judge.data.values[judge.data.held[: chosen.pictures]]
    route = "path" if kind.endswith("path") else "bound"
    found = bits_per_dimension(model, pictures, route=route, steps=steps)
    return {"value": found.value, "low": found.low, "high": found.high, "count": found.count}


def tables(chosen, models, judge):
    """Both tables, cell by cell: (what, steps) -> result."""
    rows = {}
    for kind in ("smaller", "larger", "learned"):
        for steps in chosen.bounds:
            rows[f"bits {kind}", steps] = once(
                chosen,
                f"bits {kind} {steps}",
                lambda k=kind, n=steps: bits(chosen, models, judge, k, n),
            )
    for kind in ("fixed path", "learned path"):
        steps = 10 if chosen.quick else 100
        rows[f"bits {kind}", steps] = once(
            chosen, f"bits {kind}", lambda k=kind, n=steps: bits(chosen, models, judge, k, n)
        )
    for steps in chosen.steps:
        for cell in CELLS:
            rows[cell, steps] = once(
                chosen,
                f"{cell} {steps}",
                lambda c=cell, n=steps: sampled(chosen, models, judge, c, n),
            )
    return rows


def claims(rows):
    """What is claimed, a line each."""
    for (name, steps), found in rows.items():
        if name == "bits learned":
            less = rows["bits smaller", steps]["value"] - found["value"]
            yield {
                "claim": f"bits per dimension saved by the learned variance, bound, {steps} steps",
                "value": less,
                "target": 0.0,
                "meets": less >= 0,
            }
        if name == "ours, learned":
            fixed = min(rows[f"ours, {k}", steps]["excess"] for k in ("smaller", "larger"))
            ratio = found["excess"] / fixed
            yield {
                "claim": f"excess Fréchet distance, learned / better fixed variance, {steps} steps",
                "value": ratio,
                "target": 1.0,
                "meets": ratio <= 1,
            }
            best = min(r["excess"] for (n, s), r in rows.items() if s == steps and n[0] == "d")
            yield {
                "claim": f"excess Fréchet distance, ours learned / best diffusers, {steps} steps",
                "value": found["excess"] / best,
                "target": 1.0,
                "meets": found["excess"] <= best,
            }


def line(name, steps, found):
    if "excess" in found:
        return (
            f"{name:30} {steps:4} steps  excess {found['excess']:8.3f}  "
            f"floor {found['floor']:.3f}  n {found['count']}  coverage {found['coverage']:.3f}  "
            f"copies {found['copies']:.1%}"
        )
    return (
        f"{name:30} {steps:4} steps  {found['value']:.4f} bits a dimension "
        f"[{found['low']:.4f}, {found['high']:.4f}], {found['count']} held-out pictures"
    )


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--train", type=int, default=48_000)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--steps", default="10,25,100", help="of ancestral sampling")
    parser.add_argument("--bounds", default="25,100,400", help="steps of the bound")
    parser.add_argument("--state", type=Path, default=Path("learned_variance_state"))
    parser.add_argument("--quick", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.samples, chosen.pictures, chosen.train, chosen.width = 100, 16, 320, 8
        chosen.steps, chosen.bounds = "10", "25"
        chosen.state = Path(tempfile.mkdtemp(prefix="learned_variance_"))
    for name in ("steps", "bounds"):
        setattr(chosen, name, tuple(map(int, getattr(chosen, name).split(","))))
    return chosen


def main():
    chosen = options()
    chosen.state.mkdir(parents=True, exist_ok=True)
    judge = Judge(open_data("digits"), chosen.state)
    models = {name: trained(name, chosen) for name in ("fixed", "learned")}
    rows = tables(chosen, models, judge)
    if not chosen.json:
        print(*(line(*key, found) for key, found in rows.items()), sep="\n")
    for found in claims(rows):
        print(
            json.dumps(found)
            if chosen.json
            else f"{found['claim']}: {found['value']:.3f}, target {found['target']}: "
            + ("met" if found["meets"] else "NOT met")
        )


if __name__ == "__main__":
    main()
