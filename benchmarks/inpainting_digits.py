"""The second half of inpainting: fifty real digits, a model's weights, diffusers beside it."""

import time
from pathlib import Path

import numpy as np
import torch

import inpainting
from unmist.base.noise import Noise
from unmist.core.plan import ancestral
from unmist.core.walk import final, started, walk
from unmist.data.opening import open_data
from unmist.editing.keep import Keep
from unmist.editing.measure import Mask
from unmist.editing.posterior import Posterior
from unmist.run.model import load
from unmist.run.picture import save_picture, strip
from unmist.workflows.edit import inpaint
from unmist.workflows.sample import Shot

SHOWN = 12


def digits(folder: Path, count: int, told: Path | None = None) -> list[dict[str, object]]:
    """Prints what was measured and leaves `inpainting.png`; the claims.

    told: another model, trained with a part hidden.
    """
    model, data = load(folder), open_data("digits")
    other = load(told) if told else None
    pictures = data.values[data.held[:count]]
    known = np.ones(model.shape[1:], np.float32)
    known[7:21, 7:21] = 0
    mask, y = torch.from_numpy(known), model.codec.encode(torch.from_numpy(pictures))
    noise, seen = Noise(0, "digits", tuple(range(count))), Mask(mask)
    real, rows, shown = seam(pictures, known), [], [pictures, (pictures * known).astype(np.uint8)]
    for name in ("posterior", "keep", *(("told",) if told else ()), "replacement"):
        began = time.process_time()
        if name == "told":
            pixels = taught(other, pictures, known)
        else:
            x = drawn(name, model, seen, y, noise)
            pixels = np.where(known == 1, pictures, model.codec.decode(x).numpy())
        spent = (time.process_time() - began) / count
        off = np.abs(pixels.astype(int) - pictures)
        filled = float(np.sqrt((off[:, :, known == 0].astype(float) ** 2).mean()))
        row = {
            "method": name,
            "known": int(off[:, :, known == 1].max()),
            "seam": seam(pixels, known) / real,
            "error": filled,
            "seconds": spent,
        }
        rows.append(row)
        shown.append(pixels)
        print(
            f"digits, {name}: known differ by {row['known']}, seam {row['seam']:.2f} of the real "
            f"pictures', filled part off by {filled:.1f} levels, {spent:.2f} s a picture"
        )
    save_picture(Path("inpainting.png"), strip([part[:SHOWN] for part in shown], zoom=2), {})
    return claims(rows)


def drawn(name, model, seen, y, noise):
    """x of one method, (count, 1, h, w)."""
    base, like = model.denoiser, torch.zeros_like(y)
    if name == "replacement":
        first = noise(like, 0)
        return inpainting.their_replacement(base, seen, y, first, noise, 20)
    plan = ancestral(model.recipe.sampling.plan(model.schedule))
    lead = Posterior(base, seen, seen.forward(y), rounds=2) if name == "posterior" else base
    x = started(like, plan, noise)
    return final(walk(Keep(lead, seen.known, y), x, plan, model.recipe.sampling.solver, noise)).x


def taught(model, pictures, known):
    """uint8 (count, 1, h, w): each filled by a model that was taught with a part hidden."""
    shots = (Shot(count=1, first=number) for number in range(len(pictures)))
    drafts = zip(pictures, shots, strict=True)
    return np.concatenate([inpaint(model, picture, known, shot).pixels for picture, shot in drafts])


def seam(pictures, known):
    """Mean step in grey levels between neighbours of which one is known and one is not."""
    values = pictures.astype(float)
    steps = [np.abs(np.diff(values, axis=axis)) for axis in (2, 3)]
    edges = [np.diff(known, axis=axis) != 0 for axis in (0, 1)]
    found = [step[:, :, edge] for step, edge in zip(steps, edges, strict=True)]
    return float(np.concatenate([one.ravel() for one in found]).mean())


def claims(rows):
    """Of the first method, the peer's beside."""
    mine, peer = rows[0], rows[-1]
    return [
        {
            "claim": "inpainting: largest difference on known pixels of digits, levels",
            "value": mine["known"],
            "target": 0,
            "meets": mine["known"] == 0,
        },
        {
            "claim": "inpainting: step across the seam over that of real digits",
            "value": mine["seam"],
            "target": 1.1,
            "meets": mine["seam"] <= 1.1,
            "peer": peer["seam"],
            "error": mine["error"],
            "peer's error": peer["error"],
            "seconds": mine["seconds"],
            "peer's seconds": peer["seconds"],
        },
    ]
