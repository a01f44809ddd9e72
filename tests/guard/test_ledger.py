"""Any edit of a ledger is found, with its place; what cannot be found without a key is said."""

import json

import pytest

from unmist.base import files
from unmist.guard.ledger import (
    EMPTY,
    HEAD,
    LEDGER,
    chained,
    checked_ledger,
    read_ledger,
    write_head,
)

KEY = b"k" * 32


def written(folder, count=6, key=b""):
    head = EMPTY
    for number in range(count):
        what = {"act": "published", "file": f"{number}.png", "score": 0.1 * number, "who": "Zoë"}
        text, head = chained(what, head, key)
        files.append_line(folder / LEDGER, text)
        write_head(folder, head)
    return head


def test_what_was_written_is_read_back(tmp_path):
    """Fails if a sound ledger is doubted, or its entries change on the way."""
    head = written(tmp_path)
    found = read_ledger(tmp_path)
    assert found.sound
    assert found.head == head
    assert [line.what["file"] for line in found.lines] == [f"{n}.png" for n in range(6)]
    assert read_ledger(tmp_path / "nowhere").sound


@pytest.mark.parametrize("key", [b"", KEY], ids=["plain", "keyed"])
@pytest.mark.parametrize("name", [LEDGER, HEAD])
def test_every_single_byte_that_changes_is_found(tmp_path, name, key):
    """Fails if one of all bytes can be another and nobody sees it, key at hand or not."""
    written(tmp_path, 3, key)
    both = {path: (tmp_path / path).read_bytes() for path in (LEDGER, HEAD)}
    right, missed = both[name], []
    for place, byte in enumerate(right):
        for flip in (0x01, 0x20, 0x80):
            both[name] = right[:place] + bytes([byte ^ flip]) + right[place + 1 :]
            if checked_ledger(both[LEDGER], both[HEAD]).sound:
                missed.append((place, flip))
    assert not missed


def test_every_cut_is_found(tmp_path):
    """Fails if bytes can be cut off the end, within a line or between two."""
    written(tmp_path, 3)
    content, head = ((tmp_path / name).read_bytes() for name in (LEDGER, HEAD))
    kept = [left for left in range(len(content)) if checked_ledger(content[:left], head).sound]
    assert kept == []
    assert not checked_ledger(None, head).sound
    assert not checked_ledger(content, None).sound


def edits(lines):
    """Every line taken out, doubled, swapped with another, put in elsewhere; every tail cut."""
    count = range(len(lines))
    yield from (lines[:n] + lines[n + 1 :] for n in count)
    yield from (lines[: n + 1] + lines[n:] for n in count)
    yield from (lines[:n] for n in count)
    for a in count:
        for b in range(a):
            swapped = list(lines)
            swapped[a], swapped[b] = swapped[b], swapped[a]
            yield swapped
            yield [*lines[:b], lines[a], *lines[b:]]


def test_lines_taken_out_put_in_doubled_or_moved_are_found(tmp_path):
    """Fails if the order or the number of lines can be another."""
    written(tmp_path)
    path = tmp_path / LEDGER
    lines = path.read_text().splitlines(keepends=True)
    found = list(edits(lines))
    assert len(found) > 40
    for edit in found:
        path.write_text("".join(edit))
        assert not read_ledger(tmp_path).sound


def test_a_line_that_is_added_from_outside_is_late(tmp_path):
    """Fails if a well-chained line beyond the head counts as sound, or two as one late line."""
    head = written(tmp_path)
    text, further = chained({"act": "published", "file": "x"}, head)
    files.append_line(tmp_path / LEDGER, text)
    found = read_ledger(tmp_path)
    assert not found.sound
    assert found.late is not None
    assert found.late.text == text
    files.append_line(tmp_path / LEDGER, chained({}, further)[0])
    assert read_ledger(tmp_path).faults == ("2 lines more than the head counts",)


def test_a_key_finds_what_was_all_written_anew(tmp_path):
    """Fails if someone without the key can rewrite both files, or cut them, unseen by the key."""
    written(tmp_path, 4)
    assert read_ledger(tmp_path).sound
    assert read_ledger(tmp_path, KEY).faults
    keyed = tmp_path / "keyed"
    keyed.mkdir()
    written(keyed, 4, KEY)
    assert read_ledger(keyed, KEY).sound
    assert read_ledger(keyed, b"another").faults
    line = json.loads((keyed / LEDGER).read_text().splitlines()[1])
    *kept, _ = (keyed / LEDGER).read_text().splitlines(keepends=True)
    (keyed / LEDGER).write_text("".join(kept[:2]))
    write_head(keyed, type(EMPTY)(2, line["hash"]))
    assert read_ledger(keyed).sound
    assert read_ledger(keyed, KEY).faults == ("the head carries no keyed hash",)


@pytest.mark.parametrize(
    "content",
    [b"\xff\n", b"[]\n", b"{}\n", b'{"line":1,"line":1}\n', b"\n", b"null\n", b"[" * 5000 + b"\n"],
)
def test_nonsense_is_a_fault_and_no_exception(tmp_path, content):
    """Fails if a damaged line ends in another class than a fault of line 1."""
    written(tmp_path, 1)
    (tmp_path / LEDGER).write_bytes(content)
    assert read_ledger(tmp_path).faults[0].startswith("line 1: ")
