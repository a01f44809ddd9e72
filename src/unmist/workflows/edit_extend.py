"""A clip or series drawn on past its end, window by window, each from the end of the last."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import Noise, keyed
from unmist.core.denoiser import Within
from unmist.core.plan import Plan
from unmist.core.solver import Euler
from unmist.core.walk import started
from unmist.editing.rolling import Windowed, rolled
from unmist.run.model import Model
from unmist.workflows.edit import Draft, developed, encoded, inpaint
from unmist.workflows.sample import Samples, Shot, settled

__all__ = ["ROLLING", "extend", "extending", "rolling"]

MOST = 4096
ROLLING = "rolling"  # the method of a model whose frames had levels of their own in training
CALLS = 3  # evaluations a frame of rolling on
CLEAN = 0.02  # sigma/alpha that frames are told to have which are there


def extending(
    model: Model, clip: np.ndarray, frames: int, shot: Shot, overlap: int = 0, method: str = ""
) -> Iterator[tuple[int, np.ndarray, int]]:
    """clip uint8 (c, n, *s), n >= 1; yields (sample, its frames so far (c, m, *s),
    calls of the network so far) per window.

    A window is as long as the model's clips; its first `overlap` frames (0: half) are the last ones
    there are, kept as inpainting keeps them, so a clip of any length is told half a window of its
    past. method: of inpainting; or rolling, in which noise grows from frame to frame and all moves
    on together, for a model trained with `rolling`. Raises BadInput.
    """
    window = model.shape[1]
    overlap = overlap or window // 2
    if not model.recipe.time:
        mend = "use a model of clips or series"
        raise BadInput("this model knows no time", where=model.folder, mend=mend)
    if not clip.shape[1] < frames <= MOST or not 1 <= overlap < window:
        what = f"{frames} frames from {clip.shape[1]}, {overlap} of each window of {window} known"
        raise BadInput(what, where="extend", mend="more frames than there are, a shorter overlap")
    for number in range(shot.first, shot.first + shot.count):
        if method == ROLLING:
            draft = rolling(model, clip, frames, shot, overlap)
            samples = developed(model, replace(shot, count=1, first=number), draft)
            yield number, samples.pixels[0][:, :frames], samples.calls
            continue
        drawn, turn, calls = clip, 0, 0
        while drawn.shape[1] < frames:
            own = replace(shot, count=1, first=number, seed=_seed(shot.seed, turn))
            new, spent = _next(model, drawn, overlap, own, method)
            drawn = np.concatenate([drawn, new], axis=1)[:, :frames]
            turn, calls = turn + 1, calls + spent
            yield number, drawn, calls


def rolling(model: Model, clip: np.ndarray, frames: int, shot: Shot, overlap: int) -> Draft:
    """clip uint8 (c, n, *s) drawn on to `frames` at least, each three calls behind the one before.

    Raises BadInput for a model whose frames always had one level in training.
    """
    if not model.recipe.rolling:
        mend = "train one with --set rolling=0.5, or use another method"
        raise BadInput("the model knows one level for all frames", where="extend", mend=mend)
    chosen, window, known = settled(model, shot), model.shape[1], clip.shape[1]
    total = max(frames, window)
    levels = chosen.spacing(model.schedule, CALLS * (window - overlap))
    picture = np.zeros((model.shape[0], total, *model.shape[2:]), np.uint8)
    picture[:, :known] = clip
    mask = np.zeros(picture.shape[1:], np.float32)
    mask[:known] = 1
    x0 = encoded(model, picture)

    def begin(like: Tensor, plan: Plan, noise: Noise) -> Tensor:
        x = started(like, plan, noise)
        x[:, :, :known] = x0[:, :, :known]
        return x

    return Draft(
        lambda denoise: Windowed(Within(denoise, low=CLEAN, high=math.inf), window, overlap),
        rolled(levels, known, total, CALLS), replace(chosen, solver=Euler()), picture.shape,
        begin=begin, paste=(mask, picture),
    )  # fmt: skip


def _next(
    model: Model, drawn: np.ndarray, overlap: int, shot: Shot, method: str
) -> tuple[np.ndarray, int]:
    """The new frames of one window, and the calls they took."""
    known = min(overlap, drawn.shape[1])
    picture = np.zeros(model.shape, np.uint8)
    picture[:, :known] = drawn[:, -known:]
    mask = np.zeros(model.shape[1:], np.float32)
    mask[:known] = 1
    samples = inpaint(model, picture, mask, shot, method)
    return samples.pixels[0][:, known:], samples.calls


def _seed(seed: int, turn: int) -> int:
    return seed if turn == 0 else int(keyed(seed, "extend", turn).integers(2**63))


def extend(
    model: Model,
    clip: np.ndarray,
    frames: int,
    shot: Shot | None = None,
    overlap: int = 0,
    method: str = "",
) -> Samples:
    """`extending`, drained: pixels (count, c, frames, *s) that begin with the clip, to the bit."""
    shot, last, calls = shot or Shot(count=1), {}, 0
    for number, drawn, spent in extending(model, clip, frames, shot, overlap, method):
        last[number], calls = drawn, spent
    told = {"verb": "extend", "from": clip.shape[1], "frames": frames, "overlap": overlap}
    told |= {"method": method} if method else {}
    pixels = np.stack(list(last.values()))
    settings: dict[str, object] = {
        "model": model.name, "hash": model.digest, "seed": shot.seed,
        "shape": list(pixels.shape[1:]), "edit": told, "time": True,
    }  # fmt: skip
    return Samples(pixels, settings, calls, time=True)
