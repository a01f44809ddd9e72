"""What a student learns from: its teacher as it samples where nothing is said."""

from collections.abc import Sequence

from unmist.base.faults import BadInput
from unmist.core.condition import Cond
from unmist.core.denoiser import Denoiser
from unmist.run.model import Model
from unmist.run.recipe import Recipe
from unmist.workflows.guided import guiding, whole_guide

__all__ = ["teacher_of"]


def teacher_of(parent: Model | None, recipe: Recipe) -> Denoiser | None:
    """A student's teacher under its own guide, which so is folded in; None for other recipes.

    Raises BadInput where the weights are not those that the recipe names.
    """
    if recipe.student is None:
        return None
    if parent is None or parent.digest != recipe.student.teacher:
        raise BadInput(
            "a student goes on learning from the very weights it began with",
            where="distill",
            mend="give the model it was made from, as it was; or begin anew with --fresh",
        )
    guide = whole_guide(parent, parent.recipe.sampling.guide)
    return guiding(parent, guide, _untold).denoise


def _untold(ids: Sequence[int]) -> Cond | None:
    """Rows come with conditions of their own."""
    raise AssertionError(f"a lesson asked for the wishes of {len(ids)} samples")
