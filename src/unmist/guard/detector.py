"""What a detector is: a name, a version, and for each picture a score in [0, 1] with its reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple, Protocol

import numpy as np

__all__ = ["Called", "Detector", "Finding", "Seen", "pixel_digest"]


@dataclass(frozen=True, eq=False)
class Seen:
    """What a detector is shown: pixels uint8 (1 or 3, h, w), and what the picture says of itself.

    settings are claims: they are empty where the picture carries none.
    """

    pixels: np.ndarray
    settings: Mapping[str, object] = field(default_factory=dict)


class Finding(NamedTuple):
    """score: 0 harmless … 1 certain; reason: in a few words, for the one who reads the refusal."""

    score: float
    reason: str = ""


class Detector(Protocol):
    """Anything with these three; a detector may fail in any way, the gate counts on it.

    version names all that the scores depend on: code, weights, data.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def version(self) -> str: ...  # noqa: D102

    def __call__(self, pictures: Sequence[Seen]) -> Sequence[Finding]:
        """One finding a picture, in their order."""
        ...


@dataclass(frozen=True)
class Called:
    """Any function of one picture's pixels, uint8 (1 or 3, h, w), to a score as a detector."""

    name: str
    version: str
    call: Callable[[np.ndarray], float]

    def __call__(self, pictures: Sequence[Seen]) -> list[Finding]:
        """The function's score of each picture."""
        return [Finding(self.call(picture.pixels)) for picture in pictures]


def pixel_digest(pixels: np.ndarray) -> str:
    """SHA-256 over shape and values of uint8 (c, h, w): the same however the file is packed."""
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    shape = ",".join(map(str, pixels.shape)).encode()
    return sha256(shape + b"\0" + np.ascontiguousarray(pixels).tobytes()).hexdigest()
