"""Moments of a stream in groups: what an error needs that cannot be had from the whole."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.metrics.frechet import Moments

__all__ = ["Groups"]

ROWS = 64
"""So many rows a group are gathered before they are counted: fewer, larger products."""


@dataclass(frozen=True, eq=False)
class Groups:
    """The moments of rows i, i + count, i + 2 count … apart for each i below `count`.

    Memory is count * d * d numbers of 8 bytes whatever the number of rows (0.7 GB for 20 groups of
    2,048 features); a group without rows has count 0.
    """

    parts: tuple[Moments, ...]

    @classmethod
    def over(cls, parts: Iterable[Tensor], first: int = 0, count: int = 20) -> "Groups":
        """All rows of a stream of (n, d) parts, whose first row is number `first` of all."""
        if count < 2:
            raise BadInput(f"{count} groups tell no error", mend="use 20")
        groups: Groups | None = None
        for rows in _gathered(parts, ROWS * count):
            empty = Moments.none(rows.shape[1])
            shares = [rows[(g - first) % count :: count] for g in range(count)]
            found = cls(tuple(Moments.of(x) if len(x) else empty for x in shares))
            groups = groups.merged(found) if groups else found
            first += len(rows)
        if groups is None:
            raise BadInput("no features came", where="groups", mend="give at least one picture")
        return groups

    @classmethod
    def restored(cls, tensors: dict[str, Tensor]) -> "Groups":
        """The groups that gave `tensors`; BadInput otherwise."""
        try:
            columns = (tensors["counts"].tolist(), tensors["means"], tensors["scatters"])
            return cls(tuple(Moments(*row) for row in zip(*columns, strict=True)))
        except (KeyError, ValueError) as error:
            raise BadInput("these are no groups of moments", mend="measure them anew") from error

    def tensors(self) -> dict[str, Tensor]:
        """Everything, as named tensors for a safetensors file; `restored` reads them."""
        return {
            "counts": torch.tensor([part.count for part in self.parts]),
            "means": torch.stack([part.mean for part in self.parts]),
            "scatters": torch.stack([part.scatter for part in self.parts]),
        }

    def merged(self, other: "Groups") -> "Groups":
        """The groups of both sets of rows together, which were numbered in one count."""
        if (len(self.parts), self.width) != (len(other.parts), other.width):
            raise BadInput(
                f"{len(self.parts)} groups of {self.width} features and {len(other.parts)} of "
                f"{other.width} do not merge",
                mend="use the same features and groups",
            )
        pairs = zip(self.parts, other.parts, strict=True)
        return Groups(tuple(one.merged(two) for one, two in pairs))

    @property
    def width(self) -> int:
        """Numbers a row."""
        return len(self.parts[0].mean)

    @property
    def total(self) -> Moments:
        """The moments of all rows."""
        return reduce(Moments.merged, self.parts)

    def without(self) -> Iterator[Moments]:
        """The moments of all rows but those of one group, for each group in turn."""
        total = self.total
        return (total.without(part) for part in self.parts)


def _gathered(parts: Iterable[Tensor], rows: int) -> Iterator[Tensor]:
    """The same rows in parts of at least `rows`, the last one excepted."""
    waiting: list[Tensor] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= rows:
            yield torch.cat(waiting)
            waiting = []
    if sum(map(len, waiting)):
        yield torch.cat(waiting)
