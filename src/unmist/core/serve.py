"""Continuous batching: requests come and go while others run, a call of the network a round.

Short requests among long ones do not wait for them: each round asks, of all that are under way,
those with the fewest calls left. None waits forever: whoever was passed over `patience` rounds in a
row goes first.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from unmist.core.condition import Cond
from unmist.core.denoiser import Denoiser
from unmist.core.solver import Answer, Ask
from unmist.core.variance import Spread
from unmist.core.walk import State, Trace, together, until_ask

__all__ = ["Desk", "Request"]


@dataclass(frozen=True, eq=False)
class Request:
    """One trace to be driven: calls is how many it will ask for, about; cond of all its rows."""

    trace: Trace
    calls: int
    cond: Cond | None = None


@dataclass(eq=False)
class _Running:
    """A request under way, with its open question."""

    number: int
    request: Request
    ask: Ask
    left: int
    waited: int = 0

    @property
    def rows(self) -> int:
        return len(self.ask.x)


@dataclass
class Desk:
    """A network's one desk: requests are admitted at any time, `round` asks once for many of them.

    rows: the most of one call, by samples; a request of more goes alone. Samples must agree in
    shape behind the batch axis, and conditions in their names. Rows agree with lone runs as any
    batch does (about 1e-6), to the bit with `unmist.core.denoiser.Chunked`.
    """

    denoise: Denoiser
    rows: int = 32
    patience: int = 8
    spread: Spread | None = None
    running: dict[int, _Running] = field(default_factory=dict)
    ready: deque[tuple[int, State]] = field(default_factory=deque)
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to ask and nothing to tell."""
        return not self.running and not self.ready

    def admit(self, request: Request) -> int:
        """Take a request; its number, counted from 0. It runs from the next round on."""
        number = next(self.numbers)
        self._go_on(number, request, None, request.calls)
        return number

    def round(self) -> Iterator[tuple[int, State]]:
        """One call of the network; what came of it, as (number, state), and of earlier rounds."""
        yield from self._told()
        chosen = self._chosen()
        if not chosen:
            return
        for one in self.running.values():
            one.waited += 1
        answers = self._answered(chosen)
        for one, answer in zip(chosen, answers, strict=True):
            del self.running[one.number]
            self._go_on(one.number, one.request, answer, one.left - 1)
        yield from self._told()

    def serve(
        self, arriving: Callable[[], Sequence[Request] | None]
    ) -> Iterator[tuple[int, State]]:
        """Rounds until `arriving`, asked before each, says None (no more) and all have ended."""
        more = True
        while more or not self.idle:
            came = arriving() if more else None
            more = came is not None
            for request in came or ():
                self.admit(request)
            yield from self.round()

    def _told(self) -> Iterator[tuple[int, State]]:
        while self.ready:
            yield self.ready.popleft()

    def _go_on(self, number: int, request: Request, answer: Answer | None, left: int) -> None:
        """To the trace's next question, its states kept on the way; out of the list at its end."""
        for event in until_ask(request.trace, answer):
            if isinstance(event, State):
                self.ready.append((number, event))
            else:
                self.running[number] = _Running(number, request, event, max(left, 1))

    def _chosen(self) -> list[_Running]:
        """Whom to ask now, in the order of their numbers: as many as fit, at least one."""
        first = sorted(self.running.values(), key=self._turn)
        chosen, rows = [], 0
        for one in first:
            if not chosen or rows + one.rows <= self.rows:
                chosen.append(one)
                rows += one.rows
        return sorted(chosen, key=lambda one: one.number)

    def _turn(self, one: _Running) -> tuple[int, int, int]:
        """Those kept waiting first, the longest before others; then the fewest calls left."""
        if one.waited >= self.patience:
            return (0, -one.waited, one.number)
        return (1, one.left, one.number)

    def _answered(self, chosen: list[_Running]) -> list[Answer]:
        asks, conds = [one.ask for one in chosen], [one.request.cond for one in chosen]
        return together(self.denoise, asks, conds, self.spread)
