"""Do drawn clips hold together? Frames, motion from frame to frame, and rolling on past the end.

    python benchmarks/clips.py [--run FOLDER] [--train 40000] [--width 24] [--samples 128]
                               [--extended 8] [--frames 40] [--threads 1] [--state FOLDER]
                               [--quick] [--json]

`unmist train moving_digits` learns clips of 16 frames of 32x32 in which one real digit crosses and
bounces; clips of a tenth of the digits are held out.

    frames   Fréchet distance of single frames (features of a classifier of the training frames by
             their digit), beside the floor: training frames of as many clips against held-out ones
    step     root mean square of what is left of a frame after the best shift of the one before, up
             to 3 pixels: a moved digit leaves little. As a share of what the same clips leave with
             their frames in another order (1: no order at all), held-out clips beside
    flicker  `unmist edit extend` from half a real clip to --frames, by windows and, where the model
             was taught so, rolling, frame by frame: that step past the trained length over the one
             within it, and where two windows meet over the one elsewhere

A plain continuation that only keeps the known frames (`keep`) is measured as extension's peer;
diffusers, denoising-diffusion-pytorch and azula train no clips. A picture of the first clips and of
the extended ones lies in the state folder.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from steered import model_of, printed, silent
from unmist.base.noise import keyed
from unmist.data.opening import open_data
from unmist.metrics.features import extract, learn_features
from unmist.metrics.frechet import frechet_score
from unmist.networks.unet import UNet
from unmist.run.picture import grid, save_picture
from unmist.run.recipe import Recipe, altered
from unmist.workflows.edit_extend import extend
from unmist.workflows.sample import Shot, sample

REACH = 3  # pixels a frame: the fastest digit goes 2.4
SPARSE = {"draw.mean": 0.8, "draw.std": 1.4}  # where a small thing on black is decided
ROLLING = 0.5  # of the clips have a noise level a frame in training


def taught(chosen):
    """The model, trained first where no run is given, or on where it was stopped."""
    settings = {"data.source": "moving_digits", "training.samples": chosen.train, **SPARSE}
    settings["rolling"] = ROLLING
    recipe = altered(Recipe(network=UNet(width=chosen.width)), settings)
    where, recipe = (chosen.run, None) if chosen.run else (chosen.state / "run", recipe)
    return model_of(where, recipe, threads=chosen.threads, report=silent)


def steps(clips):
    """What no shift explains from frame to frame, in levels (n, t - 1): clips (n, 1, t, h, w)."""
    frames = clips[:, 0].astype(np.float32)
    before, after = frames[:, :-1], frames[:, 1:]
    padded = np.pad(before, ((0, 0), (0, 0), (REACH, REACH), (REACH, REACH)))
    height, width = frames.shape[2:]
    best = np.full(before.shape[:2], np.inf, np.float32)
    for down in range(2 * REACH + 1):
        for right in range(2 * REACH + 1):
            moved = padded[:, :, down : down + height, right : right + width]
            best = np.minimum(best, ((after - moved) ** 2).mean((2, 3)))
    return np.sqrt(best)


def shuffled(clips):
    """The frames of each clip in another order."""
    draw = keyed(0, "frames")
    return np.stack([clip[:, draw.permutation(clip.shape[1])] for clip in clips])


def frames_of(clips, each=4):
    """Every fourth frame as pictures (n*k, 1, h, w)."""
    some = clips[:, :, ::each]
    return np.ascontiguousarray(some.transpose(0, 2, 1, 3, 4)).reshape(-1, 1, *clips.shape[3:])


def framed(data, clips, held):
    """The Fréchet score of single frames, its floor from as many training clips."""
    rows = keyed(0, "frames learned").permutation(data.train)[:1500]
    train, labels = data.values[rows], data.labels[rows]
    per = len(frames_of(train[:1]))
    judge = learn_features(frames_of(train), labels.repeat(per))
    return frechet_score(
        extract(judge, frames_of(clips)),
        extract(judge, frames_of(train)),
        extract(judge, frames_of(held)),
        features="classifier of frames",
    )


def rolled(model, held, chosen):
    """Extended clips (n, 1, frames, h, w) by method, and network calls a clip."""
    half, ways = model.shape[1] // 2, {"windows": "", "rolling": "rolling", "keep": "keep"}
    if not model.recipe.rolling:
        del ways["rolling"]
    found = {name: [] for name in ways}
    for number in range(chosen.extended):
        clip = np.ascontiguousarray(held[number][:, :half])
        shot = Shot(count=1, seed=number)
        for name, method in ways.items():
            found[name].append(extend(model, clip, chosen.frames, shot, method=method))
    return {name: (np.stack([one.pixels[0] for one in some]), some[0].calls)
            for name, some in found.items()}  # fmt: skip


def flicker(clips, window):
    """(past the trained length over within it, where windows meet over elsewhere)."""
    rms = steps(clips).mean(0)
    drawn = np.arange(window // 2 - 1, len(rms))  # the first half is real
    joints = drawn % (window // 2) == window // 2 - 1
    late = drawn >= window - 1
    return (
        float(rms[drawn[late]].mean() / rms[drawn[~late]].mean()),
        float(rms[drawn[joints]].mean() / rms[drawn[~joints]].mean()),
    )


def claim(name, value, target, **more):
    return {"claim": f"clips: {name}", "value": round(value, 4), "target": target,
            "meets": bool(value <= target), **more}  # fmt: skip


def measured(chosen):
    """Lines to read, and the claims."""
    data, model = open_data("moving_digits"), taught(chosen)
    held = data.values[data.held]
    clips = sample(model, Shot(count=chosen.samples, batch=16)).pixels
    shown = np.concatenate([clips[:6], held[:2]])
    rows = shown[:, 0, ::2][:, :, None].reshape(-1, 1, *shown.shape[3:])
    save_picture(chosen.state / "clips.png", grid(rows, columns=shown.shape[2] // 2, zoom=2), {})
    score = framed(data, clips, held)
    yield f"frames: {score}"
    yield claim("excess Fréchet distance of frames over the floor", score.excess / score.floor, 1.0,
                floor=round(score.floor, 4), samples=len(clips))  # fmt: skip
    shares = {}
    for name, part in (("samples", clips), ("held out", held)):
        own, other = float(steps(part).mean()), float(steps(shuffled(part)).mean())
        shares[name] = own / other
        yield f"step, {name:9} {own:6.2f} levels, shuffled {other:6.2f}: {own / other:.3f}"
    yield claim("step as a share of shuffled frames', over that of held-out clips",
                shares["samples"] / shares["held out"], 1.25)  # fmt: skip
    longer = rolled(model, held, chosen)
    both = np.concatenate([clips[:3] for clips, _ in longer.values()])[:, 0, ::3][:, :, None]
    columns = both.shape[1]
    strips = grid(both.reshape(-1, 1, *both.shape[3:]), columns=columns, zoom=2)
    save_picture(chosen.state / "extended.png", strips, {})
    found = {name: flicker(clips, model.shape[1]) for name, (clips, _) in longer.items()}
    for name, (late, joints) in found.items():
        yield (f"flicker, {name:7} past the length {late:.3f}, where windows meet {joints:.3f}, "
               f"{longer[name][1]} calls, step {steps(longer[name][0]).mean():.2f}")  # fmt: skip
    for name in longer.keys() - {"keep"}:
        for place, what in enumerate(("past the trained length", "where windows meet")):
            yield claim(f"{name}: step {what} over the rest", found[name][place], 1.1,
                        peer=round(found["keep"][place], 4))  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--train", type=int, default=40_000)
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--extended", type=int, default=8)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--state", type=Path, default=Path("clips_state"))
    parser.add_argument("--quick", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.train, chosen.width, chosen.samples = 64, 8, 4
        chosen.extended, chosen.frames = 1, 24
        chosen.state = Path(tempfile.mkdtemp(prefix="clips_"))
    torch.set_num_threads(chosen.threads)
    chosen.state.mkdir(parents=True, exist_ok=True)
    printed(measured(chosen), chosen.json)


if __name__ == "__main__":
    main()
