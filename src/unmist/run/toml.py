"""TOML, strictly read and plainly written: one key a line, sub-tables after the values."""

import json
import re
import tomllib
from pathlib import Path

from unmist.base import files
from unmist.base.faults import BadInput

__all__ = ["parse_toml", "parse_value", "read_toml", "toml_text"]

MOST = 1 << 20
MOST_DOTS = 40
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_NUMBER = re.compile(r"\d\.\d")


def toml_text(table: dict[str, object]) -> str:
    """A table of strings, numbers, booleans, lists and tables as TOML, in its own order."""
    return "\n".join(_lines(table, "")).lstrip("\n") + "\n"


def _lines(table: dict[str, object], name: str) -> list[str]:
    values = {key: value for key, value in table.items() if not _holds_tables(value)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in values.items()]
    for key, value in table.items():
        if key in values:
            continue
        inside = f"{name}.{_key(key)}" if name else _key(key)
        if isinstance(value, dict):
            lines += ["", f"[{inside}]", *_lines(value, inside)]
        else:
            assert isinstance(value, list)
            for item in value:
                lines += ["", f"[[{inside}]]", *_lines(item, inside)]
    return lines


def _holds_tables(value: object) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
    )


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    assert isinstance(value, dict), f"{type(value).__name__} has no form in TOML"
    return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"


def parse_toml(content: bytes, *, where: object) -> dict[str, object]:
    """The table of a TOML text of at most 1 MiB; BadInput says where it goes wrong."""
    if len(content) > MOST:
        raise BadInput(f"has {len(content)} bytes, more than {MOST}", where=where)
    try:
        return _loads(content.decode())
    except UnicodeDecodeError as error:
        raise BadInput("is not UTF-8 text", where=where, mend="save it as UTF-8") from error
    except ValueError as error:
        raise BadInput(f"is not TOML: {error}"[:160], where=where) from error
    except RecursionError as error:
        raise BadInput("is nested too deeply", where=where) from error


def _loads(text: str) -> dict[str, object]:
    # The reader's time grows with the square of a dotted key: 60 kB of them took it a minute.
    if any(line.count(".") > MOST_DOTS for line in _NUMBER.sub("", text).split("\n")):
        raise ValueError(f"more than {MOST_DOTS} dots in a line")
    return tomllib.loads(text)


def read_toml(path: Path) -> dict[str, object]:
    """The table of a TOML file. Raises BadInput."""
    return parse_toml(files.read_bytes(path, most=MOST, links=True), where=path)


def parse_value(text: str) -> object:
    """What stands right of `=` in `--set`: a TOML value, `1,2,4` for a list, or else plain text."""
    for form in (text, f"[{text}]") if "," in text else (text,):
        try:
            table = _loads(f"x = {form}")
        except (ValueError, RecursionError):
            continue
        if table.keys() == {"x"}:
            return table["x"]
    return text
