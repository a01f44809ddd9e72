"""The plan of each short budget, fitted to one model and kept with it (slide 12)."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import Noise
from unmist.core.fitted import Listed
from unmist.core.plan import descend
from unmist.nn.memory import keep_freed_memory
from unmist.run.lock import hold
from unmist.run.model import Model, load
from unmist.run.shipped import refuse_shipped
from unmist.run.tuned import Tuned, keep_tuned, tuned_of
from unmist.training.tune import Candidate, Paths, candidates, compared, errors, fine_paths, walked
from unmist.workflows.guided import Guiding, guided, whole_guide

__all__ = ["BUDGETS", "Found", "Tuning", "tune", "tuning"]

BUDGETS = tuple(range(3, 13))
MOST = 64  # steps of a budget worth fitting
HELD = 1 << 20  # held-out seeds are numbered from here


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What to fit.

    budgets: numbers of steps, a call of the network each (two where guidance asks twice); seeds: to
    fit on, and as many to hold out; fine: steps of the model's own fine solution; fresh: fit again
    what was fitted before.
    """

    budgets: tuple[int, ...] = BUDGETS
    seeds: int = 32
    fine: int = 64
    fresh: bool = False

    def __post_init__(self) -> None:
        if not self.budgets or not all(1 <= steps <= MOST for steps in self.budgets):
            raise BadInput(f"budgets {self.budgets}", where="tune", mend=f"1 … {MOST} steps")
        if self.seeds < 8 or self.fine < 2 * max(self.budgets):
            mend = "8 seeds or more; a fine solution twice as long as any budget"
            raise BadInput(f"{self.seeds} seeds, {self.fine} fine steps", where="tune", mend=mend)


@dataclass(frozen=True)
class Found:
    """One budget's result; rows: of the network, seconds: both for this budget alone."""

    tuned: Tuned
    rows: int
    seconds: float
    before: bool = False


def tuning(
    folder: Path | str, asked: Tuning | None = None, *, weights: str = "last", device: str = "cpu"
) -> Iterator[Found]:
    """Fit budget after budget, each kept at once: stopped, the same call goes on.

    Conditional models are fitted with the conditions that samples are drawn with where nothing is
    wished, in turn, under the model's own guide. Raises BadInput as `load` does, and for a student,
    whose plan is its own.
    """
    asked, model = asked or Tuning(), load(folder, device, weights=weights)
    refuse_shipped(model.folder)
    if model.recipe.student is not None:
        mend = "tune the model it was made from"
        raise BadInput("a student's plan is its own", where=model.folder, mend=mend)
    keep_freed_memory()
    with hold(model.folder):
        done = {} if asked.fresh else tuned_of(model.folder, model.digest)
        yield from (Found(done[n], 0, 0.0, before=True) for n in asked.budgets if n in done)
        if left := sorted(set(asked.budgets) - done.keys()):
            yield from _fitting(model, asked, left)


def tune(folder: Path | str, asked: Tuning | None = None) -> tuple[Tuned, ...]:
    """`tuning`, drained: by rising number of steps."""
    found = [one.tuned for one in tuning(folder, asked)]
    return tuple(sorted(found, key=lambda one: one.steps))


def _fitting(model: Model, asked: Tuning, budgets: Sequence[int]) -> Iterator[Found]:
    """The paths once, then every budget; what a neighbour found is tried for the next."""
    guide = whole_guide(model, model.recipe.sampling.guide)
    led = guided(model, guide, None)
    clock = time.perf_counter()
    led.start()
    paths, held = (_paths(model, led, asked, first) for first in (0, HELD))
    seeded: tuple[Listed, ...] = ()
    for steps in budgets:
        tuned, seeded = _fitted(model, led, steps, (paths, held), seeded)
        keep_tuned(model.folder, model.digest, tuned)
        yield Found(tuned, led.calls(1), time.perf_counter() - clock)
        led.start()
        clock = time.perf_counter()


def _paths(model: Model, led: Guiding, asked: Tuning, first: int) -> Paths:
    """Seeds numbered from `first`, with the wishes of as many samples."""
    ids = tuple(range(first, first + asked.seeds))
    like = torch.zeros(asked.seeds, *model.inner, device=model.device)
    noise, cond = Noise(0, "tune", ids), led.cond(range(asked.seeds))
    return fine_paths(led.denoise, model.schedule, noise, like, cond, steps=asked.fine)


def _fitted(
    model: Model,
    led: Guiding,
    steps: int,
    paths: tuple[Paths, Paths],
    seeded: tuple[Listed, ...],
) -> tuple[Tuned, tuple[Listed, ...]]:
    """The better of the candidates on held-out seeds, if it beats the plain plan there."""
    (fit, held), denoise = paths, led.denoise
    chosen = replace(model.recipe.sampling, steps=steps)
    plan = descend(chosen.spacing(model.schedule, steps))
    plain = errors(walked(denoise, plan, chosen.solver, held), held.ends)
    tried: list[tuple[str, Candidate, Tensor]] = []
    found = candidates(denoise, model.schedule, steps, fit, seeded)
    for kind, one in zip(("levels", "levels and gains"), found, strict=True):
        ends = walked(denoise, descend(one.spacing(model.schedule, steps)), one.solver, held)
        tried.append((kind, one, errors(ends, held.ends)))
    kind, best, error = min(tried, key=lambda entry: float(entry[2].mean()))
    gap, doubt = compared(error, plain)
    told = {"steps": steps, "plain": float(plain.mean()), "seeds": len(plain), "guide": led.guide}
    neighbours = (best.spacing,)
    if not gap + 2 * doubt < 0:
        return (
            Tuned(**told, what="plain", error=told["plain"], gap=gap, doubt=doubt),
            neighbours,
        )
    solver = best.solver if kind != "levels" else best.solver.base
    tuned = Tuned(
        **told, what=kind, error=float(error.mean()), gap=gap, doubt=doubt,
        solver=solver, spacing=best.spacing,
    )  # fmt: skip
    return tuned, neighbours
