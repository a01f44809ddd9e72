"""Do drawn solids look like furniture in numbers? Volume, surface, parts, symmetry, nearest piece.

    python benchmarks/solids.py [--run FOLDER] [--train 24000] [--width 24] [--samples 200]
                                [--threads 1] [--state FOLDER] [--quick] [--json]

`unmist train solids` learns 626 of the 783 pieces; 157 are held out. Of the samples and of as many
held-out pieces: the share of all cells that is full, surface in faces of a cell, parts that touch
in no corner, left-right symmetry, each by its mean and quartiles, and the distance of the two laws
(Kolmogorov-Smirnov: 0 none, 1 apart; two halves of the data beside it). The nearest training piece
of each sample by the share of cells in common (intersection over union), beside what held-out
pieces have; and the share of meshes whose every edge is run twice. Peers have no solids and no
meshes: the claims are against the data alone. A grid and a turntable lie in the state folder.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from steered import model_of, printed, silent
from unmist.base.noise import keyed
from unmist.data.opening import open_data
from unmist.data.voxels import surface
from unmist.metrics.solids import figures, twice_run
from unmist.networks.unet import UNet
from unmist.run.recipe import Recipe, altered
from unmist.workflows.gallery import save_grid, save_moving
from unmist.workflows.sample import Shot, sample

NAMES = ("volume", "surface", "parts", "symmetry")
APART = 0.25  # Kolmogorov-Smirnov: 200 against 157 of one law stay below 0.15 in 95 of 100


def apart(ours, theirs):
    """The largest gap between two distribution functions."""
    places = np.sort(np.concatenate([ours, theirs]))
    ranks = [np.searchsorted(np.sort(part), places, "right") / len(part) for part in (ours, theirs)]
    return float(np.abs(ranks[0] - ranks[1]).max())


def nearest(solids, pieces):
    """Of each solid the largest share of cells in common with a piece; bool (n, cells)."""
    ours, theirs = (torch.from_numpy(part.reshape(len(part), -1) > 127).float()
                    for part in (solids, pieces))  # fmt: skip
    both = ours @ theirs.T
    either = ours.sum(1)[:, None] + theirs.sum(1)[None] - both
    return (both / either.clamp(min=1)).amax(1).numpy()


def taught(chosen):
    """The model, trained first where no run is given."""
    settings = {"data.source": "solids", "training.samples": chosen.train, "training.flip": True}
    recipe = altered(Recipe(network=UNet(width=chosen.width)), settings)
    where, recipe = (chosen.run, None) if chosen.run else (chosen.state / "run", recipe)
    return model_of(where, recipe, threads=chosen.threads, report=silent)


def quartiles(values):
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"mean {values.mean():9.3f}  quartiles {low:9.3f} {middle:9.3f} {high:9.3f}"


def measured(chosen):
    """Lines to read, and the claims."""
    data = open_data("solids")
    samples = sample(taught(chosen), Shot(count=chosen.samples, batch=20))
    save_grid(samples, chosen.state / "grid.png")
    save_moving(samples, chosen.state / "turntable.webp")
    held, train = data.values[data.held], data.values[data.train]
    ours, theirs = (figures(torch.from_numpy(part.copy())) for part in (samples.pixels, held))
    whole = figures(torch.from_numpy(train.copy()))
    claims = []
    for name in NAMES:
        one, other, all_ = (getattr(part, name).numpy() for part in (ours, theirs, whole))
        order = keyed(0, "halves").permutation(len(all_))
        floor = apart(all_[order[::2]][: len(one)], all_[order[1::2]][: len(other)])
        yield f"{name:9} samples  {quartiles(one)}"
        gap = apart(one, other)
        yield f"{name:9} held out {quartiles(other)}   apart {gap:.3f}, data {floor:.3f}"
        claims.append((f"{name} of samples and held-out pieces apart", gap, APART, floor))
    near, usual = nearest(samples.pixels, train), nearest(held, train)
    yield f"nearest training piece, cells in common: samples {quartiles(near)}"
    yield f"{'':40} held out {quartiles(usual)}"
    limit = float(np.quantile(usual, 0.99))
    closer = float((near > limit).mean())
    claims.append(("share nearer to a training piece than 99 % held out", closer, 0.03, 0.01))
    full = [one[0] for one in samples.pixels if one.max() > 127]
    closed = np.mean([twice_run(surface(one).triangles) for one in full]) if full else 0.0
    yield f"closed meshes: {closed:.3f} of {len(full)} that are not empty, of {len(samples.pixels)}"
    open_ = 1 - closed * len(full) / len(samples.pixels)
    claims.append(("share of samples without a closed mesh", open_, 0.02, 0.0))
    for claim, value, target, floor in claims:
        yield {
            "claim": f"solids: {claim}",
            "value": round(float(value), 4),
            "target": target,
            "floor": round(floor, 4),
            "meets": bool(value <= target),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--train", type=int, default=24_000)
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--state", type=Path, default=Path("solids_state"))
    parser.add_argument("--quick", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.train, chosen.width, chosen.samples = 64, 8, 8
        chosen.state = Path(tempfile.mkdtemp(prefix="solids_"))
    torch.set_num_threads(chosen.threads)
    chosen.state.mkdir(parents=True, exist_ok=True)
    printed(measured(chosen), chosen.json)


if __name__ == "__main__":
    main()
