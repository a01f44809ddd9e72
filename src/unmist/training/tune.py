"""A plan and a solver's gains fitted to one model, by its own fine solutions from the same noise.

The error of a short walk, endpoint less fine endpoint, is a function of few numbers: where the
levels lie and what old means count. Its Jacobian is found by differences, each walked only from the
step it changes on, and the numbers follow by damped least squares (Levenberg 1944). S4S
(2502.17423) and LD3 (2405.15506) seek the same by gradients through the network.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from unmist.base.noise import Noise
from unmist.core.adams import Adams
from unmist.core.condition import Cond
from unmist.core.default import default_spacing
from unmist.core.denoiser import Denoiser
from unmist.core.fitted import Fitted, Listed
from unmist.core.level import DATA, Level
from unmist.core.plan import Plan, descend
from unmist.core.schedule import Schedule
from unmist.core.solver import Seen, Solver
from unmist.core.spacing import Logistic
from unmist.core.walk import final, started, walk

__all__ = ["Candidate", "Paths", "candidates", "compared", "errors", "fine_paths", "walked"]

STARTS = (80.0, 40.0, 20.0, 10.0, 5.0)  # of sigma/alpha, tried for the first level
GAP = 0.05  # least distance of two levels in log(sigma/alpha)
FARTHEST = 0.7  # a level's greatest move in one round
LEAN = 16  # seeds that derivatives are taken on; whether a step is taken is asked on all
NUDGE = 0.02  # the difference by which derivatives are found
DAMPING = (1e-3, 3e-2, 1.0)
BASE = Adams(3, scale=1.3)


@dataclass(frozen=True, eq=False)
class Paths:
    """Seeds and where the model itself, walking finely, takes them: ends (b, c, *s)."""

    noise: Noise
    ends: Tensor
    cond: Cond | None = None

    def first(self, count: int) -> "Paths":
        """Of the first `count` seeds."""
        index = torch.arange(min(count, len(self.ends)), device=self.ends.device)
        cond = self.cond.rows(index) if self.cond is not None else None
        return Paths(self.noise.select(self.noise.ids[:count]), self.ends[:count], cond)


class Candidate(NamedTuple):
    """Levels and solver of a plan down to DATA."""

    spacing: Listed
    solver: Fitted

    @property
    def steps(self) -> int:
        """Its number of calls."""
        return len(self.spacing.ratios)


def fine_paths(
    denoise: Denoiser,
    schedule: Schedule,
    noise: Noise,
    like: Tensor,
    cond: Cond | None = None,
    *,
    steps: int = 64,
) -> Paths:
    """The model's own solutions; like: zeros (b, c, *s). Costs b*steps rows of the network."""
    plan = descend(default_spacing()(schedule, steps))
    return Paths(noise, walked(denoise, plan, BASE, Paths(noise, like, cond)), cond)


def walked(denoise: Denoiser, plan: Plan, solver: Solver, paths: Paths) -> Tensor:
    """Where a plan ends from the same seeds, (b, c, *s)."""
    start = started(torch.zeros_like(paths.ends), plan, paths.noise)
    return final(walk(denoise, start, plan, solver, paths.noise, paths.cond)).x


def errors(found: Tensor, ends: Tensor) -> Tensor:
    """(b,) float64: the root mean square of each row's difference."""
    return (found - ends).double().flatten(1).pow(2).mean(1).sqrt()


def compared(ours: Tensor, plain: Tensor) -> tuple[float, float]:
    """Mean difference of two walks' errors from the same seeds (b,), and its standard error."""
    gap = ours - plain
    return float(gap.mean()), float(gap.std() / len(gap) ** 0.5)


def candidates(
    denoise: Denoiser, schedule: Schedule, steps: int, paths: Paths, seeded: tuple[Listed, ...] = ()
) -> Iterator[Candidate]:
    """Levels alone fitted, then levels and gains: what to choose from on other seeds.

    seeded: further levels to begin from, as those of a neighbouring budget.
    """
    problem = _Problem(denoise, schedule, paths)
    guess, now = _begun(problem, steps, seeded)
    for gains, rounds in ((False, 3), (True, 3)):
        for _ in range(rounds):
            better = _round(problem, guess, now, gains=gains)
            if better is None:
                break
            gained, (guess, now) = 1 - better[1].loss / now.loss, better
            if gained < 0.01:
                break
        yield guess.candidate()


@dataclass(frozen=True, eq=False)
class _Guess:
    """logs (n,) falling; predict and correct (n, 2), float64."""

    logs: Tensor
    predict: Tensor
    correct: Tensor

    @staticmethod
    def plain(logs: Tensor) -> "_Guess":
        zeros = torch.zeros(len(logs), 2, dtype=torch.float64)
        return _Guess(logs, zeros, zeros.clone())

    def candidate(self) -> Candidate:
        ratios = tuple(self.logs.exp().tolist())
        tables = [
            tuple((float(a), float(b)) for a, b in table) for table in (self.predict, self.correct)
        ]
        return Candidate(Listed(ratios), Fitted(BASE, ratios, tables[0], tables[1]))

    def numbers(self, *, gains: bool) -> list["_Number"]:
        """What can move, with the step from which on the walk changes."""
        count = len(self.logs)
        found = [_Number("logs", (i,), max(i - 1, 0)) for i in range(count)]
        if gains:
            found += [
                _Number(table, (i, j), i)
                for table in ("predict", "correct")
                for i in range(1, count)
                for j in range(min(i, 2))
            ]
        return found

    def moved(self, number: "_Number", by: float) -> "_Guess":
        table = getattr(self, number.table).clone()
        table[number.place] += by
        return replace(self, **{number.table: table})


class _Number(NamedTuple):
    """One of a guess's numbers; the walk is the same before step `first`."""

    table: str
    place: tuple[int, ...]
    first: int


class _Place(NamedTuple):
    """Before a step: x, what the solver remembers; the mean there, once asked."""

    x: Tensor
    past: tuple[Seen, ...]
    mean: Tensor | None = None

    def first(self, count: int) -> "_Place":
        past = tuple(Seen(old.level, old.x[:count], old.mean[:count]) for old in self.past)
        return _Place(self.x[:count], past, None if self.mean is None else self.mean[:count])


class _Walked(NamedTuple):
    """A walk's places, its end, and the mean over rows of their errors."""

    places: tuple[_Place, ...]
    end: Tensor
    loss: float

    def first(self, count: int) -> "_Walked":
        return _Walked(tuple(p.first(count) for p in self.places), self.end[:count], self.loss)


@dataclass(frozen=True, eq=False)
class _Problem:
    """The model, and where its walks should end."""

    denoise: Denoiser
    schedule: Schedule
    paths: Paths

    def __call__(self, guess: _Guess, known: _Walked | None = None, first: int = 0) -> _Walked:
        """Walk a guess; the places of a `known` walk hold up to and with that before `first`."""
        spacing, solver = guess.candidate()
        levels = spacing(self.schedule, len(guess.logs))
        stops = [levels[i] for i in range(len(guess.logs))] + [DATA]
        if known is None:
            plan = descend(levels)
            places = [
                _Place(started(torch.zeros_like(self.paths.ends), plan, self.paths.noise), ())
            ]
        else:
            places = list(known.places[: first + 1])
        for step in range(first, len(guess.logs)):
            mean, after = self._step(solver, places[-1], stops[step], stops[step + 1])
            places[-1] = places[-1]._replace(mean=mean)
            places.append(after)
        end = places.pop().x
        return _Walked(tuple(places), end, float(errors(end, self.paths.ends).mean()))

    def _step(
        self, solver: Solver, place: _Place, here: Level, there: Level
    ) -> tuple[Tensor, _Place]:
        """The mean, asked for unless it is known, and the next place."""
        run = solver(place.x, here, there, place.past, torch.zeros_like)
        ask, mean = next(run), place.mean
        if mean is None:
            with torch.no_grad():
                mean = self.denoise(ask.x, ask.here, self.paths.cond, there=ask.there)
        try:
            run.send(mean)
        except StopIteration as done:
            x, seen = done.value
            return mean, _Place(x, (*place.past, seen)[-solver.memory :])
        raise AssertionError("a solver of one call asked twice")


def _begun(problem: _Problem, steps: int, seeded: tuple[Listed, ...]) -> tuple[_Guess, _Walked]:
    """The best of the default levels with lower and lower starts, and of what is given."""
    top, base = float(problem.schedule.top.ratio), default_spacing()
    assert isinstance(base, Logistic)
    lists = [replace(base, high=high)(problem.schedule, steps) for high in STARTS if high < top]
    lists += [spacing(problem.schedule, steps) for spacing in seeded]
    if top < float("inf"):
        lists.append(base(problem.schedule, steps))
    tried = [_Guess.plain(levels.log_ratio) for levels in lists]
    return min(((guess, problem(guess)) for guess in tried), key=lambda pair: pair[1].loss)


def _round(
    problem: _Problem, guess: _Guess, now: _Walked, *, gains: bool
) -> tuple[_Guess, _Walked] | None:
    """One step of damped least squares; None where no damping makes the error less."""
    numbers = guess.numbers(gains=gains)
    square, pull = _normal(replace(problem, paths=problem.paths.first(LEAN)), guess, now, numbers)
    best: tuple[_Guess, _Walked] | None = None
    for damping in DAMPING:
        held = square + damping * torch.diag(square.diagonal() + 1e-9 * square.diagonal().max())
        tried = _stepped(problem, guess, numbers, -torch.linalg.solve(held, pull))
        found = problem(tried)
        if found.loss < (best[1] if best else now).loss:
            best = tried, found
    return best


def _normal(
    few: _Problem, guess: _Guess, now: _Walked, numbers: list[_Number]
) -> tuple[Tensor, Tensor]:
    """J'J and J'e of the weighted errors of a few seeds, J by differences."""
    now, ends = now.first(len(few.paths.ends)), few.paths.ends
    weight = _weights(errors(now.end, ends))[:, None]
    columns = []
    for number in numbers:
        start = number.table == "logs" and number.place == (0,)
        by = -NUDGE if start else NUDGE
        other = few(guess.moved(number, by), None if start else now, number.first)
        columns.append(((other.end - now.end).double().flatten(1) * weight / by).flatten())
    slope = torch.stack(columns, 1)
    miss = (now.end - ends).double().flatten(1) * weight
    return slope.T @ slope, slope.T @ miss.flatten()


def _weights(error: Tensor) -> Tensor:
    """(b,): rows that ended elsewhere count by their distance, not by its square."""
    return (1 / error.clamp(min=float(error.median()) / 2 + 1e-12)).sqrt()


def _stepped(problem: _Problem, guess: _Guess, numbers: list[_Number], by: Tensor) -> _Guess:
    """The guess with its numbers moved; levels stay in order and inside the schedule's ends."""
    for number, amount in zip(numbers, by.tolist(), strict=True):
        most = FARTHEST if number.table == "logs" else 1.0
        guess = guess.moved(number, max(-most, min(most, amount)))
    bottom, top = (float(end.log_ratio) for end in (problem.schedule.bottom, problem.schedule.top))
    logs, above = [], top + GAP
    for value in guess.logs.tolist():
        above = min(value, above - GAP)
        logs.append(above)
    for i in reversed(range(len(logs))):
        logs[i] = max(logs[i], bottom + GAP * (len(logs) - 1 - i))
    return replace(guess, logs=torch.tensor(logs, dtype=torch.float64))
