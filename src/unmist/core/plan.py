"""Plans: lists of moves, `Step` by the solver and `Renoise` by the exact kernel.

DDPM and DDIM, Euler-ancestral, churn, restart, RePaint, Langevin correction, image-to-image and
inversion are edits of a plan; no sampler knows them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from unmist.base.faults import BadInput
from unmist.core.level import DATA, Level
from unmist.core.schedule import Process, Schedule, Shifted, as_float64
from unmist.core.variance import reverse

__all__ = [
    "Part",
    "Plan",
    "Renoise",
    "Step",
    "ancestral",
    "ascend",
    "churn",
    "descend",
    "jumps",
    "langevin",
    "restart",
]


class Step(NamedTuple):
    """To a level by the solver, down or up (up = inversion, likelihood)."""

    to: Level


class Renoise(NamedTuple):
    """Up to a level by the exact Gaussian kernel; `gain` scales the noise's standard deviation."""

    to: Level
    gain: float = 1.0


class Plan(NamedTuple):
    """Where x starts, and the moves."""

    start: Level
    moves: tuple[Step | Renoise, ...]

    def legs(self) -> Iterator[tuple[Level, Step | Renoise]]:
        """Each move with the level it leaves from."""
        here = self.start
        for move in self.moves:
            yield here, move
            here = move.to


def descend(levels: Level, end: Level = DATA) -> Plan:
    """Steps through `levels` (n,), noisiest first, and on to `end`: n steps."""
    count = len(levels.alpha)
    stops = [levels[i] for i in range(1, count)] + [end]
    return Plan(levels[0], tuple(Step(level) for level in stops))


def ascend(levels: Level, start: Level = DATA) -> Plan:
    """Inversion: from `start` up through the same `levels` (n,): n steps, none of them noisy.

    Where the way back is to repeat it, `start` is a level of almost no noise and `descend` ends
    there: the last step down to DATA itself forgets where it came from.
    """
    count = len(levels.alpha)
    return Plan(start, tuple(Step(levels[i]) for i in reversed(range(count))))


def at_ratio(like: Level, ratio: Tensor) -> Level:
    """The level of that sigma/alpha that shares alpha with `like` (alpha > 0)."""
    return Level(like.alpha, like.alpha * ratio)


def ancestral(plan: Plan, eta: float = 1.0, *, larger: bool = False) -> Plan:
    """Each step down from r to r' becomes Step to r_mid, Renoise to r' (2010.02502, eq. 16).

    r_mid = r'*sqrt(1 - eta^2*(1 - r'^2/r^2)); eta = 0 is DDIM, eta = 1 DDPM with its smaller
    variance (beta tilde), on unnormalised processes Euler-ancestral. `larger` gives DDPM's other
    variance (beta, eta = 1 only) by a gain of sigma/sigma' on variance-preserving levels: use it
    with 250 steps or more, at 10 its last noisy step is 36 times too noisy.
    """
    if not 0 <= eta <= 1:
        raise BadInput(f"eta {eta}", where="plan.ancestral", mend="choose 0 (DDIM) to 1 (DDPM)")
    if larger and eta != 1:
        raise BadInput("the larger variance belongs to eta = 1", where="plan.ancestral")
    moves: list[Step | Renoise] = []
    for here, move in plan.legs():
        if isinstance(move, Renoise) or move.to.is_data or _rises(here, move.to) or eta == 0:
            moves.append(move)
            continue
        there = move.to
        share = there.ratio / here.ratio  # 0 from NOISE: the plan then passes through DATA
        middle = there.ratio * ((1 - eta) * (1 + eta) + (eta * share) ** 2).sqrt()
        gain = float(reverse(here, there).most) if larger else 1.0
        moves += [Step(at_ratio(there, middle)), Renoise(there, gain)]
    return Plan(plan.start, tuple(moves))


def _rises(here: Level, there: Level) -> bool:
    return bool((there.ratio >= here.ratio).any())


def churn(
    plan: Plan, amount: float, *, low: float = 0.0, high: float = math.inf, gain: float = 1.0
) -> Plan:
    """EDM's churn (2206.00364, alg. 2): before a step, up by a factor 1 + min(amount/n, sqrt(2)-1).

    Only from ratios in [low, high]; gain is S_noise. Each level is entered with n = the number of
    steps in the plan.
    """
    steps = sum(isinstance(move, Step) for move in plan.moves)
    gamma = min(amount / max(steps, 1), math.sqrt(2) - 1)
    moves: list[Step | Renoise] = []
    for here, move in plan.legs():
        inside = not here.is_noise and low <= float(here.ratio.max()) <= high
        if isinstance(move, Step) and inside and gamma > 0 and not here.is_data:
            moves.append(Renoise(at_ratio(here, here.ratio * (1 + gamma)), gain))
        moves.append(move)
    return Plan(plan.start, tuple(moves))


def jumps(plan: Plan, *, length: int = 10, times: int = 10) -> Plan:
    """RePaint (2201.09865, alg. 1): after each `length` steps back up over them, `times` passes."""
    if length < 1 or times < 1:
        raise BadInput(f"length {length}, times {times}", where="plan.jumps", mend="1 or more")
    legs, moves = list(plan.legs()), []
    for first in range(0, len(legs), length):
        stretch = legs[first : first + length]
        walked = [move for _, move in stretch]
        moves += walked
        if first + length < len(legs):  # never back up from the end
            moves += (times - 1) * [Renoise(stretch[0][0]), *walked]
    return Plan(plan.start, tuple(moves))


def restart(plan: Plan, *, low: float, high: float, times: int = 1) -> Plan:
    """Restart (2306.14878): at the first level with ratio <= low back up to <= high, walk again."""
    levels = [plan.start, *(move.to for move in plan.moves)]
    start = next((i for i, level in enumerate(levels) if float(level.ratio) <= high), None)
    end = next((i for i, level in enumerate(levels) if float(level.ratio) <= low), None)
    if start is None or end is None or end <= start or levels[end].is_data:
        raise BadInput(
            f"no levels between {low} and {high}",
            where="plan.restart",
            mend="low < high, both inside the plan",
        )
    loop = (Renoise(levels[start]), *plan.moves[start:end])
    return Plan(plan.start, plan.moves[:end] + times * loop + plan.moves[end:])


def langevin(plan: Plan, *, times: int = 1, share: float = 0.1) -> Plan:
    """After each step `times` corrections that leave p_t as it is (2011.13456, alg. 4 and 5).

    One correction is a Step from r to r*(1 - share) and a Renoise back: a Langevin step of size
    share*sigma^2 to first order, and exactly stationary where the step is exact.
    """
    if not 0 < share < 1:
        raise BadInput(f"share {share}", where="plan.langevin", mend="between 0 and 1")
    moves: list[Step | Renoise] = []
    for _, move in plan.legs():
        moves.append(move)
        if isinstance(move, Step) and not move.to.is_data and not move.to.is_noise:
            down = at_ratio(move.to, move.to.ratio * (1 - share))
            moves += times * [Step(down), Renoise(move.to)]
    return Plan(plan.start, tuple(moves))


@dataclass(frozen=True)
class Part:
    """The lower part of a schedule, up to time `strength`: image-to-image's plan.

    A spacing of it still has as many steps as it was asked for.
    """

    base: Schedule
    strength: float

    def __post_init__(self) -> None:
        if not 0 < self.strength <= 1:
            raise BadInput(f"strength {self.strength}", mend="above 0 (nothing) up to 1 (anew)")

    @property
    def process(self) -> Process:
        """That of the base."""
        return self.base.process

    @property
    def top(self) -> Level:
        """Where the picture is noised to."""
        return self.base.top if self.strength == 1 else self.base(self.strength)

    @property
    def bottom(self) -> Level:
        """That of the base."""
        return self.base.bottom

    def __call__(self, t: Tensor | float) -> Level:
        """t (*b) in (0, 1)."""
        return self.base(as_float64(t) * self.strength)

    def inverse(self, log_snr: Tensor | float) -> Tensor:
        """The base's over the strength."""
        return (self.base.inverse(log_snr) / self.strength).clamp(0, 1)

    def shifted(self, factor: float) -> Schedule:
        """sigma/alpha times factor."""
        return Shifted(self, factor)
