"""The one sampling loop: a trace asks, walk answers one, serve answers many in one batch."""

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from unmist.base.noise import Noise
from unmist.core.condition import Cond
from unmist.core.denoiser import Denoiser
from unmist.core.level import Level, renoised
from unmist.core.plan import Plan, Renoise
from unmist.core.solver import Answer, Ask, Seen, Solver
from unmist.core.variance import Spread

__all__ = [
    "State",
    "Trace",
    "final",
    "serve",
    "started",
    "together",
    "trace",
    "until_ask",
    "walk",
]


class State(NamedTuple):
    """After a move: the level, x there, the last mean (None before the first), calls so far."""

    level: Level
    x: Tensor
    mean: Tensor | None
    calls: int


Trace = Generator[Ask | State, Answer | None, None]


def started(like: Tensor, plan: Plan, noise: Callable[[Tensor, int], Tensor]) -> Tensor:
    """x at the plan's start: hypot(alpha, sigma)*eps, the marginal of unit-variance data.

    Equal to sigma*eps to first order, where alpha is small; exact at NOISE.
    """
    at = plan.start.like(like)
    return torch.hypot(at.alpha, at.sigma) * noise(like, 0)


def trace(x: Tensor, plan: Plan, solver: Solver, noise: Noise) -> Trace:
    """Yields an Ask, is sent the mean; yields a State after every move, is sent None."""
    x, here, mean, calls = x.detach(), plan.start, None, 0
    past: tuple[Seen, ...] = ()
    for number, move in enumerate(plan.moves, start=1):
        if isinstance(move, Renoise):
            x, past = renoised(x, here, move.to, noise(x, number), move.gain), ()
        else:
            step = solver(x, here, move.to, past, partial(noise, move=number))
            answer: Answer | None = None
            while True:
                try:
                    ask = step.send(answer)  # type: ignore[arg-type]
                except StopIteration as done:
                    x, seen = done.value
                    break
                answer = yield ask
                calls += 1
            past = (*past, seen)[-solver.memory :] if solver.memory else ()
            mean = seen.mean
        here = move.to
        yield State(here, x, mean, calls)


def walk(  # noqa: PLR0913 - cond and spread are rarely given, and then by name
    denoise: Denoiser,
    x: Tensor,
    plan: Plan,
    solver: Solver,
    noise: Noise,
    cond: Cond | None = None,
    *,
    spread: Spread | None = None,
) -> Iterator[State]:
    """Drive one trace; yields after every move. Gradients are off inside the call only.

    `spread` is the network's own denoiser, asked for the variance where a solver wants it; the same
    object as `denoise` unless that is wrapped, when it costs a call of its own.
    """
    run, answer = trace(x, plan, solver, noise), None
    while True:
        try:
            event = run.send(answer)
        except StopIteration:
            return
        if isinstance(event, State):
            answer = None
            yield event
        else:
            answer = answered(denoise, event, cond, spread)


def answered(denoise: Denoiser, ask: Ask, cond: Cond | None, spread: Spread | None) -> Answer:
    """The mean; with the gain of the step's noise where that is asked for (None: not known)."""
    with torch.no_grad():
        if not ask.spread:
            return denoise(ask.x, ask.here, cond, there=ask.there)
        if spread is None:
            return denoise(ask.x, ask.here, cond, there=ask.there), None
        mean, gain = spread.spread(ask.x, ask.here, cond, there=ask.there)
        if id(spread) != id(denoise):
            mean = denoise(ask.x, ask.here, cond, there=ask.there)
        return mean, gain


def final(states: Iterator[State]) -> State:
    """The last state of a walk."""
    state = None
    for state in states:  # noqa: B007
        pass
    assert state is not None, "a plan without moves"
    return state


def serve(
    denoise: Denoiser,
    traces: Sequence[Trace],
    conds: Sequence[Cond | None] | None = None,
    spread: Spread | None = None,
) -> Iterator[tuple[int, State]]:
    """Drive many traces, of any plans and solvers, with one call of the denoiser a round.

    Samples must agree in shape behind the batch axis. Yields (number of the trace, its state) as
    they come.
    """
    conds = conds or [None] * len(traces)
    answers: dict[int, Answer | None] = dict.fromkeys(range(len(traces)))
    while answers:
        asks: dict[int, Ask] = {}
        for number, answer in answers.items():
            for event in until_ask(traces[number], answer):
                if isinstance(event, State):
                    yield number, event
                else:
                    asks[number] = event
        if not asks:
            return
        given = [conds[number] for number in asks]
        found = together(denoise, list(asks.values()), given, spread)
        answers = dict(zip(asks, found, strict=True))


def until_ask(run: Trace, answer: Answer | None) -> Iterator[Ask | State]:
    """Events of one trace up to and with its next question."""
    while True:
        try:
            event = run.send(answer)
        except StopIteration:
            return
        yield event
        if isinstance(event, Ask):
            return
        answer = None


def together(
    denoise: Denoiser, asks: list[Ask], conds: list[Cond | None], spread: Spread | None
) -> list[Answer]:
    """One call for all questions, split again."""
    sizes = [len(ask.x) for ask in asks]
    cond = Cond.alike(conds, sizes)
    here = stacked([ask.here.rows(n) for ask, n in zip(asks, sizes, strict=True)])
    there = stacked([ask.there.rows(n) for ask, n in zip(asks, sizes, strict=True)])
    x, wide = torch.cat([ask.x for ask in asks]), any(ask.spread for ask in asks)
    answer = answered(denoise, Ask(x, here, there, wide), cond, spread)
    if isinstance(answer, Tensor):
        return list(answer.split(sizes))
    mean, gain = answer
    gains = gain.split(sizes) if gain is not None else [None] * len(sizes)
    return [
        (part, own) if ask.spread else part
        for ask, part, own in zip(asks, mean.split(sizes), gains, strict=True)
    ]


def stacked(levels: list[Level]) -> Level:
    """Levels (n_i,) one after another."""
    return Level(
        torch.cat([level.alpha for level in levels]), torch.cat([level.sigma for level in levels])
    )
