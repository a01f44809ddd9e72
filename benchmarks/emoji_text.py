"""Does an emoji drawn from its caption look like that emoji? Retrieval among a hundred.

    python benchmarks/emoji_text.py [--run FOLDER] [--samples 300000] [--size small] [--count 100]
                                    [--scales 1,2,4] [--features opennsfw] [--threads 1]
                                    [--state FOLDER] [--quick] [--json]

`unmist train emoji --on text` learns 1,479 emoji by their captions (name, colours, keywords); 157
are held out by content. For each of 100 captions one picture is drawn; its rank is how many of the
100 real pictures are at most as near as the right one, by the cosine of features (less their mean
over the set) of a network that took no part in training and never saw an emoji: Open-NSFW's pooling
layer (`unmist fetch opennsfw`). Chance is a median rank of 50. Beside it, by the same ranks:

    other artist    Twemoji's drawing of the same emoji: what looking alike can give at all
    nearest words   the training picture whose caption shares most words (rare ones count more):
                    what a look-up without a model gives for captions that were never seen

64 prompts, the first ten of which no emoji has, are drawn twice each at the best scale of held-out
captions, beside the training picture nearest to the first: `prompts.png` in the state folder, to be
looked at.
"""

import argparse
import math
import re
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from steered import claimed, drawn, model_of, recipe_on, scaled, share, told
from unmist.base import files
from unmist.base.noise import keyed
from unmist.data.opening import open_data
from unmist.metrics.features import extract
from unmist.run.picture import grid, save_picture
from unmist.workflows.judges import judge_of

PROMPTS = (  # the first ten no emoji has
    "blue apple",
    "green cat face",
    "purple car",
    "red fish",
    "black banana",
    "pink tree",
    "cat and pizza",
    "red heart and yellow star",
    "dog with a hat",
    "sad robot",
    "red heart",
    "blue heart",
    "smiling face",
    "crying face",
    "angry face",
    "cat face",
    "dog face",
    "panda",
    "frog",
    "lion",
    "fish",
    "whale",
    "bird",
    "butterfly",
    "spider",
    "tree",
    "palm tree",
    "flower",
    "red rose",
    "sunflower",
    "cactus",
    "red apple",
    "green apple",
    "banana",
    "orange",
    "strawberry",
    "lemon",
    "pizza",
    "hamburger",
    "cake",
    "ice cream",
    "cup of coffee",
    "beer",
    "car",
    "bus",
    "train",
    "airplane",
    "bicycle",
    "rocket",
    "house",
    "castle",
    "sun",
    "moon",
    "star",
    "rainbow",
    "cloud with rain",
    "snowflake",
    "fire",
    "soccer ball",
    "guitar",
    "key",
    "clock",
    "book",
    "red square",
)


class Judge:
    """Features less their mean over `rows` of the set, of unit length; those of `rows` are kept."""

    def __init__(self, spec, data, rows, folder):
        self.features, self.rows = judge_of(spec, data), rows
        path = folder / f"features-{self.features.name}-{data.fingerprint[:8]}-{len(rows)}.npz"
        if not path.exists():
            every = extract(self.features, data.values[rows]).numpy()
            with files.whole(path) as beside, beside.open("wb") as out:
                np.savez(out, every=every)
        with np.load(path, allow_pickle=False) as arrays:
            every = arrays["every"].astype(np.float64)
        self.mean = every.mean(0)
        self.real = dict(zip(rows.tolist(), self.unit(every), strict=True))

    def unit(self, features):
        away = features - self.mean
        return away / np.linalg.norm(away, axis=1, keepdims=True)

    def __call__(self, pixels):
        return self.unit(extract(self.features, pixels).numpy().astype(np.float64))

    def likeness(self, pixels, rows):
        """Cosines (n, rows) with the real pictures of `rows`."""
        return self(pixels) @ np.stack([self.real[int(row)] for row in rows]).T

    def ranks(self, pixels, rows):
        """The rank of the right one among the pictures of `rows`, from 1."""
        near = self.likeness(pixels, rows)
        return 1 + (near > np.diag(near)[:, None]).sum(1)


def words_of(text):
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def looked_up(data, rows):
    """For each row the training row whose caption is most alike: cosine of rare words."""
    bags = [words_of(text) for text in data.captions]
    seen = Counter(word for i in data.train for word in bags[i])
    weight = {word: math.log(len(data.train) / count) for word, count in seen.items()}

    def size(bag):
        return math.sqrt(sum(weight.get(word, 0) ** 2 for word in bag)) + 1e-9

    sizes = {i: size(bags[i]) for i in data.train}

    def likeness(bag, i):
        return sum(weight.get(word, 0) ** 2 for word in bag & bags[i]) / sizes[i]

    return [max(data.train, key=lambda i, bag=bags[row]: likeness(bag, i)) for row in rows]


def figures(ranks):
    return {
        "median": float(np.median(ranks)),
        "first": share(ranks == 1),
        "top ten": share(ranks <= 10),
        "reciprocal": float((1 / ranks).mean()),
    }


def line(name, found):
    return (
        f"  {name:28} median rank {found['median']:4.1f}  mean 1/rank {found['reciprocal']:.3f}  "
        f"first {told(found['first'])}  among ten {told(found['top ten'])}"
    )


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--run", type=Path, help="a model trained on emoji with --on text")
    parser.add_argument("--samples", type=int, default=300_000)
    parser.add_argument("--size", default="small")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--scales", default="1,2,4")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--features", default="opennsfw", help="or classifier, dino:FOLDER, …")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--state", type=Path, default=Path("emoji_text_state"))
    parser.add_argument("--quick", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.samples, chosen.size, chosen.count, chosen.scales = 320, "tiny", 12, "2"
        chosen.steps, chosen.state = 3, Path(tempfile.mkdtemp(prefix="emoji_text_"))
    return chosen


def bounds(judge, pairs, data, asked):
    """What does not need a model: the other artist, and the look-up for held-out captions."""
    other = pairs.given["image"]
    at = {key: row for row, key in enumerate(pairs.sources)}
    for kind, rows in asked.items():
        same = np.stack([other[at[data.sources[row]]] for row in rows])
        yield f"other artist, {kind}", judge.ranks(same, rows)
    rows = asked["held out"]
    yield "nearest words, held out", judge.ranks(data.values[looked_up(data, rows)], rows)


def never_seen(model, judge, data, chosen, scale):
    """The prompts, four a line: nearest training picture, then two samples of each."""
    asked = [prompt for prompt in PROMPTS for _ in range(2)]
    pixels = drawn(model, {"text": asked}, chosen.state, scaled(scale, steps=chosen.steps, seed=1))
    known = np.intersect1d(data.train, judge.rows)
    near = judge.likeness(pixels[::2], known)
    best = known[near.argmax(1)]
    tiles = [np.concatenate((data.values[row][None], pixels[2 * i : 2 * i + 2]))
             for i, row in enumerate(best)]  # fmt: skip
    picture = grid(np.concatenate(tiles), columns=12, zoom=2)
    save_picture(chosen.state / "prompts.png", picture, {})
    return [
        f"  {prompt:28} nearest {data.captions[row].split(',')[0]} (cosine {value:.2f})"
        for prompt, row, value in zip(PROMPTS, best, near.max(1), strict=True)
    ]


def main():
    chosen = options()
    torch.set_num_threads(chosen.threads)
    chosen.state.mkdir(parents=True, exist_ok=True)
    data, pairs = open_data("emoji"), open_data("emoji_pairs")
    draw = keyed(0, "emoji asked")
    asked = {
        "seen": np.sort(draw.choice(data.train, chosen.count, replace=False)),
        "held out": np.sort(draw.choice(data.held, chosen.count, replace=False)),
    }
    recipe = recipe_on("emoji", "text", {"training.samples": chosen.samples}, chosen.size)
    where = chosen.run or chosen.state / "model"
    model = model_of(where, None if chosen.run else recipe, threads=chosen.threads)
    rows = np.arange(len(data))
    if chosen.quick:
        rows = np.unique(np.concatenate([*asked.values(), data.train[::100]]))
    judge = Judge(chosen.features, data, rows, chosen.state)
    say = (lambda *_: None) if chosen.json else print
    found = {name: figures(ranks) for name, ranks in bounds(judge, pairs, data, asked)}
    for name, part in found.items():
        say(line(name, part))
    for scale in map(float, chosen.scales.split(",")):
        for kind, rows in asked.items():
            texts = [data.captions[row] for row in rows]
            shot = scaled(scale, steps=chosen.steps)
            pixels = drawn(model, {"text": texts}, chosen.state, shot)
            found[f"{kind}, {scale:g}"] = figures(judge.ranks(pixels, rows))
            say(line(f"ours, scale {scale:g}, {kind}", found[f"{kind}, {scale:g}"]))
            both = np.stack((data.values[rows], pixels), 1).reshape(-1, *data.shape)
            save_picture(chosen.state / f"{kind.replace(' ', '-')}-{scale:g}.png",
                         grid(both[:120], columns=12, zoom=2), {})  # fmt: skip
    best = max(
        map(float, chosen.scales.split(",")), key=lambda s: found[f"held out, {s:g}"]["reciprocal"]
    )
    say(*never_seen(model, judge, data, chosen, best), sep="\n")
    files.write_json(chosen.state / "results.json", found)
    for line_ in claims(found, best):
        claimed(line_, chosen.json)


def claims(found, best):
    """Better than a look-up on captions never seen; as like as another artist on seen ones."""
    ours, other = found[f"held out, {best:g}"], found["nearest words, held out"]
    yield {
        "claim": f"emoji, held-out captions: mean 1/rank at scale {best:g} / that of a look-up",
        "value": ours["reciprocal"] / other["reciprocal"],
        "target": 1.0,
        "meets": ours["reciprocal"] >= other["reciprocal"],
        "ours": ours,
        "peer": other,
    }
    seen, artist = found[f"seen, {best:g}"], found["other artist, seen"]
    yield {
        "claim": f"emoji, seen captions: mean 1/rank at scale {best:g} / that of another artist's",
        "value": seen["reciprocal"] / artist["reciprocal"],
        "target": 1.0,
        "meets": seen["reciprocal"] >= artist["reciprocal"],
        "ours": seen,
        "peer": artist,
    }


if __name__ == "__main__":
    main()
