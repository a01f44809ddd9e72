"""A cascade: what one model draws is told to the next, which draws it larger (2106.15282)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import Noise
from unmist.conditions.small import Small, augmented
from unmist.core.condition import Cond
from unmist.run.model import Model
from unmist.workflows.guided import followed
from unmist.workflows.sample import Samples, Shot, sample, settled
from unmist.workflows.wishes import asking, named, with_value

__all__ = ["cascade", "telling"]


def telling(
    model: Model, small: np.ndarray, shot: Shot, augment: float
) -> Callable[[Sequence[int]], Cond]:
    """The conditions of a shot's samples beside low resolutions uint8 (count, c, *s).

    augment: the standard deviation of the noise they are given with, up to what the model was
    taught, in units of 127.5 levels. Raises BadInput.
    """
    name = named(model, Small, "--then")
    part = model.recipe.conditions[name]
    assert isinstance(part, Small)
    if not 0 <= augment <= part.augment:
        what = f"the model was taught noise of 0 … {part.augment:g}"
        raise BadInput(what, where="--augment", mend=f"0 … {part.augment:g}")
    _check(model, part, small.shape[1:])
    means = torch.from_numpy(small.astype(np.float32) / 127.5 - 1)
    means = torch.cat((means, torch.zeros_like(means[:, :1])), 1)
    wish = {} if shot.wish is None else shot.wish
    others = asking(followed(model, settled(model, shot).guide), wish)

    def told(ids: Sequence[int]) -> Cond:
        rows = torch.tensor([number - shot.first for number in ids])
        eps = Noise(shot.seed, "cascade", tuple(ids))(means[rows, :-1], 0)
        value: Tensor = augmented(means[rows], torch.full((len(ids),), augment), eps)
        return with_value(others(ids), name, value.to(model.device))

    return told


def _check(model: Model, part: Small, shape: tuple[int, ...]) -> None:
    wanted = (part.channels, *(-(-n // part.factor) for n in model.shape[1:]))
    if shape != wanted:
        found, asked = ("x".join(map(str, one)) for one in (shape, wanted))
        what = f"samples of {found}, and the next model enlarges {asked}"
        raise BadInput(what, where=model.folder, mend="teach the first at that size: data.size=…")


def cascade(first: Model, then: Model, shot: Shot | None = None, augment: float = 0.1) -> Samples:
    """Draw with `first` and enlarge with `then`; sample i of a seed is always the same.

    shot: of both; what the second does not follow of the wish it is not told. Settings are those of
    the second, with the first's under `cascade`.
    """
    shot = shot or Shot()
    low = sample(first, shot)
    own = {k: v for k, v in (shot.wish or {}).items() if k in then.recipe.conditions}
    second = replace(shot, wish=own)
    large = sample(then, second, telling(then, low.pixels, second, augment))
    told = {"augment": augment, **low.settings}
    return replace(large, settings={**large.settings, "cascade": told})
