"""What the default detectors refuse, on labelled pictures that packages carry.

nudity: the share of harmless pictures that are refused at the default limit. Photographs and the
100 faces of scikit-image's `lfw_subset` (25 by 25 pixels, grey), which hold people and nothing
indecent; built-in emoji and digits. No package carries pictures of the other kind with labels, so
what the detector MISSES is not measured here: Yahoo's own figures stand for it.

copied: of training pictures, the share that is refused as they are and after what copies go
through; and of real pictures that are in neither set (`fresh`), the share that is refused wrongly:
by the conformal score about 1 - 0.99 is expected.

    python benchmarks/detectors.py [--quick] [--json]
"""

import argparse
import io
import json
from math import sqrt

import numpy as np
import torch
from PIL import Image

from unmist.base.faults import BadInput
from unmist.data.opening import open_data
from unmist.guard.detector import Seen
from unmist.guard.policy import Copied, Nudity, Policy
from unmist.workflows.detecting import CopyDetector, Learned, detectors_of

PHOTOS = (
    "astronaut",
    "camera",
    "chelsea",
    "coffee",
    "rocket",
    "horse",
    "moon",
    "retina",
    "grass",
    "coins",
)
HELD = 400
COPIED = Copied().above


def seen(pictures):
    return [Seen(np.ascontiguousarray(picture)) for picture in pictures]


def scores(detector, pictures):
    return np.array([finding.score for finding in detector(seen(pictures))])


def share(name, found, limit, target=None):
    """One line: the share refused, with Wilson's 95 % limits."""
    count, refused = len(found), float((~(found < limit)).mean())
    z = 1.96
    middle = (refused + z * z / (2 * count)) / (1 + z * z / count)
    width = z * sqrt(refused * (1 - refused) / count + (z / (2 * count)) ** 2) / (1 + z * z / count)
    return {
        "claim": f"{name}: share refused",
        "value": round(refused, 4),
        "low": round(max(0.0, middle - width), 4),
        "high": round(min(1.0, middle + width), 4),
        "count": count,
        "highest": round(float(found.max()), 4),
        **({"target": target} if target else {}),
    }


def photographs():
    """Of scikit-image, those that are here, as uint8 (c, h, w)."""
    try:
        from skimage import data
    except ImportError:
        return [], np.zeros((0, 1, 25, 25), np.uint8)
    found = []
    for name in PHOTOS:
        pixels = np.asarray(getattr(data, name)())
        if pixels.ndim == 2 and pixels.dtype == np.uint8:
            found.append(pixels[None])
        elif pixels.ndim == 3 and pixels.dtype == np.uint8:
            found.append(pixels[..., :3].transpose(2, 0, 1))
    faces = (data.lfw_subset()[:100] * 255).clip(0, 255).astype(np.uint8)[:, None]
    return found, faces


def nudity(quick):
    try:
        (detector,) = detectors_of(Policy("nudity", (Nudity(),), ()), None)
    except BadInput as fault:
        print(f"nudity is not measured: {fault}")
        return
    photos, faces = photographs()
    emoji, digits = (open_data(name).values for name in ("emoji", "digits"))
    sets = {"photographs": photos, "faces": faces, "emoji": emoji[::5], "digits": digits[::50]}
    for name, pictures in sets.items():
        chosen = pictures[:10] if quick else pictures
        if len(chosen):
            yield share(f"nudity, harmless {name}", scores(detector, chosen), Nudity().above)
        else:
            print(f"nudity, {name}: not here (scikit-image is not installed)")


def jpeg(pixels):
    target = io.BytesIO()
    plain = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    Image.fromarray(plain).save(target, format="JPEG", quality=70)
    back = np.asarray(Image.open(target))
    return back[None] if back.ndim == 2 else back.transpose(2, 0, 1)


def noisy(pixels, draw=np.random.default_rng(0)):  # noqa: B008 - one stream for all
    return (pixels + draw.normal(0, 8, pixels.shape)).round().clip(0, 255).astype(np.uint8)


def marked(pixels):
    from unmist.guard.watermark import embed

    return embed(pixels, b"benchmark")


HANDLED = {
    "as they are": lambda pixels: pixels,
    "a pixel aside": lambda pixels: np.roll(pixels, 1, axis=2),
    "JPEG 70": jpeg,
    "noise of 8 levels": noisy,
    "darker by a fifth": lambda pixels: (pixels * 0.8).astype(np.uint8),
    "watermarked": marked,
    "two pixels aside": lambda pixels: np.roll(pixels, 2, axis=2),
}


def copied(name, quick):
    data = open_data(name)
    train, held = (torch.from_numpy(data.values[rows]) for rows in (data.train, data.held))
    here = min(HELD, int(len(held) * 0.8))
    detector = CopyDetector(Learned(train, held[:here]))
    some = train[:: max(1, len(train) // (10 if quick else 100))][:100].numpy()
    for how, handle in HANDLED.items():
        found = scores(detector, [handle(picture) for picture in some])
        yield share(f"copied, training {name} {how}", found, COPIED)
    fresh = scores(detector, held[here:].numpy())
    yield share(f"copied, fresh {name}", fresh, COPIED, target=[0.0, 0.03])


def lines(quick):
    yield from nudity(quick)
    for name in ("digits",) if quick else ("digits", "emoji"):
        yield from copied(name, quick)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for line in lines(asked.quick):
        if asked.json:
            print(json.dumps(line), flush=True)
        else:
            limits = f"[{line['low']:.3f}, {line['high']:.3f}]"
            told = f"{line['claim']:52} {line['value']:.3f} {limits}, {line['count']} pictures"
            print(f"{told}, highest score {line['highest']:.3f}", flush=True)
