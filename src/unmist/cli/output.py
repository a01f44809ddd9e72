"""What a command says: results to stdout, as text or as JSON; everything else to stderr."""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path

__all__ = ["emit", "note", "plain"]


def emit(value: object) -> None:
    """One line of JSON on stdout, at once."""
    print(json.dumps(plain(value), allow_nan=False), flush=True)


def note(line: str) -> None:
    """A line for people, on stderr."""
    if sys.stderr is not None:
        print(line, file=sys.stderr, flush=True)


def plain(value: object) -> object:
    """Records, paths and tuples as JSON knows them; NaN and infinities as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
