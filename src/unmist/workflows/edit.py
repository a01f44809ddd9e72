"""Edits of pictures with any trained model: known parts kept, the rest drawn (slides 6 and 7).

Each verb makes a `Draft`, which denoiser walks which plan from where, and one loop draws it.
Pictures are uint8 (c, h, w); what comes back is `Samples`, as from sampling.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean
from unmist.base.noise import Noise
from unmist.codecs.autoencoder import padded
from unmist.codecs.latent import Latent
from unmist.conditions.remainder import Remainder
from unmist.core.denoiser import Denoiser
from unmist.core.plan import Plan, ancestral, descend, jumps
from unmist.core.walk import State, started, walk
from unmist.editing.keep import Keep
from unmist.editing.measure import Blur, Grey, Mask, Measurement, Pool, Seen
from unmist.editing.particles import Particles
from unmist.editing.posterior import Posterior
from unmist.editing.vary import Variation, begun
from unmist.nn.fold import fold
from unmist.run.model import Model
from unmist.run.recipe import Sampling
from unmist.workflows.guided import guided
from unmist.workflows.sample import (
    Samples,
    Shot,
    batches,
    drained,
    plan_of,
    settings_of,
    settled,
)
from unmist.workflows.wishes import with_value

__all__ = [
    "METHODS",
    "TOLD",
    "Draft",
    "developed",
    "editing",
    "inpaint",
    "inpainting",
    "method_of",
    "restore",
    "restoring",
    "upscale",
    "upscaling",
    "variation",
    "vary",
]

METHODS = ("posterior", "particles", "repaint", "keep")
TOLD = "told"  # the method of a model that was taught with a part hidden
LUMA = (0.299, 0.587, 0.114)
ROUNDS = 2  # backward passes a call of the posterior


@dataclass(frozen=True, eq=False)
class Draft:
    """What is walked: `wrap` makes the edit's denoiser of the model's, guided as is asked.

    `begin` gives x at the plan's start from zeros of the shape drawn. particles: so many a sample
    are led by what `wrap` makes, a Posterior. beside: values (1, ...) of
    conditions that every row is told. paste: known (h, w) and the picture whose pixels come back
    unchanged where it is 1. told: what the settings say of the edit.
    """

    wrap: Callable[[Denoiser], Denoiser]
    plan: Plan
    sampling: Sampling
    shape: tuple[int, ...]
    begin: Callable[[Tensor, Plan, Noise], Tensor] = started
    particles: int = 0
    beside: Mapping[str, Tensor] = field(default_factory=dict)
    paste: tuple[np.ndarray, np.ndarray] | None = None
    told: Mapping[str, object] = field(default_factory=dict)


def editing(model: Model, shot: Shot, draft: Draft) -> Iterator[tuple[int, State]]:
    """Every state of every batch, with the number of its first sample."""
    portions, chosen = batches(shot, "edit"), draft.sampling
    guide = guided(model, chosen.guide, shot.wish, exact=shot.exact)
    denoise = draft.wrap(guide.denoise)
    for ids in portions:
        noise, cond = Noise(shot.seed, "edit", ids), guide.cond(ids)
        for name, value in draft.beside.items():
            cond = with_value(cond, name, value.repeat_interleave(len(ids), 0))
        like = torch.zeros(len(ids), *model.codec.inner(draft.shape), device=model.device)
        guide.start()
        if draft.particles:
            assert isinstance(denoise, Posterior)
            states = Particles(denoise, draft.particles).walk(like, draft.plan, noise, cond)
        else:
            x = draft.begin(like, draft.plan, noise)
            states = walk(denoise, x, draft.plan, chosen.solver, noise, cond)
        for state in states:
            yield ids[0], state._replace(calls=guide.calls(len(ids)))


def developed(
    model: Model, shot: Shot, draft: Draft, states: Iterator[tuple[int, State]] | None = None
) -> Samples:
    """Drain `editing`, decode, and put the known pixels back."""
    pixels, calls = drained(model, states or editing(model, shot, draft), draft.shape[1:])
    if draft.paste is not None:
        known, picture = draft.paste
        pixels = np.where(known[None, None] == 1, picture[None], pixels)
    settings = {**settings_of(model, shot, calls), "shape": list(draft.shape)}
    told = {**settings, "edit": dict(draft.told)}
    return Samples(pixels, told, calls, time=model.recipe.time)


def encoded(model: Model, picture: np.ndarray) -> Tensor:
    """uint8 (c, h, w) in the model's space, (1, c, h, w)."""
    assert picture.dtype == np.uint8, picture.dtype
    return model.codec.encode(torch.from_numpy(picture.copy())[None].to(model.device))


def at_places(model: Model, numbers: Tensor, *, least: bool) -> Tensor:
    """A number a pixel (h, w), each in [0, 1], at the places of model space.

    A latent stands for a block of pixels and has the least or the greatest of their numbers: one is
    known where the whole block is, and drawn anew where any pixel of it is to change.
    """
    if not isinstance(model.codec, Latent):
        return numbers
    factor = model.codec.factor
    blocks = fold(padded((1 - numbers if least else numbers)[None, None], factor), factor)[0]
    return 1 - blocks.amax(0) if least else blocks.amax(0)


def noisy(shot: Shot, method: str = "") -> Shot:
    """Ancestral where the shot does not say: what is added to the mean is then corrected below.

    Where the model itself is told what is known, nothing is added and the shot stays.
    """
    return shot if method == TOLD or shot.eta is not None else replace(shot, eta=1.0)


def method_of(model: Model, method: str) -> str:
    """How the model inpaints: as is said, else told where it was taught so, else the first."""
    return method or (TOLD if _remainders(model) else METHODS[0])


def inpainting(
    model: Model, picture: np.ndarray, known: np.ndarray, shot: Shot, method: str = ""
) -> Draft:
    """picture uint8 (c, *s), known (*s): 1 stays, 0 is drawn, between them both are mixed.

    method: posterior, particles (8 a sample, weighed), repaint (five passes over every ten steps),
    keep, or told, the default of a model trained --on remainder. Raises BadInput.
    """
    method = method_of(model, method)
    if method not in (*METHODS, TOLD):
        mend = did_you_mean(method, [*METHODS, TOLD])
        raise BadInput(f"no method '{method[:40]}'", where="inpaint", mend=mend)
    beside = _remaining(model, picture, known) if method == TOLD else {}
    mask, y = torch.from_numpy(np.asarray(known, np.float32)), encoded(model, picture)
    own = at_places(model, mask, least=True)
    seen = Mask((own == 1).to(own))
    plan, chosen = plan_of(model, noisy(shot, method))
    if method == "repaint":
        plan = jumps(plan, length=10, times=5)
    if method == "particles":
        plan = descend(chosen.spacing(model.schedule, chosen.steps))

    def wrap(denoise: Denoiser) -> Denoiser:
        if method in ("posterior", "particles"):
            denoise = Posterior(denoise, seen, seen.forward(y), rounds=ROUNDS)
        return denoise if method == "particles" else Keep(denoise, own, y)

    return Draft(
        wrap, plan, chosen, picture.shape, particles=8 if method == "particles" else 0,
        beside=beside, paste=(mask.numpy(), picture),
        told={"verb": "inpaint", "method": method, "known": round(float(mask.mean()), 6)},
    )  # fmt: skip


def _remainders(model: Model) -> list[str]:
    return [name for name, part in model.recipe.conditions.items() if isinstance(part, Remainder)]


def _remaining(model: Model, picture: np.ndarray, known: np.ndarray) -> dict[str, Tensor]:
    """What a model that was taught with a part hidden is told of a picture."""
    names = _remainders(model)
    if not names:
        mend = "train one: unmist train DATA --on remainder, or use another method"
        raise BadInput("the model was never told what is hidden", where="inpaint", mend=mend)
    mask = (np.asarray(known) == 1)[None].astype(np.float32)
    value = np.concatenate((picture.astype(np.float32) / 127.5 - 1, mask))[None]
    return dict.fromkeys(names, torch.from_numpy(value).to(model.device))


def inpaint(
    model: Model,
    picture: np.ndarray,
    known: np.ndarray,
    shot: Shot | None = None,
    method: str = "",
) -> Samples:
    """`inpainting`, drawn: pixels where known is 1 are those of the picture, to the bit."""
    method = method_of(model, method)
    shot = noisy(shot or Shot(), method)
    return developed(model, shot, inpainting(model, picture, known, shot, method))


def variation(model: Model, picture: np.ndarray, strength: float | np.ndarray, shot: Shot) -> Draft:
    """picture uint8 (c, h, w); strength in (0, 1], or (h, w) in [0, 1], in the schedule's time.

    A map is held as differential diffusion does (2306.00950): each pixel stays until its own level.
    """
    chosen, y = settled(model, shot), encoded(model, picture)
    parts: Tensor | float = (
        at_places(model, torch.from_numpy(strength), least=False)
        if isinstance(strength, np.ndarray)
        else strength
    )
    spacing = shot.spacing or model.recipe.sampling.spacing  # a fitted plan knows no strength
    vary = Variation(model.schedule, spacing, chosen.steps, parts)
    plan = ancestral(vary.plan(), chosen.eta, larger=chosen.larger)
    paste = None
    if isinstance(strength, np.ndarray):
        paste = ((strength == 0).astype(np.float32), picture)
    return Draft(
        lambda denoise: vary.denoiser(denoise, y), plan, chosen, picture.shape,
        begin=lambda like, plan, noise: begun(y, plan, noise), paste=paste,
        told={"verb": "vary", "strength": vary.most, "map": isinstance(strength, np.ndarray)},
    )  # fmt: skip


def vary(
    model: Model, picture: np.ndarray, strength: float | np.ndarray, shot: Shot | None = None
) -> Samples:
    """`variation`, drawn."""
    shot = shot or Shot()
    return developed(model, shot, variation(model, picture, strength, shot))


def measured(
    model: Model, y: Tensor, seen: Measurement, shape: tuple[int, ...], shot: Shot
) -> Draft:
    """What was seen as y by `seen`, both in the model's space."""
    plan, chosen = plan_of(model, noisy(shot))
    return Draft(lambda denoise: Posterior(denoise, seen, y, rounds=ROUNDS), plan, chosen, shape)


def levels_of(model: Model, levels: float) -> float:
    """Grey levels of noise (0 … 255) in the model's space; a third of one at least: rounding."""
    if not 0 <= levels <= 255:
        raise BadInput(f"noise of {levels} levels", where="edit", mend="0 … 255")
    spread = model.pixels("what is restored by its linear measurement").spread
    return max(levels, 0.3) * len(spread) / sum(spread)


def upscaling(
    model: Model, picture: np.ndarray, factor: int, shot: Shot, noise: float = 0.0
) -> Draft:
    """picture uint8 (c, h, w), each pixel the mean of factor*factor that are drawn."""
    seen = Pool(factor, levels_of(model, noise))
    shape = (picture.shape[0], *(side * factor for side in picture.shape[1:]))
    draft = measured(model, encoded(model, picture), seen, shape, shot)
    return replace(draft, told={"verb": "upscale", "factor": factor, "noise": noise})


def upscale(
    model: Model, picture: np.ndarray, factor: int, shot: Shot | None = None, noise: float = 0.0
) -> Samples:
    """`upscaling`, drawn: pictures whose means are the given one's pixels, to `noise` levels."""
    shot = noisy(shot or Shot())
    return developed(model, shot, upscaling(model, picture, factor, shot, noise))


def restoring(
    model: Model, picture: np.ndarray, shot: Shot, *, blur: float = 0.0, grey: bool = False,
    noise: float = 0.0,
) -> Draft:  # fmt: skip
    """picture uint8 (c, h, w) that was blurred (standard deviation, pixels), or lost its colour.

    noise: its standard deviation in levels of 255, added last. Raises BadInput.
    """
    if (blur and grey) or not (blur or grey or noise):
        mend = "say one of blur and grey, or noise"
        raise BadInput("what happened to the picture?", where="restore", mend=mend)
    y, sigma = encoded(model, picture), levels_of(model, noise)
    seen: Measurement = Blur(blur, sigma) if blur else Seen(sigma)
    if grey:
        seen, y = greyed(model, picture, sigma)
    draft = measured(model, y, seen, picture.shape, shot)
    return replace(draft, told={"verb": "restore", "blur": blur, "grey": grey, "noise": noise})


def greyed(model: Model, picture: np.ndarray, sigma: float) -> tuple[Measurement, Tensor]:
    """The luma (Rec. 601) of a picture, and how it is seen in the model's space."""
    if model.shape[0] != 3:
        raise BadInput("the model is grey itself", where="restore", mend="use a model of colour")
    codec = model.pixels("colour that is brought back")
    spread, mean = codec.spread, codec.mean
    weights = [part * wide for part, wide in zip(LUMA, spread, strict=True)]
    whole = sum(spread) / 3
    luma = sum(part * band for part, band in zip(LUMA, picture.astype(np.float32), strict=True))
    centre = sum(part * middle for part, middle in zip(LUMA, mean, strict=True))
    y = torch.from_numpy(np.asarray((luma - centre) / whole))[None, None].to(model.device)
    return Grey(tuple(weight / whole for weight in weights), sigma), y


def restore(
    model: Model, picture: np.ndarray, shot: Shot | None = None, *, blur: float = 0.0,
    grey: bool = False, noise: float = 0.0,
) -> Samples:  # fmt: skip
    """`restoring`, drawn."""
    shot = noisy(shot or Shot())
    draft = restoring(model, picture, shot, blur=blur, grey=grey, noise=noise)
    return developed(model, shot, draft)
