"""The partner of a picture, drawn by a model trained on pairs (`train DATA --on image`)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from unmist.base.faults import BadInput
from unmist.conditions.image import Image
from unmist.core.condition import Cond
from unmist.run.model import Model
from unmist.workflows.guided import followed
from unmist.workflows.sample import Samples, Shot, sample, settled
from unmist.workflows.wishes import asking, named, with_value

__all__ = ["translate"]


def translate(model: Model, picture: np.ndarray, shot: Shot | None = None) -> Samples:
    """picture uint8 (c, *s), of the channels the model was told and the samples' size.

    What else the shot wishes is followed too. Raises BadInput where the model follows no picture,
    or one of another shape.
    """
    shot = shot or Shot()
    name = named(model, Image, "translate")
    part = model.recipe.conditions[name]
    assert isinstance(part, Image)
    wanted = (part.channels, *model.shape[1:])
    if picture.dtype != np.uint8 or picture.shape != wanted:
        what = f"the picture is {picture.dtype} {picture.shape}, the model is told uint8 {wanted}"
        raise BadInput(what, where="translate", mend="bring it to that shape")
    others = asking(followed(model, settled(model, shot).guide), shot.wish or {})
    value = torch.from_numpy(np.array(picture))[None].to(model.device)

    def told(ids: Sequence[int]) -> Cond:
        return with_value(others(ids), name, value.expand(len(ids), *value.shape[1:]))

    drawn = sample(model, replace(shot, wish=shot.wish or {}), told)
    return replace(drawn, settings={**drawn.settings, "edit": {"verb": "translate"}})
