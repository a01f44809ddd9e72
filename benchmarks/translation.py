"""One vendor's emoji into the other's style: how far from the real drawing?

    python benchmarks/translation.py [--run FOLDER] [--samples 300000] [--size small]
                                     [--repeats 8] [--features opennsfw] [--threads 1]
                                     [--state FOLDER] [--quick] [--json]

`unmist train emoji_pairs --on image` learns Noto's drawing from Twemoji's, 1,484 pairs; 152 are
held out, split by what they are of (women, men and persons who do the same stay together). For each
held-out pair the error between what is given and Noto's real drawing: the root mean square in
pixels of 0 to 255, and one less the cosine of Open-NSFW's features (less their mean over a quarter
of the training set).

    translated      one sample of the model; and the mean of `--repeats` samples, which is what a
                    squared error favours, though no picture anybody would draw
    source          Twemoji's drawing itself, copied
    nearest pair    the partner of the training picture whose Twemoji drawing is nearest in pixels

Each with the 95 % interval of its mean, and of the paired difference to ours. A translation that
shows the right thing in the wrong pose is no better in pixels: look at the pictures in the state
folder (source, translated, real).
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from steered import claimed, model_of, recipe_on
from unmist.base import files
from unmist.data.opening import open_data
from unmist.metrics.features import extract
from unmist.run.given import given_of
from unmist.run.picture import grid, save_picture
from unmist.workflows.judges import judge_of
from unmist.workflows.sample import Shot, sample


def translated(model, data, rows, chosen):
    """uint8 (repeats, n, c, *s): samples told the source pictures of `rows`."""
    given = given_of(model.recipe, data, model.device)
    drawn = []
    for repeat in range(chosen.repeats):
        path = chosen.state / f"translated-{model.digest[:12]}-{chosen.steps}-{repeat}.npz"
        if not path.exists():
            shot = Shot(count=len(rows), seed=repeat, steps=chosen.steps, batch=50)
            pixels = sample(model, shot, lambda ids: given(rows[list(ids)])).pixels
            with files.whole(path) as beside, beside.open("wb") as out:
                np.savez_compressed(out, pixels=pixels)
        with np.load(path, allow_pickle=False) as arrays:
            drawn.append(arrays["pixels"])
    return np.stack(drawn)


def partners(data, rows):
    """The target of the training pair whose source is nearest in pixels."""
    sources = data.given["image"].reshape(len(data), -1).astype(np.float32)
    best = []
    for row in rows:
        away = ((sources[data.train] - sources[row]) ** 2).sum(1)
        best.append(data.train[away.argmin()])
    return data.values[best]


class Errors:
    """The two errors of pictures against the real ones of `rows`, one number a pair."""

    def __init__(self, data, rows, spec, *, every=4):
        self.features = judge_of(spec, data)
        self.real = data.values[rows].astype(np.float64)
        self.mean = extract(self.features, data.values[data.train[::every]]).mean(0).double()
        self.target = self.unit(data.values[rows])

    def unit(self, pixels):
        away = extract(self.features, pixels).double() - self.mean
        return away / away.norm(dim=1, keepdim=True)

    def __call__(self, pictures):
        pixels = np.sqrt(((pictures.astype(np.float64) - self.real) ** 2).mean((1, 2, 3)))
        shown = np.rint(pictures).astype(np.uint8)
        return {"pixels": pixels, "features": 1 - (self.unit(shown) * self.target).sum(1).numpy()}


def spoken(values):
    """Mean and the half width of its 95 % interval."""
    return float(values.mean()), float(1.96 * values.std(ddof=1) / np.sqrt(len(values)))


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--run", type=Path, help="a model trained on emoji_pairs with --on image")
    parser.add_argument("--samples", type=int, default=300_000)
    parser.add_argument("--size", default="small")
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--features", default="opennsfw", help="or classifier, dino:FOLDER, …")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--state", type=Path, default=Path("translation_state"))
    parser.add_argument("--quick", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.samples, chosen.size, chosen.repeats, chosen.steps = 320, "tiny", 2, 3
        chosen.state = Path(tempfile.mkdtemp(prefix="translation_"))
    return chosen


def main():
    chosen = options()
    torch.set_num_threads(chosen.threads)
    chosen.state.mkdir(parents=True, exist_ok=True)
    data = open_data("emoji_pairs")
    rows = data.held[:12] if chosen.quick else data.held
    recipe = recipe_on("emoji_pairs", "image", {"training.samples": chosen.samples}, chosen.size)
    where = chosen.run or chosen.state / "model"
    model = model_of(where, None if chosen.run else recipe, threads=chosen.threads)
    drawn = translated(model, data, rows, chosen)
    source = data.given["image"][rows]
    given = {
        "translated, one sample": drawn[0],
        f"translated, mean of {len(drawn)}": drawn.astype(np.float64).mean(0),
        "source, copied": source,
        "nearest training pair's": partners(data, rows),
    }
    errors = Errors(data, rows, chosen.features, every=100 if chosen.quick else 4)
    found = {name: errors(pictures) for name, pictures in given.items()}
    if not chosen.json:
        print(*table(found), sep="\n", flush=True)
    tiles = np.stack((source, drawn[0], drawn[-1], data.values[rows]), 1)
    picture = grid(tiles[:60].reshape(-1, *data.shape), columns=20, zoom=2)
    save_picture(chosen.state / "translated.png", picture, {})
    files.write_json(chosen.state / "results.json", plain(found))
    for line in claims(found):
        claimed(line, chosen.json)


def table(found):
    ours = next(iter(found))
    yield f"  {len(found[ours]['pixels'])} held-out pairs; less is better, differences to ours"
    for name, parts in found.items():
        cells = []
        for kind, values in parts.items():
            digits = ".1f" if kind == "pixels" else ".3f"
            (mean, half), (gap, reach) = spoken(values), spoken(values - found[ours][kind])
            cells.append(
                f"{kind} {mean:{digits}} ± {half:{digits}} ({gap:+{digits}} ± {reach:{digits}})"
            )
        yield f"  {name:26} " + "   ".join(cells)


def plain(found):
    return {
        name: {kind: list(spoken(values)) for kind, values in parts.items()}
        for name, parts in found.items()
    }


def claims(found):
    """Ours over the better of the two that need no model, in each error."""
    names = list(found)
    for kind, which in (("pixels", names[1]), ("features", names[0])):
        ours = float(found[which][kind].mean())
        best = min(float(found[name][kind].mean()) for name in names[2:])
        yield {
            "claim": f"translation, {kind}: {which}, error / the better of copy and nearest pair",
            "value": ours / best,
            "target": 1.0,
            "meets": ours < best,
        }


if __name__ == "__main__":
    main()
