"""What one witness says of a picture."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Found"]


@dataclass(frozen=True)
class Found:
    """What one witness says. yes: it knows the picture, None: it was not asked.

    changed: since that witness saw it, None where it cannot tell. log10_p: the chance, by powers of
    ten, that it says so of a picture that has nothing to do with it; None where anyone can say it.
    """

    witness: str
    yes: bool | None
    said: str
    changed: bool | None = None
    log10_p: float | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
