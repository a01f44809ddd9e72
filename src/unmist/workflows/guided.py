"""A model led to what is wished: its guide, with the helpers that it asks for, made a denoiser."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean
from unmist.codecs.pixels import Pixels
from unmist.conditions.label import Label
from unmist.core.condition import Cond
from unmist.core.denoiser import Chunked, Denoiser
from unmist.core.level import Level
from unmist.core.variance import Spread
from unmist.guidance.guide import Guide, Helpers, led
from unmist.guidance.wish import AUTO, FREE, negated, scaled
from unmist.run.guide import classes_of, posterior_of, scale_of, weaker_of
from unmist.run.model import Model
from unmist.workflows.wishes import Wish, asking, wished

__all__ = ["Guiding", "followed", "guided", "guiding", "unheard", "whole_guide"]

Told = Callable[[Sequence[int]], Cond | None]
LABEL = "label"


class Both(Denoiser, Spread, Protocol):
    """A denoiser that knows its variance."""


class Counted:
    """A denoiser that counts the rows it is asked: what a guided step costs is not one call."""

    def __init__(self, denoise: Both) -> None:
        self.denoise, self.rows = denoise, 0

    def __call__(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level | None = None
    ) -> Tensor:
        """Shape of x."""
        self.rows += len(x)
        return self.denoise(x, here, cond, there=there)

    def spread(
        self, x: Tensor, here: Level, cond: Cond | None = None, *, there: Level
    ) -> tuple[Tensor, Tensor]:
        """Mean and gain."""
        self.rows += len(x)
        return self.denoise.spread(x, here, cond, there=there)


@dataclass(frozen=True, eq=False)
class Guiding:
    """The denoiser of a walk, who is asked for the variance, and the conditions of its rows."""

    denoise: Denoiser
    spread: Spread | None
    guide: Guide
    told: Told
    against: Told | None
    counted: tuple[Counted, ...]
    device: torch.device

    def cond(self, ids: Sequence[int]) -> Cond | None:
        """Of these samples: what is wished, their scales, what they are led away from."""
        cond = self.told(ids)
        if self.against is not None and (other := self.against(ids)) is not None:
            cond = negated(_with(cond, other), other)
        if len(self.guide.scale) > 1:
            own = [self.guide.scale[number % len(self.guide.scale)] for number in ids]
            scale = torch.tensor(own, dtype=torch.float64, device=self.device)
            cond = scaled(cond, scale, AUTO if self.guide.weaker else FREE)
        return cond

    def calls(self, rows: int) -> int:
        """Network evaluations of each of `rows` samples since this was last asked, rounded up."""
        return -(-sum(one.rows for one in self.counted) // rows)

    def start(self) -> None:
        """Count from zero."""
        for one in self.counted:
            one.rows = 0


def _with(cond: Cond | None, other: Cond) -> Cond:
    """The same, with the names of `other` kept in no row where they are not asked for."""
    cond = cond or Cond({})
    missing = {name: value for name, value in other.values.items() if name not in cond.values}
    gone = {name: torch.zeros_like(other.kept(name)) for name in missing}
    return Cond({**cond.values, **missing}, {**cond.keep, **gone})


def whole_guide(model: Model, guide: Guide) -> Guide:
    """The guide with the model's own scale where it says none. Raises BadInput.

    What leads a model that follows nothing, or a condition that it does not follow, is refused.
    """
    known = model.recipe.conditions
    if guide.threshold:
        model.pixels("a threshold")
    for name in [*guide.scales, *guide.negative]:
        if name not in known:
            mend = did_you_mean(name, list(known)) if known else "leave it out"
            raise BadInput(f"this model follows no '{name[:40]}'", where="guide", mend=mend)
    if not known and not guide.weaker and set(guide.scale) - {1.0}:
        mend = "leave out the scale, or use guide.weaker or guide.classifier"
        raise BadInput("this model follows nothing that a scale could act on", where="guide",
                       mend=mend)  # fmt: skip
    if guide.scale or not known or guide.weaker or guide.classifier:
        return guide
    own = scale_of(model.folder)
    if own is None:
        return guide
    if guide.low or guide.high:  # where it acts was said
        return replace(guide, scale=(own.scale,))
    return replace(guide, scale=(own.scale,), low=own.low, high=own.high)


def followed(model: Model, guide: Guide) -> Model:
    """The model as one that follows classes, where its classifier leads it to them."""
    conditions = model.recipe.conditions
    if not guide.classifier or LABEL in conditions:
        return model
    label = Label(classes=classes_of(model.folder))
    return replace(model, recipe=replace(model.recipe, conditions={**conditions, LABEL: label}))


def unheard(model: Model, guide: Guide, wish: Mapping[str, Wish] | None) -> list[str]:
    """What of a guide, as it was said, does nothing beside this wish; a sentence each."""
    asked = wished(followed(model, guide), wish)
    whole, lines = whole_guide(model, guide), []
    scales = {*(whole.scale or (1.0,)), *whole.scales.values()}
    if whole.negative and scales == {1.0}:
        lines.append("at scale 1 nothing is led away from the negative wish: --scale 2, say")
    if not (asked or whole.negative or whole.weaker) and set(guide.scale) - {1.0}:
        lines.append("nothing is wished, so the scale changes nothing")
    for name in guide.scales.keys() - asked.keys() - whole.negative.keys():
        lines.append(f"no {name} is wished, so its scale changes nothing")
    if whole.classifier and LABEL not in asked:
        lines.append("no class is wished, so the classifier leads nowhere")
    return lines


def guided(
    model: Model, guide: Guide, wish: Mapping[str, Wish] | None, *, exact: bool = False
) -> Guiding:
    """`guiding` to a wish. Raises BadInput where the model cannot follow it."""
    return guiding(model, guide, asking(followed(model, guide), wish), exact=exact)


def guiding(model: Model, guide: Guide, told: Told, *, exact: bool = False) -> Guiding:
    """The walk's denoiser under a whole guide; exact: bit-equal in any company."""
    counted: list[Counted] = []

    def whole(denoise: Both) -> Counted:
        counted.append(Counted(Chunked(denoise, spreads=denoise) if exact else denoise))
        return counted[-1]

    base = whole(model.denoiser)
    if guide.idle:
        return Guiding(base, base, guide, told, None, tuple(counted), model.device)
    helpers = Helpers(
        weaker=whole(weaker_of(model, guide.weaker)) if guide.weaker else None,
        posterior=posterior_of(model) if guide.classifier else None,
        follows=LABEL in model.recipe.conditions,
        **_range(model),
    )
    denoise, spread = led(base, guide, helpers, base)
    if exact and guide.classifier:
        denoise = Chunked(denoise)  # the classifier too must see chunks of one size
    against = asking(model, guide.negative) if guide.negative else None
    return Guiding(denoise, spread, guide, told, against, tuple(counted), model.device)


def _range(model: Model) -> dict[str, tuple[float, ...]]:
    """Centre and half width of what 8 bits can hold, in model space, by channel."""
    codec = model.codec
    if not isinstance(codec, Pixels):  # latents have no range that a threshold could hold them in
        return {}
    pairs = list(zip(codec.mean, codec.spread, strict=True))
    return {
        "centre": tuple((127.5 - mean) / spread for mean, spread in pairs),
        "reach": tuple(127.5 / spread for _, spread in pairs),
    }
