"""A policy: which detectors must speak before a picture is published, and what they may say.

Read from TOML as strictly as a recipe: wrong keys and types are refused. Each rule is a part of the
family `rules`; one that is left out by `without` stays named, so that what was published can say
what was not checked.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

from unmist.base.faults import BadInput
from unmist.base.kinds import Kinds, did_you_mean
from unmist.guard.verdict import Limit

__all__ = ["MARKS", "Copied", "Network", "Nudity", "Own", "Policy", "Rule", "Words", "rules"]

MARKS = ("credentials", "watermark")
"""What a published picture carries beyond its settings."""


class Rule(Protocol):
    """One detector by its settings, and what it may say."""

    @property
    def limit(self) -> Limit:
        """The detector's name and version, and the limits. Raises BadInput."""
        ...


rules: Kinds[Rule] = Kinds("detector")


@rules("nudity")
@dataclass(frozen=True, kw_only=True)
class Nudity:
    """Yahoo's Open-NSFW: the share of its certainty that a picture is not safe for work.

    Its authors call below 0.2 safe and above 0.8 certain; what lies between depends on the use.
    """

    above: float = 0.2
    seconds: float = 20.0
    version: ClassVar[str] = "opennsfw-864bb37b"

    @property
    def limit(self) -> Limit:
        """Version: the digest of its weights."""
        return Limit("nudity", self.version, self.above, self.seconds)


@rules("copied")
@dataclass(frozen=True, kw_only=True)
class Copied:
    """The share of held-out pictures that lie less near to a training picture than this one does.

    At 0.99 one in a hundred pictures that are no copies is refused as well. An exact copy gets 1.
    """

    above: float = 0.99
    seconds: float = 20.0
    version: ClassVar[str] = "nearest-1"

    @property
    def limit(self) -> Limit:
        """Version: of the measure."""
        return Limit("copied", self.version, self.above, self.seconds)


@rules("words")
@dataclass(frozen=True, kw_only=True)
class Words:
    """1 where the words that steered a picture hold one that is not wanted, else 0.

    words: whole words, whatever their case, accents and width; patterns: regular expressions.
    """

    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    above: float = 0.5
    seconds: float = 2.0
    version: ClassVar[str] = "words-1"

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except (re.error, RecursionError, OverflowError) as error:
                what = f"'{pattern[:40]}' is no regular expression ({error})"
                raise BadInput(what, where="words.patterns") from None

    @property
    def limit(self) -> Limit:
        """Version: of the way words are compared."""
        return Limit("words", self.version, self.above, self.seconds)


@rules("onnx")
@dataclass(frozen=True, kw_only=True)
class Network:
    """Any network in an ONNX file, run only if it is the very file of this SHA-256.

    size: (height, width) it is shown; layout: of its input, "bchw" or "bhwc"; mean and spread, for
    each channel or one for all: it is shown (levels 0 … 255 - mean) / spread; column: which of its
    numbers a picture is the score, in [0, 1].
    """

    name: str
    file: str
    sha256: str
    above: float
    seconds: float = 20.0
    size: tuple[int, int] = (224, 224)
    layout: str = "bchw"
    mean: tuple[float, ...] = (0.0,)
    spread: tuple[float, ...] = (255.0,)
    column: int = 0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise BadInput(
                "sha256 is 64 hexadecimal digits", where=self.name, mend="sha256sum FILE"
            )
        if self.layout not in ("bchw", "bhwc"):
            raise BadInput(f"layout '{self.layout[:20]}'", where=self.name, mend="bchw or bhwc")
        if not all(0 < side <= 4096 for side in self.size) or self.column < 0:
            raise BadInput("size is 1 to 4096, column 0 or more", where=self.name)
        if {len(self.mean), len(self.spread)} - {1, 3} or 0.0 in self.spread:
            raise BadInput("mean and spread are one number or three, no spread 0", where=self.name)

    @property
    def limit(self) -> Limit:
        """Version: the file's digest."""
        return Limit(self.name, f"sha256-{self.sha256}", self.above, self.seconds)


@rules("own")
@dataclass(frozen=True, kw_only=True)
class Own:
    """A detector that is given from Python: `publish(…, own=(detector,))`."""

    name: str
    version: str
    above: float
    seconds: float = 20.0

    @property
    def limit(self) -> Limit:
        """Of this name and version."""
        return Limit(self.name, self.version, self.above, self.seconds)


@dataclass(frozen=True)
class Policy:
    """detectors: all of them must speak; marks: what is put into a picture, of `MARKS`.

    settings: whether a picture must say how it was made; without it nothing is known of its words.
    left_out: detectors and marks that somebody chose to do without: told with each picture.
    """

    name: str = "default"
    detectors: tuple[Rule, ...] = (Nudity(), Copied(), Words())
    marks: tuple[str, ...] = MARKS
    settings: bool = True
    left_out: tuple[str, ...] = field(default=(), metadata={"plain": False})

    def __post_init__(self) -> None:
        for mark in self.marks:
            if mark not in MARKS:
                mend = did_you_mean(mark, list(MARKS))
                raise BadInput(f"no mark called '{mark[:40]}'", where="policy.marks", mend=mend)
        names = [limit.detector for limit in self.limits]
        for name in names:
            if names.count(name) > 1 or name in MARKS:
                raise BadInput(f"two are called {name}", where="policy.detectors")
        if not names:
            raise BadInput(
                "it asks no detector, so nothing can pass",
                where="policy.detectors",
                mend="name at least one",
            )

    @property
    def limits(self) -> tuple[Limit, ...]:
        """What the gate demands."""
        return tuple(rule.limit for rule in self.detectors)

    def without(self, names: Sequence[str]) -> "Policy":
        """The same less some detectors or marks, which stay named. Raises BadInput."""
        known = [*(limit.detector for limit in self.limits), *self.marks]
        for name in names:
            if name not in known:
                mend = did_you_mean(name, known)
                raise BadInput(f"the policy has no '{name[:40]}'", where="--without", mend=mend)
        return replace(
            self,
            detectors=tuple(rule for rule in self.detectors if rule.limit.detector not in names),
            marks=tuple(mark for mark in self.marks if mark not in names),
            left_out=tuple(sorted({*self.left_out, *names})),
        )
