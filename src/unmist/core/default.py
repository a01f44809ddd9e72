"""The one choice of solver and spacing that sampling makes where nobody says otherwise."""

from unmist.core.solver import Solver
from unmist.core.spacing import Karras, Spacing
from unmist.core.unipc import UniPC

__all__ = ["default_solver", "default_spacing"]


def default_solver() -> Solver:
    """UniPC of order 2: one call a step, corrected for nothing by the next step's mean."""
    return UniPC(2)


def default_spacing() -> Spacing:
    """Karras levels between the schedule's ends, sigma/alpha held inside [0.002, 80]."""
    return Karras()
