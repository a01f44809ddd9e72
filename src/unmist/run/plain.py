"""Settings as plain tables and back: a tree of frozen dataclasses <-> dict <-> TOML.

A field annotated with a family's Protocol (`network: Network`) is a table with the key `kind`; a
field annotated with a dataclass is a table; everything else is a leaf, converted strictly by
msgspec. `families` says which Protocol belongs to which family: `{Network: networks}`. A field
with `metadata={"plain": False}` is derived and never written. No class is named by a path.
"""

import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from unmist.base.faults import BadInput
from unmist.base.kinds import Kinds, did_you_mean

__all__ = ["Families", "from_plain", "migrated", "set_path", "to_plain"]

Families = Mapping[type, Kinds]
Table = dict[str, object]
T = TypeVar("T")

KIND = "kind"
DEEPEST = 16
_PLACE = re.compile(r" - at `\$(.*)`$")


def to_plain(part: object, families: Families) -> Table:
    """The settings of a part as a table, every default written out.

    None is left out, as TOML has no word for it: such a field must default to None. Raises
    BadInput where a part belongs to no family.
    """
    table: Table = {}
    for field, hint in _settings(type(part)).values():
        value = getattr(part, field.name)
        if value is None:
            assert field.default is None, f"{type(part).__name__}.{field.name}: None has no table"
        else:
            table[field.name] = _plain(value, hint, families)
    return table


def _plain(value: object, hint: object, families: Families) -> object:
    hint = _without_none(hint)
    if (family := _family(hint, families)) is not None:
        return {KIND: family.name_of(value), **to_plain(value, families)}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return to_plain(value, families)
    if (inner := _items(hint, families)) is not None:
        if isinstance(value, Mapping):
            return {key: _plain(item, inner, families) for key, item in value.items()}
        assert isinstance(value, tuple)
        return [_plain(item, inner, families) for item in value]
    return _listed(msgspec.to_builtins(value))


def _listed(value: object) -> object:
    """Tuples as lists: what TOML and JSON give back."""
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


def from_plain(data: object, kind: type[T], families: Families, path: str = "recipe") -> T:
    """The part of class (or family Protocol) `kind` that a table describes.

    Keys that are left out take their defaults; a table without `kind` alters the default part.
    Raises BadInput with the path of the first key or value that is wrong.
    """
    return typing.cast(T, _part(data, kind, families, path, None, 0))


def _part(
    data: object, hint: object, families: Families, path: str, default: object, depth: int
) -> object:
    """One value of the tree, by its annotation."""
    hint = _without_none(hint)
    if depth > DEEPEST:
        raise BadInput(f"nested more than {DEEPEST} deep", where=path)
    if (family := _family(hint, families)) is not None:
        return _member(data, family, families, path, default, depth)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _fields(_table(data, path), hint, families, path, default, depth)
    if (inner := _items(hint, families)) is None:
        return _leaf(data, hint, path)
    if typing.get_origin(hint) is dict:
        return {
            key: _part(item, inner, families, f"{path}.{key}", None, depth + 1)
            for key, item in _table(data, path).items()
        }
    if not isinstance(data, list):
        raise BadInput(f"Expected a list of tables, got {_word(data)}", where=path)
    return tuple(
        _part(item, inner, families, f"{path}[{index}]", None, depth + 1)
        for index, item in enumerate(data)
    )


def _member(
    data: object, family: Kinds, families: Families, path: str, default: object, depth: int
) -> object:
    """A part of a family: the class by `kind`, or the default's where no kind is given."""
    table = dict(_table(data, path))
    if KIND in table:
        name = _leaf(table.pop(KIND), str, f"{path}.{KIND}")
        try:
            chosen, default = family[typing.cast(str, name)], None
        except BadInput as fault:
            raise BadInput(fault.what, where=f"{path}.{KIND}", mend=fault.mend) from None
    elif default is not None:
        chosen = type(default)
    else:
        mend = f"known: {', '.join(family.names())}"
        raise BadInput(f"which {family.family} is not said", where=f"{path}.{KIND}", mend=mend)
    return _fields(table, chosen, families, path, default, depth)


def _fields(
    table: Table, kind: type, families: Families, path: str, default: object, depth: int
) -> object:
    """A dataclass from a table; what is left out comes from `default`, or the class."""
    settings = _settings(kind)
    for key in table.keys() - settings.keys():
        mend = did_you_mean(key, list(settings)) if settings else "it has no settings"
        raise BadInput(f"not a setting of {kind.__name__}", where=f"{path}.{key}", mend=mend)
    values: Table = {}
    for name, (field, hint) in settings.items():
        before = _default(field) if default is None else getattr(default, name)
        if name in table:
            place = f"{path}.{name}"
            values[name] = _part(table[name], hint, families, place, before, depth + 1)
        elif default is not None:
            values[name] = before
        elif not _has_default(field):
            raise BadInput("is not given", where=f"{path}.{name}", mend=f"{kind.__name__} needs it")
    try:
        return kind(**values)
    except BadInput as fault:
        raise BadInput(fault.what, where=path, mend=fault.mend) from fault


def _leaf(data: object, hint: object, path: str) -> object:
    if not _is_finite(data):
        raise BadInput("NaN and infinity are not settings", where=path)
    try:
        return msgspec.convert(data, hint, strict=True)
    except msgspec.ValidationError as error:
        text = f"{error}"
        place = _PLACE.search(text)
        what = _PLACE.sub("", text).replace("`", "")
        raise BadInput(what, where=path + (place[1] if place else "")) from None


def _is_finite(data: object) -> bool:
    if isinstance(data, list):
        return all(map(_is_finite, data))
    return not isinstance(data, float) or math.isfinite(data)


def _table(data: object, path: str) -> Table:
    if not isinstance(data, dict):
        raise BadInput(f"Expected a table, got {_word(data)}", where=path)
    return data


def _word(data: object) -> str:
    return type(data).__name__


def _settings(kind: type) -> dict[str, tuple[dataclasses.Field, object]]:
    """The fields that are settings, by name, each with its resolved annotation."""
    hints = typing.get_type_hints(kind)
    shown = [f for f in dataclasses.fields(kind) if f.init and f.metadata.get("plain", True)]
    assert all(f.name != KIND for f in shown), f"{kind.__name__}.{KIND} hides the family's key"
    return {field.name: (field, hints[field.name]) for field in shown}


def _default(field: dataclasses.Field) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _has_default(field: dataclasses.Field) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _without_none(hint: object) -> object:
    """`X | None` as X; any other union stays, for msgspec."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint
    left = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    return left[0] if len(left) == 1 else hint


def _family(hint: object, families: Families) -> Kinds | None:
    return families.get(hint) if isinstance(hint, type) else None


def _items(hint: object, families: Families) -> object | None:
    """X of `tuple[X, ...]` or `dict[str, X]` where X is a part; None for leaves."""
    match typing.get_origin(hint), typing.get_args(hint):
        case (origin, (inner, end)) if origin is tuple and end is Ellipsis:
            pass
        case (origin, (key, inner)) if origin is dict and key is str:
            pass
        case _:
            return None
    part = _family(inner, families) is not None or dataclasses.is_dataclass(inner)
    return inner if part else None


def set_path(table: Table, path: str, value: object) -> Table:
    """A copy of a table with one value set by its dotted path, as `--set network.width=96` asks.

    A part's name alone chooses it (`schedule` = "cosine" is `schedule.kind`), and another kind
    starts from its own defaults. Keys are not checked here: `from_plain` does that.
    """
    key, _, rest = path.partition(".")
    if not key:
        raise BadInput("an empty name", where=f"--set {path}", mend="write a.b.c=value")
    inside = table.get(key, {})
    if rest:
        if not isinstance(inside, dict):
            raise BadInput(f"{key} is a value, not a table", where=f"--set {path}")
        return {**table, key: set_path(inside, rest, value)}
    if key == KIND and table.get(KIND) != value:
        return {KIND: value}
    if isinstance(inside, dict) and KIND in inside and isinstance(value, str):
        return {**table, key: set_path(inside, KIND, value)}
    return {**table, key: value}


def migrated(
    table: Table, newest: int, steps: Mapping[int, Callable[[Table], Table]], path: str = "recipe"
) -> Table:
    """The table in the newest format, without its `format`; `steps[n]` leads from n to n + 1.

    A table without a format number counts as new: it was written by hand. Raises BadInput for a
    format of the future.
    """
    version = _leaf(table.get("format", newest), int, f"{path}.format")
    assert isinstance(version, int)
    if not 1 <= version <= newest:
        mend = "update unmist" if version > newest else "formats count from 1"
        raise BadInput(f"format {version}, known up to {newest}", where=f"{path}.format", mend=mend)
    table = {key: value for key, value in table.items() if key != "format"}
    for number in range(version, newest):
        table = steps[number](table)
    return table
