"""Is a mark still found after what happens to pictures out there, and what does it cost?

The watermark (`unmist.guard.watermark`): pictures are marked, handled, and looked at with the key
alone. `found` is the share whose odds are 1 in 10^6 or less, corrected for every way of looking;
`odds` the median of log10; PSNR of marked against original, mean. Sets: our own samples
(`--runs FOLDER …`, any size, up to 32 pixels doubled too; else the packed digits at 28 and emoji
at 32 pixels and emoji doubled to 64, real pictures of the kind our models make), and tiles of
scikit-image's photographs at 64 (a quarter of their size) and 256 pixels, where it is installed.

Handling: JPEG 50, 70, 90; half size and back (bicubic); noise of 5 levels; a Gaussian blur of 1
pixel; screen: gamma 1.1, shown 1.5 times as large, a pixel lost at each edge, back to its size,
JPEG 90; cuts that leave 90 and 75 % of each side from a place nobody is told, as they are and
scaled back to the full size. Cut pictures are looked for in 10^3 to 10^8 ways, which is counted.

Peers, where installed (`pip install --no-deps blind-watermark invisible-watermark PyWavelets
opencv-python-headless` in a folder of its own, named in PYTHONPATH): each with 60 secret bits (the
most that the first puts into 64 pixels), at its own strength; found: as many bits right as an
unmarked picture has 1 time in 10^6 (49 of 60). Where a peer refuses a size, nothing stands there.

The noise mark (`unmist.guard.noise_mark`) with `--noise FOLDER`, a run trained on the digits:
samples with and without it, their Fréchet distances to held-out digits with 95 % intervals, the
correlation between starts of marked pictures, and the share found from 8-bit pictures by
inversion, among as many nonces as `--nonces`, also after JPEG 90 and a noise of 2 levels. With
`--steps N` they are drawn by that number of steps, by the tuned plan where there is one; with
`--student FOLDER` by that student, and looked for by the way back through --noise, its teacher.

    python benchmarks/marks.py [--quick] [--json] [--count N] [--runs FOLDER ...]
                               [--sets TEXT] [--noise FOLDER] [--steps N] [--student FOLDER]
"""

import argparse
import io
import json
import time

import numpy as np
import torch
from PIL import Image, ImageFilter

from unmist.base.noise import Noise
from unmist.core.walk import final, started, walk
from unmist.data.opening import open_data
from unmist.guard.noise_mark import detect_noise, marked_noise, noise_of
from unmist.guard.watermark import detect, embed_many
from unmist.metrics.classifier import Lessons
from unmist.metrics.features import extract, learn_features
from unmist.metrics.frechet_limit import frechet_limit
from unmist.metrics.grouped import Groups
from unmist.run.model import load
from unmist.workflows.sample import Shot, sample, settled

KEY, RATE, BITS = b"the benchmark's key", 1e-6, 60
CUBIC = Image.Resampling.BICUBIC


def image_of(row):
    return Image.fromarray(row[0] if len(row) == 1 else row.transpose(1, 2, 0))


def row_of(image):
    array = np.asarray(image)
    return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


def as_jpeg(row, quality):
    file = io.BytesIO()
    image_of(row).save(file, "JPEG", quality=quality)
    return row_of(Image.open(file))


def halved(row, _):
    image = image_of(row)
    small = image.resize((image.width // 2, image.height // 2), CUBIC)
    return row_of(small.resize(image.size, CUBIC))


def noisy(row, draw, levels=5):
    return (row + levels * draw.normal(size=row.shape)).round().clip(0, 255).astype(np.uint8)


def blurred(row, _):
    return row_of(image_of(row).filter(ImageFilter.GaussianBlur(1)))


def screen(row, _):
    image = image_of((255 * (row / 255) ** 1.1).round().astype(np.uint8))
    width, height = image.size
    shown = image.resize((round(1.5 * width), round(1.5 * height)), CUBIC)
    taken = shown.crop((1, 1, shown.width - 1, shown.height - 1))
    return as_jpeg(row_of(taken.resize((width, height), CUBIC)), 90)


def cut(row, draw, left, back=False):
    height, width = (round(side * left) for side in row.shape[1:])
    top, start = (
        draw.integers(0, 1 + whole - part)
        for whole, part in zip(row.shape[1:], (height, width), strict=True)
    )
    part = np.ascontiguousarray(row[:, top : top + height, start : start + width])
    return row_of(image_of(part).resize(row.shape[:0:-1], CUBIC)) if back else part


HANDLING = {
    "untouched": lambda row, draw: row,
    "JPEG 90": lambda row, draw: as_jpeg(row, 90),
    "JPEG 70": lambda row, draw: as_jpeg(row, 70),
    "JPEG 50": lambda row, draw: as_jpeg(row, 50),
    "half and back": halved,
    "noise 5": noisy,
    "blur 1": blurred,
    "screen": screen,
    "cut to 90 %": lambda row, draw: cut(row, draw, 0.9),
    "cut to 75 %": lambda row, draw: cut(row, draw, 0.75),
    "90 %, scaled back": lambda row, draw: cut(row, draw, 0.9, back=True),
    "75 %, scaled back": lambda row, draw: cut(row, draw, 0.75, back=True),
}
TARGETS = ("JPEG 70", "half and back")


def photographs(count, side, scale):
    """Tiles at random places of scikit-image's pictures; None where it is not installed."""
    try:
        from skimage import data
    except ImportError:
        return None
    whole = []
    for name in ("astronaut", "cat", "coffee", "rocket", "hubble_deep_field"):
        image = Image.fromarray(getattr(data, name)()[..., :3])
        size = (round(image.width * scale), round(image.height * scale))
        whole.append(row_of(image if scale == 1 else image.resize(size, Image.Resampling.LANCZOS)))
    draw, rows = np.random.default_rng(0), []
    for number in range(count):
        picture = whole[number % len(whole)]
        top, left = (draw.integers(0, 1 + size - side) for size in picture.shape[1:])
        rows.append(picture[:, top : top + side, left : left + side])
    return np.stack(rows)


def doubled(rows):
    size = (2 * rows.shape[-1], 2 * rows.shape[-2])
    return np.stack([row_of(image_of(row).resize(size, CUBIC)) for row in rows])


def sets(count, runs):
    if runs:
        for folder in runs:
            model = load(folder)
            rows = sample(model, Shot(count=count)).pixels
            yield f"samples of {model.name}, {rows.shape[-1]} px", rows
            if rows.shape[-1] <= 32:
                yield f"samples of {model.name} doubled, {2 * rows.shape[-1]} px", doubled(rows)
    else:
        draw = np.random.default_rng(1)
        digits, emoji = (np.asarray(open_data(name).values) for name in ("digits", "emoji"))
        yield "digits, 28 px", digits[draw.permutation(len(digits))[:count]]
        chosen = emoji[draw.permutation(len(emoji))[:count]]
        yield "emoji, 32 px", chosen
        yield "emoji doubled, 64 px", doubled(chosen)
    for side, scale in ((64, 0.25), (256, 1.0)):
        tiles = photographs(count, side, scale)
        if tiles is None:
            yield f"photographs, {side} px: scikit-image is not installed", None
        else:
            yield f"photographs, {side} px", tiles


class Ours:
    name = "unmist"

    def mark(self, rows):
        return embed_many(rows, KEY)

    def odds(self, row):
        return detect(row, KEY).log10_p


class BitPeer:
    """Bits in, bits out: the odds by their number that is right."""

    bits = np.random.default_rng(7).integers(0, 2, BITS).astype(bool)

    def mark(self, rows):
        return np.stack([self.put(bgr(row)) for row in rows])[..., ::-1].transpose(0, 3, 1, 2)

    def odds(self, row):
        try:
            right = int((self.read(bgr(row)) == self.bits).sum())
        except Exception:  # whatever a peer raises on a picture, it has not found its mark
            return 0.0
        from scipy.stats import binom

        return float(binom.logsf(right - 1, BITS, 0.5) / np.log(10))


def bgr(row):
    colour = row if len(row) == 3 else row.repeat(3, 0)
    return np.ascontiguousarray(colour.transpose(1, 2, 0)[..., ::-1])


class Blind(BitPeer):
    name = "blind-watermark"

    def __init__(self):
        import blind_watermark

        blind_watermark.bw_notes.close()
        self.tool = lambda: blind_watermark.WaterMark(password_wm=1, password_img=1)

    def put(self, picture):
        tool = self.tool()
        tool.read_img(img=picture)
        tool.read_wm(self.bits, mode="bit")
        return np.asarray(tool.embed()).round().clip(0, 255).astype(np.uint8)

    def read(self, picture):
        return np.asarray(self.tool().extract(embed_img=picture, wm_shape=BITS, mode="bit")) > 0.5


class Invisible(BitPeer):
    name = "invisible-watermark dwtDctSvd"

    def __init__(self):
        from imwatermark import WatermarkDecoder, WatermarkEncoder

        self.encoder, self.decoder = WatermarkEncoder(), WatermarkDecoder("bits", BITS)

    def put(self, picture):
        if min(picture.shape[:2]) < 256:
            raise ValueError("256 pixels or more")
        self.encoder.set_watermark("bits", [int(bit) for bit in self.bits])
        return self.encoder.encode(picture, "dwtDctSvd").round().clip(0, 255).astype(np.uint8)

    def read(self, picture):
        return np.asarray(self.decoder.decode(picture, "dwtDctSvd")).astype(bool)


def contestants():
    yield Ours()
    for peer in (Blind, Invisible):
        try:
            yield peer()
        except ImportError as error:
            yield f"{peer.name}: not installed ({error.name})"


def ratio(rows, marked):
    square = ((rows.astype(float) - marked) ** 2).reshape(len(rows), -1).mean(1)
    return 10 * np.log10(255**2 / np.maximum(square, 1e-9))


def judged(who, place, rows):
    """One claim for each handling."""
    try:
        marked = who.mark(rows)
    except Exception as error:  # a peer that refuses a size says so in its own way
        yield {"claim": f"watermark: {who.name}, {place}", "refused": type(error).__name__}
        return
    near = ratio(rows, marked)
    for name, change in HANDLING.items():
        draw, start = np.random.default_rng(3), time.process_time()
        odds = np.array([who.odds(change(row, draw)) for row in marked])
        found = float((odds <= np.log10(RATE)).mean())
        line = {
            "claim": f"watermark: {who.name}, {place}, {name}: share found at 1e-6",
            "value": round(found, 4),
            "odds": round(float(np.median(odds)), 1),
            "psnr": round(float(near.mean()), 2),
            "psnr_least": round(float(near.min()), 2),
            "count": len(rows),
            "seconds": round((time.process_time() - start) / len(rows), 3),
        }
        if isinstance(who, Ours) and rows.shape[-1] >= 64 and name in TARGETS:
            line |= {"target": 0.95, "meets": bool(found >= 0.95 and near.mean() >= 38)}
        yield line
    if isinstance(who, Ours):
        least = min(who.odds(row) for row in rows[: max(4, len(rows) // 5)])
        yield {
            "claim": f"watermark: {who.name}, {place}, not marked: the best odds of any",
            "value": round(least, 1),
            "count": max(4, len(rows) // 5),
            "meets": bool(least > -6),
        }


def watermarks(count, runs, wanted):
    everyone = list(contestants())
    yield from ({"claim": f"watermark: {who}"} for who in everyone if isinstance(who, str))
    for place, rows in sets(count, runs):
        if wanted not in place:
            continue
        if rows is None:
            yield {"claim": f"watermark: {place}"}
            continue
        for who in everyone:
            if not isinstance(who, str):
                yield from judged(who, place, rows)


def drawn(model, count, key, steps=None):
    """uint8 samples, and the starts they come from."""
    chosen = settled(model, Shot(steps=steps))
    plan, pixels, starts = chosen.plan(model.schedule), [], []
    for first in range(0, count, 50):
        noise = Noise(11, "sample", tuple(range(first, min(first + 50, count))))
        source = marked_noise(noise, key) if key else noise
        like = torch.zeros(len(noise.ids), *model.shape)
        state = final(walk(model.denoiser, started(like, plan, source), plan, chosen.solver, noise))
        pixels.append(model.codec.decode(state.x).numpy())
        starts.append(source(like, 0))
    return np.concatenate(pixels), torch.cat(starts)


def noise_marks(folder, count, nonces, steps=None, student=""):
    """The model whose way back is gone, and, where it is another, the student that draws."""
    model, hand = load(folder), load(student or folder)
    data = open_data("digits")
    values, labels = np.asarray(data.values), np.asarray(data.labels)
    features = learn_features(
        values[data.train][:1500], labels[data.train][:1500], lessons=Lessons(passes=3, batch=32)
    )
    held = Groups.over([extract(features, values[data.held][:count])])
    marked, starts = drawn(hand, count, KEY, steps)
    plain, _ = drawn(hand, count, b"", steps)
    scores = [
        frechet_limit(Groups.over([extract(features, rows)]), held, features="digits classifier")
        for rows in (marked, plain)
    ]
    one, other = scores
    yield {
        "claim": "noise mark: Fréchet distance with and without, each in the other's interval",
        "value": [round(score.value, 3) for score in scores],
        "intervals": [[round(score.low, 3), round(score.high, 3)] for score in scores],
        "count": count,
        "meets": bool(one.low <= other.value <= one.high and other.low <= one.value <= other.high),
    }
    flat = starts.flatten(1)
    signs = flat.sign() @ flat.sign().T / flat.shape[1]
    apart = signs[~torch.eye(len(flat), dtype=torch.bool)]
    yield {
        "claim": "noise mark: correlation of the starts' signs between marked pictures",
        "value": float(f"{apart.mean():.2g}"),
        "root mean square": float(f"{apart.square().mean().sqrt():.3g}"),
        "expected of independent": float(f"{flat.shape[1] ** -0.5:.3g}"),
        "kurtosis": round(float((flat**4).mean() / (flat**2).mean() ** 2), 3),
    }
    yield from found_again(model, marked, plain, nonces, min(100, count // 5))


def found_again(model, marked, plain, nonces, most):
    chosen = settled(model, Shot())
    levels = chosen.spacing(model.schedule, chosen.steps)
    draw, some = np.random.default_rng(5), marked[:most]
    ways = {
        "8-bit pictures": some,
        "JPEG 90": np.stack([as_jpeg(row, 90) for row in some]),
        "noise 2": np.stack([noisy(row, draw, 2) for row in some]),
        "half and back": np.stack([halved(row, draw) for row in some]),
        "not marked": plain[:most],
    }
    tries = [(11, sample_id) for sample_id in range(nonces)]
    for name, rows in ways.items():
        encoded = model.codec.encode(torch.from_numpy(rows.copy()))
        back = noise_of(model.denoiser, encoded, levels)
        found = [detect_noise(row, KEY, tries) for row in back]
        hits = [odds.holds(RATE) and nonce == tries[i] for i, (odds, nonce) in enumerate(found)]
        right = float(np.mean(hits))
        yield {
            "claim": f"noise mark: {name}, share found at 1e-6 with its nonce",
            "value": round(right, 4),
            "odds": round(float(np.median([odds.log10_p for odds, _ in found])), 1),
            "agreement": round(float(np.mean([odds.agreement for odds, _ in found])), 3),
            "nonces": nonces,
            "count": len(rows),
            "meets": right >= 0.95 if name == "8-bit pictures" else None,
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--runs", nargs="*", default=[])
    parser.add_argument("--sets", default="", help="only sets with this in their name, as '64 px'")
    parser.add_argument("--noise", default="")
    parser.add_argument("--steps", type=int, help="of the noise mark's samples: a tuned plan's")
    parser.add_argument("--student", default="", help="a student of --noise that draws for it")
    parser.add_argument("--nonces", type=int, default=10_000)
    parser.add_argument("--only", choices=["watermark", "noise"], default="")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    count = min(6, asked.count) if asked.quick else asked.count

    def claims():
        if asked.only != "noise":
            yield from watermarks(count, asked.runs, asked.sets)
        if asked.noise and asked.only != "watermark":
            some = 130 if asked.quick else asked.count
            hand = (asked.steps, asked.student)
            yield from noise_marks(asked.noise, some, asked.nonces, *hand)

    for line in claims():
        if asked.json:
            print(json.dumps(line, ensure_ascii=False), flush=True)
        else:
            rest = ", ".join(f"{k} {v}" for k, v in line.items() if k != "claim" and v is not None)
            print(f"{line['claim']}: {rest}" if rest else line["claim"], flush=True)


if __name__ == "__main__":
    main()
