"""The one choice of solver and spacing that sampling makes where nobody says otherwise."""

from unmist.core.adams import Adams
from unmist.core.solver import Solver
from unmist.core.spacing import Logistic, Spacing

__all__ = ["default_solver", "default_spacing"]


def default_solver() -> Solver:
    """Adams of order 3: one call a step, corrected by the next step's mean."""
    return Adams(3, scale=1.0)


def default_spacing() -> Spacing:
    """Levels that crowd around sigma = alpha, from the top down to DATA."""
    return Logistic(center=1.0, width=1.3)
