"""inversion: a real digit to noise and back, and what is lost on the way.

Thirty-two held-out digits, one model's weights (`--model`, else trained here for `--budget`).
`ours` is `unmist.workflows.edit_between.invert`: the default solver, N evaluations up and N down.
Beside it `euler` (DDIM) on the same levels; `undo`, N/2 steps up of two evaluations (Euler's step
read backwards) and N/2 Euler steps down; and the peer: diffusers' DDIMInverseScheduler and
DDIMScheduler on the same weights, N steps each way, the network told the level that the scheduler
believes in. PSNR in dB of the 8-bit pictures, the median (inf: every pixel came back); and the mean
square of the noise found, which is 1 for noise that was drawn. Claim: higher PSNR than the peer's.

    python benchmarks/inversion.py [--quick] [--json] [--model FOLDER] [--budget 8m]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from inpainting import eps_of, level_at
from unmist.core.solver import Euler
from unmist.data.opening import open_data
from unmist.editing.invert import Undo
from unmist.run.model import Model, load
from unmist.workflows.edit_between import Route, Way, psnr

WAYS = ("ours", "undo", "euler", "diffusers")


WAY = {
    "ours": Way(),
    "undo": Way(Undo(2), Euler()),
    "euler": Way(Euler(), Euler()),
}


def there_and_back(way: str, model: Model, x0: Tensor, calls: int) -> tuple[Tensor, Tensor]:
    """The noise at unit variance, and the pictures that come back."""
    if way == "diffusers":
        return peer(model, x0, calls)
    route = Route.of(model, calls // 2 if way == "undo" else calls, WAY[way])
    noise, climbed = route.up(model.denoiser, x0, None)
    back, fallen = route.down(model.denoiser, noise, None)
    assert climbed == calls
    assert fallen == (calls // 2 if way == "undo" else calls)
    top = route.levels[0].like(noise)
    return noise / torch.hypot(top.alpha, top.sigma), back


def peer(model: Model, x0: Tensor, calls: int) -> tuple[Tensor, Tensor]:
    """DDIM up and down as diffusers' pipelines drive it."""
    from diffusers import DDIMInverseScheduler, DDIMScheduler

    x = x0
    for kind in (DDIMInverseScheduler, DDIMScheduler):
        scheduler = kind(clip_sample=False)
        scheduler.set_timesteps(calls)
        with torch.no_grad():
            for t in scheduler.timesteps:
                told = eps_of(model.denoiser, x, level_at(scheduler, t)).to(x)
                x = scheduler.step(told, t, x).prev_sample
        if kind is DDIMInverseScheduler:
            noise = x
    return noise, x


def measured(model: Model, count: int) -> list[dict[str, object]]:
    """Prints the table; the claims."""
    data = open_data("digits")
    pictures = data.values[data.held[:count]]
    x0, claims = model.codec.encode(torch.from_numpy(pictures)), []
    for calls in (20, 50):
        found = {}
        for way in WAYS:
            noise, back = there_and_back(way, model, x0, calls)
            decoded = model.codec.decode(back).numpy()
            each = [psnr(a, b) for a, b in zip(decoded, pictures, strict=True)]
            found[way] = float(np.median(each))
            size = float(noise.square().mean())
            print(
                f"{calls:3} {way:10} {found[way]:6.1f} dB (least {min(each):.1f}), noise {size:.3f}"
            )
        claims.append(
            {
                "claim": f"inversion: PSNR there and back at {calls} evaluations, dB",
                "value": found["ours"],
                "target": found["diffusers"],
                "meets": found["ours"] > found["diffusers"],
                **{way: found[way] for way in WAYS[1:]},
            }
        )
    return claims


def trained(folder: Path, budget: str) -> Path:
    """The model that the claims are made with."""
    words = ["train", "digits", "--to", str(folder), "--budget", budget, "--seed", "0"]
    subprocess.run([sys.executable, "-m", "unmist", *words], check=True)
    return folder


def main() -> None:
    """Run, print the table, end with the claims."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="four digits, a model of 20 seconds")
    parser.add_argument("--json", action="store_true", help="claims as JSON lines")
    parser.add_argument("--model", type=Path, help="a run folder of the digits")
    parser.add_argument("--budget", default="8m", help="how long a model is trained without one")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as room:
        budget = "20s" if asked.quick else asked.budget
        folder = asked.model or trained(Path(room) / "digits", budget)
        for claim in measured(load(folder), 4 if asked.quick else 32):
            print(json.dumps(claim) if asked.json else claim)


if __name__ == "__main__":
    main()
