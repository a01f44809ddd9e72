"""Does a picture show what its caption says? Captioned shapes, judged by program.

    python benchmarks/shapes.py [--run FOLDER] [--samples 200000] [--size small] [--captions 500]
                                [--scales 1,2,4,8] [--no-peer] [--minutes 20] [--threads 1]
                                [--state FOLDER] [--quick] [--json]

`unmist train shapes --on text --set draw.mean=0.8 --set draw.std=1.4` learns 363 combinations of
colour, shape, place and number; 87 are held out of the set altogether: three pairs of colour and
shape that never meet (`never met`, 45), and a ninth of the others (`new mix`). 500 captions of seen
and 500 of held-out combinations, in three phrasings, are drawn at each scale, and
`data/shapes_judge.py` says which words hold. The figure is the share of captions whose every word
holds, with its 95 % interval; the best scale is that of the largest share on seen captions.
Targets: 90 % of seen captions, 70 % of held-out ones.

The ceiling: pictures drawn by the set's own program for the same captions. The floor: the same
samples against the captions in another order. The peer (`peers_text.py`) trains on the same rows
and captions for --minutes of processor time (left out: as long as ours took, where it is trained
here). Stopped, it goes on where it was.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from peers_text import TextPeer
from steered import claimed, drawn, model_of, recipe_on, scaled, share, told
from unmist.base import files
from unmist.base.noise import keyed
from unmist.data.opening import open_data
from unmist.data.shapes import PHRASES, caption, combinations, held_out, never_met
from unmist.data.shapes import drawn as scene_drawn
from unmist.data.shapes_judge import judge
from unmist.run.picture import as_image, grid, save_picture
from unmist.run.weights import load_weights, write_weights

WORDS = ("number", "colour", "shape", "place")
SPARSE = {"draw.mean": 0.8, "draw.std": 1.4}  # place and number are decided in much noise
TARGETS = {"seen": 0.90, "held out": 0.70}


def captions_of(count, *, out):
    """`count` (scene, caption) pairs of seen or of held-out combinations, all in turn."""
    scenes = [scene for scene in combinations() if held_out(scene) == out]
    draw = keyed(0, "shapes asked", int(out))
    turns = -(-count // len(scenes))
    order = np.concatenate([draw.permutation(len(scenes)) for _ in range(turns)])[:count]
    phrases = draw.integers(len(PHRASES), size=count)
    return [
        (scenes[i], caption(scenes[i], phrase)) for i, phrase in zip(order, phrases, strict=True)
    ]


def judged(pixels, pairs):
    """bool (n, 4): which of number, colour, shape and place hold."""
    answers = [judge(row, text) for row, (_, text) in zip(pixels, pairs, strict=True)]
    return np.array([list(answer.values()) for answer in answers])


def figures(right, pairs):
    """What the benchmark says of one batch of judged samples."""
    new = np.array([never_met(scene) for scene, _ in pairs])
    found = {"all": share(right.all(1))}
    found |= {word: share(right[:, k]) for k, word in enumerate(WORDS)}
    if new.any():
        found["never met"], found["new mix"] = (share(right[new].all(1)), share(right[~new].all(1)))
    return found


def line(name, found):
    words = "  ".join(f"{word} {found[word]['value']:.1%}" for word in WORDS)
    more = "".join(
        f"  {kind} {found[kind]['value']:.1%}" for kind in ("never met", "new mix") if kind in found
    )
    return f"  {name:22} all {told(found['all'])}  {words}{more}"


def trained_peer(data, seconds, folder):
    """The peer after so many seconds of processor time; kept every minute."""
    rows = data.train
    captions = [data.captions[i] for i in rows]
    peer, path = TextPeer(captions), folder / "peer.safetensors"
    if path.exists():
        peer.restore(load_weights(path))
    values, whole = np.ascontiguousarray(data.values[rows]), seconds
    while peer.seconds < whole:
        peer.learn(values, captions, whole, until=min(peer.seconds + 60, whole))
        write_weights(path, peer.tensors())
        print(f"  peer {peer.seconds:.0f} of {whole:.0f} s", file=sys.stderr)
    return peer


def trained(chosen):
    """Our model, and the processor seconds that its training took here (0: none)."""
    clock = chosen.state / "ours.json"
    spent = json.loads(clock.read_text())["seconds"] if clock.exists() else 0.0
    start, last = time.process_time(), [0.0]

    def report(news):
        last[0] = spent + time.process_time() - start
        files.write_json(clock, {"seconds": last[0]})
        print(news, file=sys.stderr)

    settings = {"training.samples": chosen.samples, **SPARSE}
    recipe = recipe_on("shapes", "text", settings, chosen.size)
    recipe = None if chosen.run else recipe
    where = chosen.run or chosen.state / "model"
    model = model_of(where, recipe, threads=chosen.threads, report=report)
    return model, last[0] or spent


def sheet(pixels, pairs, right, columns=6):
    """The first samples, their captions under them and the words that do not hold in brackets."""
    zoom, side, text = 3, 32 * 3, 36
    rows = -(-len(pixels) // columns)
    canvas = Image.new("RGB", (columns * (side + 44), rows * (side + text)), "white")
    pen = ImageDraw.Draw(canvas)
    for i, (tile, (_, said), words) in enumerate(zip(pixels, pairs, right, strict=True)):
        left, top = i % columns * (side + 44) + 22, i // columns * (side + text)
        big = as_image(tile).resize((32 * zoom, 32 * zoom), Image.Resampling.NEAREST)
        canvas.paste(big, (left, top))
        pen.rectangle((left, top, left + side - 1, top + side - 1), outline="grey")
        wrong = [name for name, holds in zip(WORDS, words, strict=True) if not holds]
        half = said.rfind(" ", 0, 22)
        lines = (said[:half], said[half + 1 :], f"[{', '.join(wrong)}]" if wrong else "")
        for k, line_ in enumerate(lines):
            pen.text((left - 20, top + side + 1 + 11 * k), line_, fill="black", font_size=9)
    return canvas


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--run", type=Path, help="a model trained on shapes with --on text")
    parser.add_argument("--samples", type=int, default=200_000, help="of our training")
    parser.add_argument("--size", default="small")
    parser.add_argument("--captions", type=int, default=500)
    parser.add_argument("--scales", default="1,2,4,8")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--minutes", type=float, default=0.0, help="of the peer's training")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--state", type=Path, default=Path("shapes_state"))
    parser.add_argument("--quick", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.samples, chosen.captions, chosen.scales, chosen.steps = 320, 8, "1,4", 3
        chosen.size, chosen.minutes = "tiny", 0.02
        chosen.state = Path(tempfile.mkdtemp(prefix="shapes_"))
    return chosen


def contest(name, draw, chosen, asked):
    """One contestant at every scale: {kind: {scale: figures}}, with a grid of each."""
    results = {kind: {} for kind in asked}
    for scale in map(float, chosen.scales.split(",")):
        for kind, pairs in asked.items():
            pixels = draw([text for _, text in pairs], scale)
            right = judged(pixels, pairs)
            results[kind][scale] = figures(right, pairs)
            shown = sheet(pixels[:18], pairs[:18], right[:18])
            shown.save(chosen.state / f"{name}-{kind.replace(' ', '-')}-{scale:g}-said.png")
            picture = grid(pixels[:60], columns=10, zoom=2)
            save_picture(
                chosen.state / f"{name}-{kind.replace(' ', '-')}-{scale:g}.png", picture, {}
            )
            if not chosen.json:
                print(line(f"{name}, scale {scale:g}, {kind}", results[kind][scale]), flush=True)
    return results


def bounds(asked, chosen):
    """The judge on real pictures, and on real pictures with captions of others."""
    for kind, pairs in asked.items():
        real = np.stack([scene_drawn(scene, 7, i) for i, (scene, _) in enumerate(pairs)])
        other = pairs[1:] + pairs[:1]
        parts = [judged(real, pairs).all(1), judged(real, other).all(1)]
        if not chosen.json:
            told_parts = [told(share(part)) for part in parts]
            print(f"  real pictures, {kind}: {told_parts[0]}; other captions: {told_parts[1]}")


def main():
    chosen = options()
    torch.set_num_threads(chosen.threads)
    chosen.state.mkdir(parents=True, exist_ok=True)
    asked = {
        "seen": captions_of(chosen.captions, out=False),
        "held out": captions_of(chosen.captions, out=True),
    }
    bounds(asked, chosen)
    model, seconds = trained(chosen)

    def ours(captions, scale):
        shot = scaled(scale, steps=chosen.steps)
        return drawn(model, {"text": tuple(captions)}, chosen.state, shot)

    found = {"ours": contest("ours", ours, chosen, asked)}
    minutes = chosen.minutes or seconds / 60
    if not chosen.no_peer and minutes:
        peer = trained_peer(open_data("shapes"), minutes * 60, chosen.state)

        def theirs(captions, scale):
            return peer.draw(captions, scale, chosen.steps)

        found["peer"] = contest("peer", theirs, chosen, asked)
    files.write_json(chosen.state / "results.json", _plain(found))
    for line_ in claims(found):
        claimed(line_, chosen.json)


def _plain(found):
    return {
        who: {kind: {f"{s:g}": f for s, f in by.items()} for kind, by in kinds.items()}
        for who, kinds in found.items()
    }


def claims(found):
    """A claim a kind of captions, at the scale that is best on seen ones."""
    best = {
        who: max(kinds["seen"], key=lambda scale: kinds["seen"][scale]["all"]["value"])
        for who, kinds in found.items()
    }
    for kind, target in TARGETS.items():
        ours = found["ours"][kind][best["ours"]]["all"]
        yield {
            "claim": f"shapes, {kind} captions: every word holds, at scale {best['ours']:g}",
            **ours,
            "peer": found["peer"][kind][best["peer"]]["all"] if "peer" in found else None,
            "target": target,
            "meets": ours["value"] >= target,
        }


if __name__ == "__main__":
    main()
