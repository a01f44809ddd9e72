"""What the benchmarks of steering share: a model that is trained here or was elsewhere, samples
that are kept by what was asked, and shares with their intervals."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from unmist.base import files
from unmist.cli.flags import kinds_of, recipe_of
from unmist.guidance.guide import Guide
from unmist.metrics.share import wilson
from unmist.run.model import load
from unmist.workflows.sample import Shot, sample
from unmist.workflows.train import Order, training

__all__ = [
    "claimed",
    "drawn",
    "model_of",
    "printed",
    "recipe_on",
    "scaled",
    "share",
    "silent",
    "told",
]


def model_of(run, recipe=None, *, threads=1, report=print):
    """The model of a run folder; with a recipe it is trained first, or further if it was stopped.

    report: told at each held-out loss.
    """
    if recipe is not None:
        for news in training(recipe, run, Order(threads=threads)):
            if news.held:
                report(f"  {news.seen} of {news.samples} seen, loss {news.loss:.4f}")
    return load(run)


def recipe_on(source, on, settings, size):
    """The recipe of `unmist train SOURCE --on ON --size SIZE --set NAME=VALUE ...`."""
    return recipe_of(source, None, size, {**kinds_of(on), **settings})


def drawn(model, wish, folder, shot):
    """uint8 (n, c, *s), one sample a value of the wish, with the seed, steps, guide of a shot.

    Kept in `folder` by all that made it: what was drawn once is not drawn again.
    """
    ((name, values),) = wish.items()
    key = repr((model.digest, name, values, shot)).encode()
    path = Path(folder) / f"samples-{hashlib.sha256(key).hexdigest()[:16]}.npz"
    if not path.exists():
        pixels = sample(model, replace(shot, count=len(values), wish={name: tuple(values)})).pixels
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.whole(path) as beside, beside.open("wb") as out:
            np.savez_compressed(out, pixels=pixels)
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["pixels"]


def scaled(scale, **more):
    """A shot at a scale of classifier-free guidance."""
    return Shot(guide=Guide(scale=(float(scale),)), batch=50, **more)


def share(right):
    """A share of true cases as {"value", "low", "high", "count"}, with its 95 % interval."""
    right = np.asarray(right, dtype=float)
    low, high = wilson(float(right.mean()), len(right))
    return {"value": float(right.mean()), "low": low, "high": high, "count": len(right)}


def told(part):
    """`91.2 % (88.4 … 93.4)`."""
    return f"{part['value']:6.1%} ({part['low']:.1%} … {part['high']:.1%})"


def printed(lines, as_json):
    """Sentences as they come, left out for JSON; tables are claims."""
    for line in lines:
        if isinstance(line, dict):
            claimed(line, as_json)
        elif not as_json:
            print(line, flush=True)


def silent(news):
    """A report that says nothing."""


def claimed(line, as_json):
    """One claim, as JSON or as a sentence."""
    if as_json:
        print(json.dumps(line), flush=True)
        return
    verdict = "met" if line["meets"] else "NOT met"
    print(f"{line['claim']}: {line['value']:.3f}, target {line['target']}: {verdict}", flush=True)
