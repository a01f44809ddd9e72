"""The ledger: a file of JSON lines to which is only added, each line chained to the one before.

Line n holds the hash of line n - 1 and its own over all the rest, so an edit, a line taken out, put
in, doubled or moved breaks the chain. A chain alone does not miss its tail: count and last hash are
kept apart, in the head. Who can write both files can write them anew: against that only a key helps
(each line and the head then carry a keyed hash too), or a head that was noted elsewhere.
"""

import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from unmist.base import files
from unmist.base.faults import BadInput

__all__ = [
    "EMPTY",
    "HEAD",
    "LEDGER",
    "Head",
    "Ledger",
    "Line",
    "chained",
    "checked_ledger",
    "entries",
    "following",
    "head_at",
    "read_ledger",
    "write_head",
]

LEDGER, HEAD = "ledger.jsonl", "ledger.head.json"
MOST = 1 << 30
START = "0" * 64


@dataclass(frozen=True)
class Head:
    """count lines, the last of which has this hash; keyed: "" or the head's own keyed hash."""

    count: int
    last: str
    keyed: str = ""


EMPTY = Head(0, START)


@dataclass(frozen=True)
class Line:
    """One entry: what happened, its number from 1, and the text as it stands in the file."""

    number: int
    what: Mapping[str, object]
    digest: str
    text: str


@dataclass(frozen=True)
class Ledger:
    """What the two files say: lines as far as they hold, and every fault, in plain words.

    late and torn are the marks of a stop between or within two writes: one whole line more than the
    head counts, and a last one that is not whole.
    """

    lines: tuple[Line, ...]
    head: Head
    faults: tuple[str, ...]
    late: Line | None = None
    torn: bytes = b""

    @property
    def sound(self) -> bool:
        """Whether nothing was altered, as far as can be seen."""
        return not self.faults and self.late is None and not self.torn

    @property
    def trouble(self) -> tuple[str, ...]:
        """All that is not as it was written."""
        late = [f"line {self.late.number}: is not in the head"] if self.late else []
        torn = [f"line {len(self.lines) + 1}: is not whole"] if self.torn else []
        return (*self.faults, *late, *torn)


def chained(what: Mapping[str, object], after: Head, key: bytes = b"") -> tuple[str, Head]:
    """The next line's text, and the head that goes with it."""
    body: dict[str, object] = {"line": after.count + 1, "after": after.last, "what": dict(what)}
    if key:
        body["keyed"] = _keyed(key, _digest(body))
    digest = _digest(body)
    text = _canonical({**body, "hash": digest}).decode()
    return text, head_at(Line(after.count + 1, what, digest, text), key)


def head_at(line: Line, key: bytes = b"") -> Head:
    """The head of a ledger whose last line this is."""
    keyed = _keyed(key, f"{line.number} {line.digest}") if key else ""
    return Head(line.number, line.digest, keyed)


def following(found: Ledger, text: str, key: bytes = b"") -> Head | None:
    """The head after this line, where it is the ledger's last, whole, torn or still missing one.

    None where it does not follow, or something else is wrong with the ledger.
    """
    line = found.late or (found.lines[-1] if found.lines else None)
    if found.faults:
        return None
    if line is not None and line.text == text:
        return head_at(line, key)
    if found.late or not text.encode().startswith(found.torn):
        return None
    try:
        new = _line(text.encode(), found.head.count + 1, found.head.last, key)
    except BadInput:
        return None
    return head_at(new, key)


def write_head(folder: Path, head: Head) -> None:
    """The head, whole or not at all. Raises CannotWrite."""
    files.write_bytes(folder / HEAD, _head_text(head))


def _head_text(head: Head) -> bytes:
    body = asdict(head)
    return _canonical({**body, "hash": _digest(body)}) + b"\n"


def read_ledger(folder: Path, key: bytes = b"") -> Ledger:
    """Both files of a folder, checked; with the key, keyed hashes too.

    Where neither file is, the ledger is empty and sound. Raises BadInput where one is no file.
    """
    found = [
        files.read_bytes(path, most=MOST) if path.exists() else None
        for path in (folder / LEDGER, folder / HEAD)
    ]
    return checked_ledger(found[0], found[1], key)


def checked_ledger(content: bytes | None, head: bytes | None, key: bytes = b"") -> Ledger:
    """The same of the files' contents, None where there is none."""
    if not content and head is None:
        return Ledger((), EMPTY, ())
    found, faults = _head(head)
    if head is not None and not faults and key:
        faults = _keys_missed(found.keyed, key, f"{found.count} {found.last}", "the head")
    lines, torn, broken = _walked(content or b"", key)
    if head is None and len(lines) > 1:  # with the first line the head may still be to come
        faults = ["the head is missing"]
    late = None
    if not faults and not broken:
        late, faults = _against(lines, found)
    return Ledger(tuple(lines), found, (*faults, *broken), late, torn)


def _against(lines: list[Line], head: Head) -> tuple[Line | None, list[str]]:
    """Lines that hold among themselves, against the head: a late one, and faults."""
    digests = [START, *(line.digest for line in lines)]
    if head.count < len(digests) and digests[head.count] == head.last:
        more = len(lines) - head.count
        if more == 1:
            return lines[-1], []
        return None, [f"{more} lines more than the head counts"] if more else []
    if head.count > len(lines):
        gone = head.count - len(lines)
        return None, [f"{gone} line{'s' * (gone > 1)} missing at the end"]
    return None, [f"line {head.count} is not the one that the head names"]


def _walked(content: bytes, key: bytes) -> tuple[list[Line], bytes, list[str]]:
    """Lines up to the first that does not hold, a torn last one, and what is wrong with the one."""
    *texts, rest = content.split(b"\n")
    lines: list[Line] = []
    last = START
    for number, text in enumerate(texts, 1):
        try:
            line = _line(text, number, last, key)
        except BadInput as fault:
            return lines, b"", [f"line {number}: {fault.what}"]
        lines.append(line)
        last = line.digest
    return lines, rest, []


def _line(text: bytes, number: int, last: str, key: bytes) -> Line:
    """One line, if it is to the byte what `chained` would have written there."""
    table = files.parse_json(text, where=Path(LEDGER))
    if not isinstance(table, dict):
        raise BadInput("has another form")
    match table:
        case {"line": int(found), "after": str(after), "what": dict(what), "hash": str(digest)}:
            pass
        case _:
            raise BadInput("has another form")
    if found != number:
        raise BadInput(f"says that it is line {found}")
    if after != last:
        raise BadInput("does not follow the line before")
    if _digest({name: value for name, value in table.items() if name != "hash"}) != digest:
        raise BadInput("was altered")
    if _canonical(table) != text:
        raise BadInput("was written anew")
    body = {"line": found, "after": after, "what": what}
    if key and (missed := _keys_missed(table.get("keyed"), key, _digest(body), "it")):
        raise BadInput(missed[0])
    return Line(number, what, digest, text.decode())


def _head(content: bytes | None) -> tuple[Head, list[str]]:
    """The head, or what is wrong with it."""
    if content is None:
        return EMPTY, []
    try:
        table = files.parse_json(content, where=Path(HEAD))
    except BadInput as fault:
        return EMPTY, [f"the head: {fault.what}"]
    match table:
        case {"count": int(count), "last": str(last), "keyed": str(keyed)}:
            head = Head(count, last, keyed)
        case _:
            return EMPTY, ["the head has another form"]
    return (head, []) if _head_text(head) == content else (EMPTY, ["the head was altered"])


def _keys_missed(keyed: object, key: bytes, text: str, what: str) -> list[str]:
    """Why a keyed hash is not the key's: empty where it is."""
    if not keyed:
        return [f"{what} carries no keyed hash"]
    right = _keyed(key, text)
    same = isinstance(keyed, str) and hmac.compare_digest(keyed.encode(), right.encode())
    return [] if same else [f"{what} was not written with this key"]


def _keyed(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), sha256).hexdigest()


def _digest(body: Mapping[str, object]) -> str:
    return sha256(_canonical(body)).hexdigest()


def _canonical(value: object) -> bytes:
    """One form for one value: sorted keys, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def entries(lines: Sequence[Line], act: str) -> Iterator[Line]:
    """The lines that tell of one kind of act."""
    return (line for line in lines if line.what.get("act") == act)
