"""Few network evaluations: plain, tuned and distilled sampling beside diffusers, same weights.

At 1, 2, 4, 5, 8, 10, 12, 20 and 50 evaluations (NFE), one model of the digits:

- `plain`: our default solver and levels; `tuned`: the plan `unmist tune` kept for that budget,
  where it kept one; `student`: what `unmist distill` made, at its own number of steps;
- `ddim`, `dpm++`, `unipc`: diffusers' schedulers on the same weights, each with the setting
  (spacing, order, last step: `peer_schedulers.py`) of least error at that NFE, chosen on the very
  seeds it is then measured on: the peers' luck counts for them;
- `ddpm`: diffusers' DDPM scheduler (linear betas, trailing) once, at 250.

A conditional model is asked for all classes in turn, under its own guide, as `unmist sample` does;
all ways are given the same wishes.

error: root mean square distance from the model's own fine solution (Adams, 200 steps) from the same
seeds, in model space, over --seeds seeds, and the mean over seeds of each one's own (a seed that
ends in another digit weighs less there). excess: Fréchet distance in a classifier's 64 features of
--samples samples to training digits, less what held-out digits get; coverage of held-out digits
beside it. Targets: tuned at 5, error at most the best peer's at 10; student at 2, excess at most
1.15 of our own at 50, and coverage within that one's 95 % interval.

    python benchmarks/few_steps.py --model FOLDER [--samples 2000] [--seeds 64] [--nfe 1,2,4,5,8]
                                   [--state FOLDER] [--quick] [--json]

Without --model a model is trained (--budget 8m), tuned and distilled first, by the commands that
anyone would give. Results are kept in the state folder: a stopped benchmark goes on. CPU only.
"""

import argparse
import json
import os
import tempfile
from functools import partial
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["DIFFUSERS_VERBOSITY"] = "error"

import numpy as np
import torch

from learned_variance import Judge, once
from peer_schedulers import endpoint, peers
from unmist.base.noise import Noise
from unmist.cli.main import main as unmist
from unmist.core.default import default_solver, default_spacing
from unmist.core.level import Level
from unmist.core.plan import descend
from unmist.core.walk import final, started, walk
from unmist.data.opening import open_data
from unmist.run.model import load
from unmist.run.picture import grid, save_picture
from unmist.run.tuned import tuned_of
from unmist.workflows.distill import STEPS, home
from unmist.workflows.guided import guided, whole_guide

BATCH, FINE = 64, 200
NFE = (1, 2, 4, 5, 8, 10, 12, 20, 50)
SHOWN = (1, 2, 4, 8)
ANCESTRAL = ("ddpm", 250)
FAMILIES = {
    "ddim": ("DDIM |",),
    "dpm++": ("DPM++2M midpoint", "DPM++3M midpoint", "EDM-DPM++2M midpoint"),
    "unipc": ("UniPC2 bh2", "UniPC3 bh2"),
}


class Model:
    """The model under test, its tuned plans and its students."""

    def __init__(self, folder):
        self.base = load(folder)
        self.led = led_by(self.base)
        self.tuned = {n: one for n, one in tuned_of(folder, self.base.digest).items() if one.better}
        self.students = {}
        for steps in STEPS:
            place = home(folder, steps)
            if (place / "recipe.toml").is_file():
                student = load(place)
                self.students[steps] = student, led_by(student)

    def noise(self, ids):
        return Noise(0, "few steps", ids), torch.zeros(len(ids), *self.base.shape)

    def walked(self, ids, levels, solver, led=None):
        noise, like = self.noise(ids)
        plan, led = descend(levels), led or self.led
        led.start()
        asked = (started(like, plan, noise), plan, solver, noise, led.cond(ids))
        return final(walk(led.denoise, *asked)).x

    def own(self, nfe, ids):
        return self.walked(ids, default_spacing()(self.base.schedule, nfe), default_solver())

    def fitted(self, nfe, ids):
        one = self.tuned[nfe]
        return self.walked(ids, one.spacing(self.base.schedule, nfe), one.solver)

    def taught(self, nfe, ids):
        student, led = self.students[nfe]
        chosen = student.recipe.sampling
        levels = chosen.spacing(student.schedule, nfe)
        return self.walked(ids, levels, chosen.solver, led)

    def peer(self, peer, nfe, ids):
        """A diffusers scheduler on these weights, from the same noise; None where it cannot."""
        noise, like = self.noise(ids)
        self.led.start()
        cond = self.led.cond(ids)

        def denoise(x, level):
            with torch.no_grad():
                mean = self.led.denoise(x.reshape(like.shape), level, cond)
            return mean.flatten(1)[:, :, None, None]

        found = endpoint(peer, "edm", denoise, noise(like, 0).flatten(1), nfe)
        return None if found is None else found.reshape(like.shape).float()

    def ddpm(self, nfe, ids):
        """Ancestral steps of diffusers on these weights."""
        from diffusers import DDPMScheduler

        scheduler = DDPMScheduler(1000, clip_sample=False, timestep_spacing="trailing")
        scheduler.set_timesteps(nfe)
        kept = scheduler.alphas_cumprod.double()
        noise, like = self.noise(ids)
        self.led.start()
        x, cond, draw = noise(like, 0), self.led.cond(ids), torch.Generator().manual_seed(ids[0])
        for time in scheduler.timesteps:
            level = Level(kept[time].sqrt(), (1 - kept[time]).sqrt())
            with torch.no_grad():
                mean = self.led.denoise(x, level, cond)
            eps = (x - float(level.alpha) * mean) / float(level.sigma)
            x = scheduler.step(eps, int(time), x, generator=draw).prev_sample
        return x


def led_by(model):
    """A model under its own guide, with the wishes of samples for which nothing is wished."""
    return guided(model, whole_guide(model, model.recipe.sampling.guide), None)


def batches(draw, count):
    """All samples of a way to draw; None where it cannot."""
    parts = []
    for first in range(0, count, BATCH):
        x = draw(tuple(range(first, min(first + BATCH, count))))
        if x is None:
            return None
        parts.append(x)
    return torch.cat(parts)


def far(found, truth):
    """Both errors; infinite where there is nothing."""
    if found is None or not bool(found.isfinite().all()):
        return {"error": float("inf"), "mean": float("inf")}
    off = (found - truth).double().flatten(1).pow(2).mean(1)
    return {"error": float(off.mean().sqrt()), "mean": float(off.sqrt().mean())}


def truth_of(chosen, model):
    """The fine solutions, kept."""
    path = chosen.state / "fine.npy"
    if not path.exists():
        levels = default_spacing()(model.base.schedule, 40 if chosen.quick else FINE)
        solver = default_solver()
        found = batches(lambda ids: model.walked(ids, levels, solver), chosen.seeds)
        np.save(path, found.numpy())
    return torch.from_numpy(np.load(path))


def ways(model, nfe):
    """Name -> how to draw, where there is nothing to choose."""
    if nfe == ANCESTRAL[1]:
        return {ANCESTRAL[0]: partial(model.ddpm, nfe)}
    found = {"plain": partial(model.own, nfe)}
    if nfe in model.tuned:
        found["tuned"] = partial(model.fitted, nfe)
    if nfe in model.students:
        found["student"] = partial(model.taught, nfe)
    return found


def candidates(chosen, family):
    """The settings of a family that serve this kind of process, without shifts of flows."""
    some = [p for p in peers() if p.name.startswith(FAMILIES[family]) and "edm" in p.made]
    some = [p for p in some if "shift 3" not in p.name]
    return some[:3] if chosen.quick else some


def chosen_peer(chosen, model, truth, family, nfe):
    """The setting of a family with the least error on these seeds, and that error."""
    tried = {}
    for peer in candidates(chosen, family):
        found = batches(partial(model.peer, peer, nfe), len(truth))
        tried[peer.name] = far(found, truth)
    best = min(tried, key=lambda name: tried[name]["error"])
    return {**tried[best], "setting": best}


def cells(chosen, model, truth):
    """(way, nfe) -> error, and the setting of a peer."""
    rows = {}
    for nfe in chosen.nfe:
        for name, draw in ways(model, nfe).items():
            rows[name, nfe] = once(
                chosen, f"error {name} {nfe}", lambda d=draw: far(batches(d, len(truth)), truth)
            )
        for family in FAMILIES:
            rows[family, nfe] = once(
                chosen,
                f"error {family} {nfe}",
                lambda f=family, n=nfe: chosen_peer(chosen, model, truth, f, n),
            )
    if chosen.samples and not chosen.quick:
        rows[ANCESTRAL] = {"error": None}  # its noise leads elsewhere
    return rows


def judged(chosen, model, judge, rows):
    """Excess, coverage and copies of every cell, added to its row."""
    settings = {peer.name: peer for peer in peers()}
    for (name, nfe), row in rows.items():
        draw = ways(model, nfe).get(name) or partial(model.peer, settings[row["setting"]], nfe)
        if row["error"] is not None and not np.isfinite(row["error"]):
            continue
        row.update(
            once(
                chosen,
                f"judged {name} {nfe}",
                lambda d=draw: judge(model.base.codec.decode(batches(d, chosen.samples)).numpy()),
            )
        )


def pictures(chosen, model, rows):
    """The same ten seeds by every way, at 1, 2, 4 and 8 evaluations: one picture a number."""
    settings, ids = {peer.name: peer for peer in peers()}, tuple(range(10))
    for nfe in SHOWN:
        shown = []
        for name in ("plain", "tuned", "student", *FAMILIES):
            row = rows.get((name, nfe))
            if row is None or not np.isfinite(row["error"]):
                continue
            draw = ways(model, nfe).get(name) or partial(model.peer, settings[row["setting"]], nfe)
            shown.append(model.base.codec.decode(draw(ids)).numpy())
            print(f"  {nfe} evaluations, row {len(shown)}: {name}")
        truth = torch.from_numpy(np.load(chosen.state / "fine.npy"))[: len(ids)]
        shown.append(model.base.codec.decode(truth).numpy())
        path = chosen.state / f"side_by_side_{nfe}.png"
        save_picture(path, grid(np.concatenate(shown), columns=10, zoom=2), {})
        print(f"  last row: the model's own fine solution; {path}")


def claims(rows):
    """The targets, a line each."""
    if ("tuned", 5) in rows and ("ddim", 10) in rows:
        best = min(rows[family, 10]["error"] for family in FAMILIES)
        ratio = rows["tuned", 5]["error"] / best
        yield {
            "claim": "few_steps: error, tuned at 5 / best of diffusers at 10",
            "value": ratio,
            "target": 1.0,
            "meets": ratio <= 1,
        }
    if ("student", 2) in rows and ("plain", 50) in rows:
        ours, fine = rows["student", 2], rows["plain", 50]
        ratio = ours["excess"] / fine["excess"]
        yield {
            "claim": "few_steps: excess Fréchet distance, student at 2 / our own at 50",
            "value": ratio,
            "target": 1.15,
            "meets": ours["excess"] <= fine["excess"] + 0.15 * abs(fine["excess"]),
            "excess": [ours["excess"], fine["excess"]],
            "floor": fine["floor"],
        }
        half = 1.96 * (fine["coverage"] * (1 - fine["coverage"]) / fine["reference"]) ** 0.5
        yield {
            "claim": "few_steps: coverage, student at 2 less our own at 50",
            "value": ours["coverage"] - fine["coverage"],
            "target": -half,
            "meets": ours["coverage"] >= fine["coverage"] - half,
        }


def prepared(chosen):
    """The model's folder; trained, tuned and distilled where none was given."""
    if chosen.model is not None:
        return chosen.model
    folder = chosen.state / "model"
    small = ["--size", "tiny", "--set", "training.samples=640"] if chosen.quick else []
    length = small or ["--budget", chosen.budget]
    assert unmist(["train", "digits", "--to", str(folder), "--seed", "0", *length]) == 0
    seeds = ["--steps", "4,5", "--seeds", "8"] if chosen.quick else ["--steps", "3-12"]
    assert unmist(["tune", str(folder), *seeds]) == 0
    course = ["--set", "training.samples=64"] if chosen.quick else []
    for steps in (2,) if chosen.quick else STEPS:
        assert unmist(["distill", str(folder), "--steps", str(steps), *course]) == 0
    return folder


def line(key, row):
    text = f"{key[0]:8} {key[1]:3} NFE"
    if row["error"] is not None:
        text += f"  error {row['error']:.4f} (mean {row['mean']:.4f})"
    if "excess" in row:
        text += (
            f"  excess {row['excess']:8.3f} (floor {row['floor']:.3f}, n {row['count']})"
            f"  coverage {row['coverage']:.3f}"
        )
    return text + (f"  {row['setting']}" if "setting" in row else "")


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--budget", default="8m")
    parser.add_argument("--samples", type=int, default=2000, help="0: errors alone")
    parser.add_argument("--seeds", type=int, default=64)
    parser.add_argument("--nfe", default=",".join(map(str, NFE)))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--state", type=Path, default=Path("few_steps_state"))
    parser.add_argument("--quick", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.samples, chosen.seeds, chosen.nfe = 100, 8, "2,5,10"
        chosen.state = Path(tempfile.mkdtemp(prefix="few_steps_"))
    chosen.nfe = tuple(map(int, chosen.nfe.split(",")))
    return chosen


def main():
    chosen = options()
    chosen.state.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(chosen.threads)
    model = Model(prepared(chosen))
    torch.set_num_threads(chosen.threads)
    rows = cells(chosen, model, truth_of(chosen, model))
    if chosen.samples:
        data = open_data(model.base.recipe.data.source)
        judged(chosen, model, Judge(data, chosen.state), rows)
        for row in rows.values():
            row["reference"] = len(data.held)
    if not chosen.json:
        print(*(line(*pair) for pair in rows.items()), sep="\n")
        pictures(chosen, model, rows)
    for found in claims(rows):
        print(json.dumps(found) if chosen.json else found)


if __name__ == "__main__":
    main()
