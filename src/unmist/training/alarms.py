"""What goes wrong slowly: memorisation, copies, lost classes, samples all alike (slide 12).

Pure functions of numbers. Each is a test whose chance of a false alarm is known, and asks besides
for an effect that matters; a line says what was seen and what to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, lgamma, log

import torch
from torch import Tensor

from unmist.base.faults import BadInput

__all__ = ["Alarm", "Judged", "Turn", "Watch", "copying", "lost", "more_than", "twins"]

LEVEL = 2e-4
"""The chance of a false alarm at one test: over a run's tests together below 1 %."""

ROWS = 7  # the held-out rows as a whole, and in six bins by noise level


@dataclass(frozen=True)
class Alarm:
    """kind: memorising, copies, lost, twins; line: what was seen and what to do."""

    kind: str
    line: str


@dataclass(frozen=True, eq=False)
class Judged:
    """The held-out loss at one time: losses (n,) and log(sigma/alpha) (n,), the same noise always.

    training: the average loss of the training batches just before.
    """

    seen: int
    losses: Tensor
    places: Tensor
    training: float


@dataclass(frozen=True)
class Turn:
    """The lowest held-out loss of a group of rows, and for how many measures it has risen since.

    training: the training loss at the lowest.
    """

    seen: int = 0
    mean: float = 0.0
    error: float = 0.0
    training: float = 0.0
    rising: int = 0


@dataclass(frozen=True, eq=False)
class Watch:
    """Tells when the held-out loss turns upward while the training loss falls: memorisation.

    Rows and noise are the same at each measure, so the test is that of paired differences to the
    lowest measure so far: `sure` standard errors (a chance of 1e-4 each), and a rise of `least`, at
    `measures` measures in a row; overall and by noise level. turns and low (7, n) are the memory.
    """

    sure: float = 3.7
    least: float = 0.02
    measures: int = 3
    turns: tuple[Turn, ...] = ()
    low: Tensor | None = None

    def __call__(self, now: Judged) -> "Watch":
        """The memory after one more measure; one with a loss that is not finite is passed over."""
        if not bool(now.losses.isfinite().all()):
            return self
        members = _groups(now.places)
        if self.low is None:
            turns = tuple(_lowest(now, rows) for rows in members)
            return replace(self, turns=turns, low=now.losses.expand(ROWS, -1).clone())
        if self.low.shape[1] != len(now.losses):
            raise BadInput(f"{len(now.losses)} rows, before {self.low.shape[1]}", where="watch")
        turns, low = [], self.low.clone()
        for number, (rows, turn) in enumerate(zip(members, self.turns, strict=True)):
            if now.losses[rows].mean() <= turn.mean:
                turns.append(_lowest(now, rows))
                low[number] = now.losses
            else:
                turns.append(self._after(turn, now, now.losses[rows] - low[number][rows]))
        return replace(self, turns=tuple(turns), low=low)

    def _after(self, turn: Turn, now: Judged, rise: Tensor) -> Turn:
        error = float(rise.std()) / len(rise) ** 0.5
        sure = float(rise.mean()) > self.sure * error
        matters = float(rise.mean()) > self.least * turn.mean
        risen = sure and matters and now.training < turn.training
        return replace(turn, rising=turn.rising + 1 if risen else 0)

    def alarm(self, now: Judged, best: str = "") -> Alarm | None:
        """The line where one of the groups has risen for long enough; best: what is kept, in words.

        Call it with the measure that was given last.
        """
        risen = [n for n, turn in enumerate(self.turns) if turn.rising >= self.measures]
        if not risen:
            return None
        number = risen[0]
        turn, rows = self.turns[number], _groups(now.places)[number]
        mean, error = _mean(now.losses[rows])
        there = "" if number == 0 else f" {_where(now.places[rows])}"
        rose = f"{turn.mean:.4g} ± {turn.error:.2g} → {mean:.4g} ± {error:.2g}"
        training = f"{turn.training:.4g} → {now.training:.4g}"
        return Alarm(
            "memorising",
            f"the held-out loss{there} has risen for {turn.rising} measures since {turn.seen} "
            f"samples ({rose}) while the training loss fell ({training}): the model begins to "
            f"memorise; {best or 'stop here'}, or give more data, augment.share=0.15 or dropout",
        )

    def plain(self) -> list[dict[str, float | int]]:
        """The turns as plain numbers."""
        return [dict(vars(turn)) for turn in self.turns]

    def restored(self, turns: object, low: Tensor | None) -> "Watch":
        """With the memory that `plain` and `low` gave."""
        assert isinstance(turns, list)
        return replace(self, turns=tuple(Turn(**turn) for turn in turns), low=low)


def _groups(places: Tensor) -> list[Tensor]:
    """Masks (n,) bool: all rows, then sixths by noise level."""
    edges = torch.quantile(places.double(), torch.linspace(0, 1, ROWS, dtype=torch.float64))
    bins = torch.bucketize(places.double(), edges[1:-1])
    return [torch.ones_like(bins, dtype=torch.bool), *(bins == i for i in range(ROWS - 1))]


def _lowest(now: Judged, rows: Tensor) -> Turn:
    mean, error = _mean(now.losses[rows])
    return Turn(now.seen, mean, error, now.training)


def _mean(losses: Tensor) -> tuple[float, float]:
    return float(losses.mean()), float(losses.std()) / len(losses) ** 0.5


def _where(places: Tensor) -> str:
    return f"at log(sigma/alpha) {float(places.min()):.2g} … {float(places.max()):.2g}"


def more_than(hits: int, total: int, others: int, of: int) -> float:
    """The chance of `hits` or more of `total` where both draws have the same law: Fisher's test.

    others, of: the hits of the other draw and its number.
    """
    all_hits = hits + others
    tail = range(hits, min(total, all_hits) + 1)
    whole = _choose(total + of, all_hits)
    return min(1.0, sum(exp(_choose(total, k) + _choose(of, all_hits - k) - whole) for k in tail))


def _choose(n: int, k: int) -> float:
    """The logarithm of the binomial coefficient, -inf where there is none."""
    if not 0 <= k <= n:
        return float("-inf")
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def fewer_than(hits: int, total: int, share: float) -> float:
    """The chance of `hits` or fewer of `total` where each comes with probability `share`."""
    if not 0 < share < 1:
        return 1.0
    return min(
        1.0,
        sum(
            exp(_choose(total, k) + k * log(share) + (total - k) * log(1 - share))
            for k in range(hits + 1)
        ),
    )


def copying(hits: int, total: int, others: int, of: int) -> Alarm | None:
    """Samples nearer to a training picture than chance allows: `hits`, held-out ones `others`.

    Speaks where the share is twice the held-out rate too.
    """
    if hits * of < 2 * others * total or more_than(hits, total, others, of) > LEVEL:
        return None
    return Alarm(
        "copies",
        f"{hits} of {total} samples are near copies of training pictures ({hits / total:.1%}; "
        f"held-out pictures: {others / of:.1%}): look at them before publishing; stop earlier, or "
        "give more data, augment.share=0.15 or dropout",
    )


def twins(hits: int, total: int, others: int, of: int) -> Alarm | None:
    """Samples that have a near duplicate among the samples: `hits`, real pictures `others`."""
    if hits * of < 2 * others * total or more_than(hits, total, others, of) > LEVEL:
        return None
    return Alarm(
        "twins",
        f"{hits} of {total} samples are nearly alike ({hits / total:.1%}; as many real pictures: "
        f"{others / of:.1%}): the model draws the same few; sample with less guidance, or look "
        "whether the data hold duplicates",
    )


def lost(
    counts: Mapping[str, int], shares: Mapping[str, float], before: Sequence[str] = ()
) -> tuple[Alarm | None, tuple[str, ...]]:
    """Classes with less than half the samples that their share of the data asks, beyond chance.

    counts: samples by class; shares: of the data, named by the same judge; before: the classes that
    were short at the measure before: only those short twice in a row raise the alarm, as a young
    model has not met all of them yet. Also gives those short now.
    """
    total = sum(counts.values())
    short = tuple(
        name
        for name, share in shares.items()
        if 2 * counts.get(name, 0) < share * total
        and fewer_than(counts.get(name, 0), total, share) < LEVEL / len(shares)
    )
    lasting = [name for name in short if name in before]
    if not lasting:
        return None, short
    worst = max(lasting, key=lambda name: shares[name] - counts.get(name, 0) / total)
    found, wanted = counts.get(worst, 0), shares[worst] * total
    more = f", and {len(lasting) - 1} more" if len(lasting) > 1 else ""
    return Alarm(
        "lost",
        f"class '{worst}' has {found} of {total} samples, its share of the data asks "
        f"{wanted:.0f}{more}: the model loses it; train longer or on a larger network, or give "
        "more pictures of it",
    ), short
