"""Conditions: named values with a keep mask for each name, and the three sockets of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Cond", "Signals", "Sockets", "Tokens"]


class Tokens(NamedTuple):
    """A sequence a row: values (b, n, k), mask (b, n) bool, False where padded."""

    values: Tensor
    mask: Tensor


class Signals(NamedTuple):
    """What embedders hand to a network: vector (b, k), tokens, map (b, m, *s); None = not there."""

    vector: Tensor | None = None
    tokens: Tokens | None = None
    map: Tensor | None = None


class Sockets(NamedTuple):
    """How wide a network's sockets are; 0 where it has none.

    frames: 1 where each slice of the first axis (a frame) may have a level of its own.
    """

    vector: int = 0
    tokens: int = 0
    map: int = 0
    frames: int = 0


@dataclass(frozen=True)
class Cond:
    """Named raw values, batch first, and for each name which rows keep it.

    keep[name] is (b,) bool; a name without a mask is kept in every row. Training dropout and the
    unconditional half of guidance are this same mask, so no class doubles as "nothing".
    """

    values: Mapping[str, Tensor | Tokens]
    keep: Mapping[str, Tensor] = field(default_factory=dict)

    def kept(self, name: str) -> Tensor:
        """(b,) bool: the rows that keep `name`."""
        if name in self.keep:
            return self.keep[name]
        value = self.values[name]
        first = value.values if isinstance(value, Tokens) else value
        return torch.ones(len(first), dtype=torch.bool, device=first.device)

    def without(self, *names: str) -> "Cond":
        """The same values with `names` (all, if none is named) kept in no row."""
        unknown = set(names) - set(self.values)
        assert not unknown, f"no condition {unknown} here"
        gone = {name: torch.zeros_like(self.kept(name)) for name in names or self.values}
        return Cond(self.values, {**self.keep, **gone})

    def rows(self, index: Tensor) -> "Cond":
        """The same conditions for the rows of `index` (n,) int64."""

        def take(value: Tensor | Tokens) -> Tensor | Tokens:
            if isinstance(value, Tokens):
                return Tokens(value.values[index], value.mask[index])
            return value[index]

        values = {name: take(value) for name, value in self.values.items()}
        return Cond(values, {name: mask[index] for name, mask in self.keep.items()})

    @staticmethod
    def join(parts: "list[Cond]") -> "Cond":
        """One Cond of all rows in order; the parts must hold the same names."""
        names = list(parts[0].values)
        assert all(list(part.values) == names for part in parts), "rows with different conditions"
        values = {name: _cat([part.values[name] for part in parts]) for name in names}
        return Cond(
            values, {name: torch.cat([part.kept(name) for part in parts]) for name in names}
        )

    @staticmethod
    def alike(conds: "Sequence[Cond | None]", sizes: Sequence[int]) -> "Cond | None":
        """One Cond of all rows in order; a name that a part of `sizes` rows lacks is kept in none.

        None where no part has any.
        """
        known = {name: cond for cond in conds if cond is not None for name in cond.values}
        if not known:
            return None
        parts = []
        for cond, size in zip(conds, sizes, strict=True):
            own = cond or Cond({})
            nothing = torch.zeros(size, dtype=torch.int64)
            lent = {name: other.rows(nothing) for name, other in known.items()}
            values = {n: (own if n in own.values else lent[n]).values[n] for n in known}
            keep = {n: own.kept(n) if n in own.values else lent[n].kept(n) & False for n in known}
            parts.append(Cond(values, keep))
        return Cond.join(parts)


def _cat(values: list[Tensor | Tokens]) -> Tensor | Tokens:
    if isinstance(values[0], Tensor):
        return torch.cat([value for value in values if isinstance(value, Tensor)])
    tokens = [value for value in values if isinstance(value, Tokens)]
    longest = max(value.values.shape[1] for value in tokens)
    pads = [longest - value.values.shape[1] for value in tokens]
    pad = torch.nn.functional.pad
    return Tokens(
        torch.cat([pad(t.values, (0, 0, 0, n)) for t, n in zip(tokens, pads, strict=True)]),
        torch.cat([pad(t.mask, (0, n)) for t, n in zip(tokens, pads, strict=True)]),
    )
