"""The mark in the noise that samples started from, found again by the way back."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from unmist.base.faults import BadInput
from unmist.guard.noise_mark import Nonce, detect_noise, noise_of
from unmist.run.model import Model, load
from unmist.workflows.guided import followed, guiding
from unmist.workflows.marking import mark_key
from unmist.workflows.sample import Shot, settled
from unmist.workflows.shots import shot_like
from unmist.workflows.wishes import asking
from unmist.workflows.witness import Found

__all__ = ["noise_witness"]

LEVELS = 40  # on the way back: 20 bring 77 % of the signs of an 8-bit picture, more bring more
SEEDS, NUMBERS = 16, 1024  # tried where the picture does not say


def noise_witness(path: Path, pixels: np.ndarray | None, folder: Path, home: Path | None) -> Found:
    """Whether a picture started from noise with one's own mark, by the way back through its model.

    With what its settings say, where they are of this model; else under the seeds and numbers that
    come first, and as nothing was wished. The model's plain levels are gone up, whatever plan it
    was drawn by: a tuned plan ends near the same place. A student's way cannot be gone back.
    """
    model, key = load(folder), mark_key(home, make=False)
    if pixels is None or not key:
        why = "no key is here; name its folder by --keys" if pixels is not None else "no pixels"
        return Found("noise", None, f"not asked: {why}")
    if model.recipe.student is not None:
        return Found("noise", None, "not asked: there is no way back through a student's steps")
    if pixels.shape != model.shape:
        found, own = ("x".join(map(str, shape)) for shape in (pixels.shape, model.shape))
        return Found("noise", None, f"not asked: the picture is {found}, the model draws {own}")
    try:
        shot = shot_like(model, path)
    except BadInput:
        shot = None
    try:
        start = _start(model, shot or Shot(wish={}), pixels)
        odds, nonce = detect_noise(start, key, _nonces(shot))
    except BadInput as fault:
        return Found("noise", None, f"not asked: {fault.what}")
    whose = f"of {model.name}, by your own key: seed {nonce[0]}, sample {nonce[1]}"
    said = f"found, {whose}; {odds}" if odds.holds() else f"not found: {odds}"
    return Found("noise", odds.holds(), said, None, odds.log10_p)


def _start(model: Model, shot: Shot, pixels: np.ndarray) -> torch.Tensor:
    """What the picture started from, (c, *s) in model space."""
    chosen = settled(model, shot)
    told = asking(followed(model, chosen.guide), shot.wish)
    guide = guiding(model, chosen.guide, told)
    guide.start()
    levels = model.recipe.sampling.spacing(model.schedule, LEVELS)
    x0 = model.codec.encode(torch.from_numpy(pixels)[None].to(model.device))
    solver = model.recipe.sampling.solver
    return noise_of(guide.denoise, x0, levels, solver=solver, cond=guide.cond((shot.first,)))[0]


def _nonces(shot: Shot | None) -> Iterator[Nonce]:
    """The seed and number that the picture says; without, the first of each."""
    if shot is not None:
        yield shot.seed, shot.first
        return
    yield from ((seed, number) for seed in range(SEEDS) for number in range(NUMBERS))
