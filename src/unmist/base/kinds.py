"""Families of named parts: from Python one passes the object, recipes and flags use its name."""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Generic, TypeVar, cast

from unmist.base.faults import BadInput

__all__ = ["Kinds", "did_you_mean"]


def did_you_mean(word: str, known: list[str]) -> str:
    """`did you mean 'cosine'?`, or the whole list where nothing is near."""
    near = get_close_matches(word, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"


T = TypeVar("T")
Part = TypeVar("Part")


class Kinds(Generic[T]):
    """A table from names to classes: `@schedules("cosine")` above a frozen dataclass."""

    def __init__(self, family: str) -> None:
        self.family = family
        self._table: dict[str, type[T]] = {}

    def __call__(self, name: str) -> Callable[[type[Part]], type[Part]]:
        """Register the class below under `name`."""

        table = cast("dict[str, object]", self._table)

        def put(part: type[Part]) -> type[Part]:
            assert name not in table, f"two {self.family}s called {name}"
            table[name] = part
            return part

        return put

    def __getitem__(self, name: str) -> type[T]:
        """The class called `name`; BadInput with the nearest name where there is none."""
        if name not in self._table:
            raise BadInput(
                f"no {self.family} called '{name}'", mend=did_you_mean(name, self.names())
            )
        return self._table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def names(self) -> list[str]:
        """All names, in order of registration."""
        return list(self._table)

    def name_of(self, part: object) -> str:
        """The name under which the class of `part` is registered."""
        for name, kind in self._table.items():
            if type(part) is kind:
                return name
        raise BadInput(f"{type(part).__name__} is not a registered {self.family}")
