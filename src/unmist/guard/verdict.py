"""The gate: what may be published is a value that only a complete, sound set of scores can make.

The usual gate asks what forbids a picture, `if risk > limit: refuse`, and so publishes where the
detector was broken: NaN is greater than nothing, and a detector that did not run says nothing. This
one asks what allows it. `Passed` cannot be made, by `decided` or by hand, unless each detector of
the policy answered once, in its version, about this very picture, in time, with a finite number in
[0, 1] below its limit. All else is `Refused`, with every reason.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unmist.base.faults import BadInput

__all__ = ["Answer", "Limit", "Passed", "Refused", "decided", "objections"]

LONGEST = 3600.0
"""Seconds that a policy may give a detector for one picture."""


@dataclass(frozen=True)
class Limit:
    """What a policy demands of one detector.

    above: a score from here on is refused, in (0, 1]; seconds: for one picture, in (0, 3600].
    """

    detector: str
    version: str
    above: float
    seconds: float

    def __post_init__(self) -> None:
        if not self.detector or not self.version:
            raise BadInput("a limit names a detector and its version", where="policy")
        if not _is_number(self.above) or not 0.0 < self.above <= 1.0:
            mend = "a number above 0, at most 1"
            raise BadInput(f"above = {self.above!r}"[:60], where=self.detector, mend=mend)
        if not _is_number(self.seconds) or not 0.0 < self.seconds <= LONGEST:
            mend = f"a number above 0, at most {LONGEST:g}"
            raise BadInput(f"seconds = {self.seconds!r}"[:60], where=self.detector, mend=mend)


@dataclass(frozen=True)
class Answer:
    """What one detector said of one picture; nothing of it is believed before `objections`.

    picture: SHA-256 of its pixels; score: 0 harmless … 1 certain; reason: in words, or the fault.
    """

    detector: str
    version: str
    picture: str
    score: float
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Passed:
    """A picture that may be published. Raises BadInput where anything speaks against it."""

    picture: str
    limits: tuple[Limit, ...]
    answers: tuple[Answer, ...]

    def __post_init__(self) -> None:
        for reason in objections(self.picture, self.limits, self.answers):
            raise BadInput(reason, where="gate", mend="it is not published")


@dataclass(frozen=True)
class Refused:
    """A picture that stays; reasons: all of them, at least one."""

    picture: str
    answers: tuple[Answer, ...]
    reasons: tuple[str, ...]


def decided(picture: str, limits: Sequence[Limit], answers: Sequence[Answer]) -> Passed | Refused:
    """The verdict on the picture with this SHA-256 of pixels."""
    reasons = tuple(objections(picture, limits, answers))
    if reasons:
        return Refused(picture, tuple(answers), reasons)
    return Passed(picture, tuple(limits), tuple(answers))


def objections(picture: str, limits: Sequence[Limit], answers: Sequence[Answer]) -> Iterator[str]:
    """All that speaks against publishing; nothing where all is well."""
    if not picture:
        yield "it is not known which picture was judged"
    if not limits:
        yield "the policy asks no detector"
    names = [limit.detector for limit in limits]
    if len(set(names)) != len(names):
        yield "the policy names a detector twice"
    for answer in answers:
        if answer.detector not in names:
            yield f"{answer.detector}: an answer that the policy did not ask for"
    for limit in limits:
        given = [answer for answer in answers if answer.detector == limit.detector]
        match given:
            case [answer]:
                yield from _against(picture, limit, answer)
            case _:
                yield f"{limit.detector}: {len(given)} answers instead of one"


def _against(picture: str, limit: Limit, answer: Answer) -> Iterator[str]:
    """What one answer says against the picture, or what speaks against the answer."""
    name, told = limit.detector, f" ({answer.reason})" if answer.reason else ""
    if answer.version != limit.version:
        yield f"{name}: version {answer.version} answered, the policy wants {limit.version}"
    if answer.picture != picture:
        yield f"{name}: the answer is about another picture"
    if not _is_number(answer.seconds) or not 0.0 <= answer.seconds <= limit.seconds:
        yield f"{name}: not in time, {limit.seconds:g} s are allowed"
    if not _is_number(answer.score) or not 0.0 <= answer.score <= 1.0:
        yield f"{name}: no score between 0 and 1{told}"
    elif not answer.score < limit.above:
        yield f"{name}: {answer.score:.3g}, allowed below {limit.above:g}{told}"


def _is_number(value: object) -> bool:
    """A float itself: no bool, no text, no array that compares element by element."""
    return type(value) is float
