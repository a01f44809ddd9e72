"""The mark in the noise that samples start from, as `sample --mark` puts it in."""

from hashlib import sha256
from pathlib import Path

from unmist.base.faults import BadInput
from unmist.base.noise import Noise
from unmist.core.plan import Plan, Renoise
from unmist.core.solver import Solver
from unmist.guard.keys import keys_home, purpose_key, secret_of
from unmist.guard.noise_mark import MarkedNoise, marked_noise

__all__ = ["lost", "mark_key", "marked", "own_mark"]

PURPOSE = "noise mark"
FEW = 12  # steps: with fewer the mark is often lost


def marked(noise: Noise, plan: Plan, solver: Solver) -> MarkedNoise:
    """The noise with one's own mark in its start. Raises BadInput for a plan that adds noise."""
    if solver.stochastic or any(isinstance(move, Renoise) for move in plan.moves):
        mend = "leave eta, churn and langevin out, or the mark"
        raise BadInput("noise added on the way hides the mark", where="--mark", mend=mend)
    return marked_noise(noise, mark_key(None, make=True))


def lost(steps: int) -> str:
    """What of the mark is not found again where so few steps draw, in words; "" for nothing.

    The way back follows the model's fine solution, from which few steps end far off: of the shipped
    digits 95 % are found after 20 steps, 65 % after 8, none after 4 or from a student.
    """
    if steps >= FEW:
        return ""
    return f"after {steps} steps the noise mark is seldom found again; draw with {FEW} or more"


def own_mark() -> str:
    """By which settings say whose mark it is: a digest of the key, which tells nothing of it."""
    return sha256(b"unmist mark " + mark_key(None, make=True)).hexdigest()[:16]


def mark_key(home: Path | None, *, make: bool) -> bytes:
    """The key of a folder's secret for noise marks; empty where there is none and none is made."""
    secret = secret_of(keys_home(home), make=make)
    return b"" if secret is None else purpose_key(secret, PURPOSE)
