"""guidance: what a scale of classifier-free guidance buys and costs, on the digits, beside a peer.

A class-conditional model (`unmist train digits --on label --budget 10m`) draws 1,000 samples at
each scale, for the labels of held-out digits in a fixed order. An independent classifier, taught on
the labels of the training digits with a seed of its own and used nowhere in sampling or in choosing
the scale, gives: the share of samples that it names as asked (Wilson's interval), the Fréchet
distance of its 64 features to held-out digits less its floor (as many training digits), and recall
(5 neighbours) with its interval. Target, at the model's own scale: at least the share of held-out
digits that the classifier names right less one point, and a recall inside the interval that the
model at scale 1 has. The model's own scale is that of `unmist evaluate MODEL --scales`, chosen with
another judge and other seeds; without it, it is chosen from these points, which the line says.

The peer has the same weights at the same levels' ratio: diffusers' DDIM, its epsilon combined as in
its pipelines, eps_u + scale*(eps_c - eps_u), from two calls of half a batch each (one at scale 0 or
1), on its own scaled-linear table of 1,000 steps. It is given as many steps as we are.

    python benchmarks/guidance.py MODEL [--quick] [--json] [--scales 0,1,2,4] [--samples N]
                                  [--steps N] [--plot FILE] [--no-peer]
"""

import argparse
import json
import time
from pathlib import Path

import diffusers
import numpy as np
import torch
from torch import Tensor

from unmist.base.noise import Noise
from unmist.core.condition import Cond
from unmist.core.level import Level
from unmist.data.dataset import DataSet
from unmist.data.opening import open_data
from unmist.guidance.guide import Guide
from unmist.metrics.classifier import Lessons
from unmist.metrics.features import ClassifierFeatures, learn_features
from unmist.run.guide import scale_of
from unmist.run.model import Model, load
from unmist.run.picture import save_picture
from unmist.workflows.guiding import Point, Scorer, chosen
from unmist.workflows.plots import plotted
from unmist.workflows.sample import Shot

JUDGE_SEED, SEED, BATCH = 977, 31, 100


def judge_of(data: DataSet) -> ClassifierFeatures:
    """The independent classifier: another seed and twice the lessons of the one that chooses."""
    labels = data.labels[data.train]
    return learn_features(
        data.values[data.train], labels, lessons=Lessons(passes=12), seed=JUDGE_SEED
    )


def ours(scorer: Scorer, scale: float, asked: argparse.Namespace, **levels: float) -> Point:
    """As `unmist sample --scale` draws; low, high: where it is led."""
    guide = Guide(scale=(scale,), **levels)
    return scorer(Shot(count=asked.samples, seed=SEED, steps=asked.steps, guide=guide, batch=BATCH))


def peers(scorer: Scorer, scale: float, asked: argparse.Namespace) -> Point:
    """diffusers' DDIM and its guidance, over the same network."""
    steps = asked.steps or scorer.model.recipe.sampling.steps
    pixels, calls = [], 0
    for first in range(0, asked.samples, BATCH):
        ids = tuple(range(first, min(first + BATCH, asked.samples)))
        x, calls = ddim(scorer.model, scorer.told(ids), ids, scale, steps)
        pixels.append(scorer.model.codec.decode(x).numpy())
    return scorer.point(np.concatenate(pixels), 0, scale, calls)


@torch.no_grad()
def ddim(
    model: Model, cond: Cond, ids: tuple[int, ...], scale: float, steps: int
) -> tuple[Tensor, int]:
    """The pipeline loop: epsilon of each half, combined, one step of the scheduler."""
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        timestep_spacing="trailing", set_alpha_to_one=True,
    )  # fmt: skip
    scheduler.set_timesteps(steps)
    x = Noise(SEED, "sample", ids)(torch.zeros(len(ids), *model.shape), 0)
    halves = {0.0: [cond.without()], 1.0: [cond]}.get(scale, [cond.without(), cond])
    calls = 0
    for t in scheduler.timesteps:
        bar = scheduler.alphas_cumprod[t].double()
        level = Level(bar.sqrt(), (1 - bar).sqrt())
        noise = []
        for half in halves:
            at = level.like(x)
            noise.append((x - at.alpha * model.denoiser(x, level, half)) / at.sigma)
            calls += 1
        eps = noise[0] if len(noise) == 1 else noise[0] + scale * (noise[1] - noise[0])
        x = scheduler.step(eps, t, x).prev_sample
    return x, calls


def line(name: str, point: Point) -> str:
    """One row of the table."""
    right, recall = point.right, point.recall
    return (
        f"{name:10} {point.where:>9} {point.calls:5} {right.value:7.1%} "
        f"[{right.low:.3f}, {right.high:.3f}] {point.frechet.excess:8.3f} "
        f"{recall.value:7.3f} [{recall.low:.3f}, {recall.high:.3f}]"
    )


def measured(
    scorer: Scorer, asked: argparse.Namespace, scales: list[float]
) -> dict[str, list[Point]]:
    """Both, interleaved, printed as they come."""
    rows: dict[str, list[Point]] = {"ours": []} | ({} if asked.no_peer else {"diffusers": []})
    print(
        f"{'':10} {'scale':>9} {'calls':>5} {'asked class':>24} {'excess FD':>9} {'recall':>23}",
        flush=True,
    )
    for scale in scales:
        for name, draw in (("ours", ours), ("diffusers", peers)):
            if name in rows:
                rows[name].append(draw(scorer, scale, asked))
                print(line(name, rows[name][-1]), flush=True)
    return rows


def drawn(rows: dict[str, list[Point]], real: float, own: Point) -> np.ndarray:
    """uint8 (3, h, w): the three figures over the scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.8), dpi=110, layout="constrained")
    axes = figure.subplots(1, 3)
    for name, points in rows.items():
        style = {"marker": "o", "linestyle": "-" if name == "ours" else "--", "capsize": 3}
        xs = [point.scale for point in points]
        for axis, part in ((axes[0], "right"), (axes[2], "recall")):
            found = [getattr(point, part) for point in points]
            ends = [[one.value - one.low for one in found], [one.high - one.value for one in found]]
            axis.errorbar(xs, [one.value for one in found], ends, label=name, **style)
        del style["capsize"]
        axes[1].plot(xs, [point.frechet.excess for point in points], label=name, **style)
    axes[0].axhline(real, color="grey", linestyle=":", label="real digits")
    axes[1].axhline(0, color="grey", linestyle=":")
    axes[2].axhline(rows["ours"][0].recall.floor, color="grey", linestyle=":", label="real digits")
    titles = ("named as asked", "excess Fréchet distance", "recall")
    for axis, title in zip(axes, titles, strict=True):
        axis.axvline(own.scale, color="C3", alpha=0.4)
        axis.set(title=title, xlabel="scale of guidance")
        axis.grid(alpha=0.25)
    for axis, value in zip(axes, (own.right, own.frechet, own.recall), strict=True):
        height = value.excess if axis is axes[1] else value.value
        axis.plot([own.scale], [height], "C3*", markersize=12, label="its own")
    axes[0].legend(frameon=False)
    return plotted(figure)


def claims(rows: dict[str, list[Point]], real: float, best: Point) -> list[dict[str, object]]:
    """Two lines, at the model's own scale."""
    plain = next(point for point in rows["ours"] if point.scale == 1)
    named = {name: [point.plain() for point in points] for name, points in rows.items()}
    return [
        {
            "claim": "guidance: share of digits named as asked at the model's own scale",
            "value": best.right.value,
            "target": real - 0.01,
            "meets": best.right.value >= real - 0.01,
            "scale": best.where,
            "real digits": real,
            "points": named,
        },
        {
            "claim": "guidance: recall at the model's own scale, not below the interval of scale 1",
            "value": best.recall.value,
            "target": [plain.recall.low, plain.recall.high],
            "meets": plain.recall.low <= best.recall.value,
            "scale": best.where,
        },
    ]


def main() -> None:
    """Run, print the table, draw, end with the claims."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a run: unmist train digits --on label")
    parser.add_argument("--quick", action="store_true", help="200 samples of 8 steps")
    parser.add_argument("--json", action="store_true", help="claims as JSON lines")
    parser.add_argument("--scales", default="0,1,2,4")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=None, help="default: the model's own")
    parser.add_argument("--plot", type=Path, default=Path("guidance.png"))
    parser.add_argument("--no-peer", action="store_true")
    asked = parser.parse_args()
    if asked.quick:
        asked.samples, asked.steps = 200, 8
    began = time.monotonic()
    model, data = load(asked.model), open_data("digits")
    scorer = Scorer.of(model, data, judge_of(data))
    real, led = scorer.real(), scale_of(model.folder)
    scales = {float(text) for text in asked.scales.split(",")} | {1.0}
    scales |= {led.scale} if led else set()
    print(f"{asked.samples} samples, {asked.steps or model.recipe.sampling.steps} steps")
    print(f"the judge names {real:.1%} of {len(data.held)} held-out digits right", flush=True)
    rows = measured(scorer, asked, sorted(scales))
    own, why = chosen(rows["ours"], real)
    if led:
        why = "kept with the model"
        own = next(point for point in rows["ours"] if point.scale == led.scale)
    if led and (led.low or led.high):
        own = ours(scorer, led.scale, asked, low=led.low, high=led.high)
        print(line("ours", own), flush=True)
    print(f"the model's own scale: {own.where} ({why})")
    save_picture(asked.plot, drawn(rows, real, own), {"hash": model.digest, "scale": own.where})
    for claim in claims(rows, real, own):
        print(
            json.dumps(claim) if asked.json else {k: v for k, v in claim.items() if k != "points"}
        )
    print(f"took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
