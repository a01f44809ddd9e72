"""Picture, paper and ledger line appear together or not at all, wherever the writing stops."""

import json
import os
from io import BytesIO

import numpy as np
import pytest
from faulty_disk import count_operations, disk, failing_at, killed_at
from PIL import Image

from unmist.base import files
from unmist.base.faults import BadInput, CannotWrite
from unmist.guard.detector import pixel_digest
from unmist.guard.ledger import HEAD, LEDGER, read_ledger
from unmist.guard.verdict import Answer, Limit, Passed, Refused
from unmist.workflows.audit import audit
from unmist.workflows.shelf import Aside, opened, published_name, shelved, withhold

LIMIT = Limit("nudity", "v1", 0.5, 1.0)


def png(number):
    pixels = np.full((1, 4, 4), number, np.uint8)
    target = BytesIO()
    Image.fromarray(pixels[0]).save(target, format="PNG")
    return target.getvalue(), pixel_digest(pixels)


def passed(digest):
    return Passed(digest, (LIMIT,), (Answer("nudity", "v1", digest, 0.1, 0.0),))


def put(folder, numbers, key=b""):
    with opened(folder, key) as (first, _known):
        shelf = first
        for number in numbers:
            content, digest = png(number)
            name, paper, entry = f"{number}.png", {"n": number}, {"source": digest}
            shelf = shelved(shelf, passed(digest), name, content, paper, entry)


def refuse(folder, number, policy="p"):
    content, digest = png(number)
    with opened(folder) as (shelf, known):
        why = Refused(digest, (), ("nudity: 1, allowed below 0.5",))
        aside, entry = Aside(folder.parent / "aside", known), {"policy": policy}
        return withhold(shelf, why, aside, ("x y.png", content), entry)[1]


def complete(folder):
    """At every instant: what can be seen is whole, with its paper and its line."""
    lines = {line.what["file"]: line.what for line in read_ledger(folder).lines}
    for path in folder.glob("[!.]*.png"):
        what = lines[path.name]
        assert files.digest(path) == what["sha256"]
        assert files.digest(folder / f"{path.name}.json") == what["paper"]


def agreed(folder):
    """After the next opening: a picture for each line, a line for each picture."""
    found = audit(folder)
    assert (found.faults, found.notes) == ((), ())
    assert found.published == len(list(folder.glob("[!.]*.png")))
    return found.published


def test_what_is_shelved_is_there_in_all_its_parts(tmp_path):
    """Fails if picture, paper or line is missing, or the folder is not sound afterwards."""
    put(tmp_path / "out", [1, 2])
    assert agreed(tmp_path / "out") == 2
    complete(tmp_path / "out")
    with opened(tmp_path / "out") as (_, known):
        assert known(png(1)[1]) == "1.png"
        assert known("other", files.digest(png(2)[0])) == "2.png"
        assert known(png(3)[1]) == ""


def test_another_picture_than_the_judged_one_is_not_shelved(tmp_path):
    """Fails if a verdict about one picture opens the door to another."""
    with opened(tmp_path / "out") as (shelf, _):
        content, _ = png(1)
        with pytest.raises(BadInput, match="not the one that was judged"):
            shelved(shelf, passed(png(2)[1]), "1.png", content, {}, {})
    assert not list((tmp_path / "out").glob("*.png"))
    assert not (tmp_path / "out" / LEDGER).exists()


def test_a_kill_at_every_operation_leaves_all_or_nothing(tmp_path):
    """Fails if one instant shows a picture without its record, or is not mended by the next."""
    first = tmp_path / "first"
    put(first, [1])
    count = count_operations(lambda: put(first, [2]))
    assert count > 20
    for number in range(1, count + 1):
        folder = tmp_path / f"k{number}"
        put(folder, [1])
        assert killed_at(number, lambda f=folder: put(f, [2])) < 0
        complete(folder)
        with opened(folder) as (_, known):
            there = known(png(2)[1])
        assert agreed(folder) == (2 if there else 1)
        complete(folder)
        if not there:
            put(folder, [2])
        assert agreed(folder) == 2


def test_a_kill_while_mending_is_mended_again(tmp_path):
    """Fails if what finishes an act cannot itself be stopped at any operation."""
    for number in range(1, 40, 2):
        folder = tmp_path / f"m{number}"
        put(folder, [1])
        assert killed_at(20, lambda f=folder: put(f, [2])) < 0
        if killed_at(number, lambda f=folder: put(f, [])) == 0:
            break
        complete(folder)
        put(folder, [])
        assert agreed(folder) == 2
    assert 5 < number < 39


@pytest.mark.parametrize("code", [28, 5])
def test_a_disk_that_fails_leaves_the_folder_sound(tmp_path, code):
    """Fails if a full or broken disk at any operation ends in another class or a false ledger."""
    count = count_operations(lambda: put(tmp_path / "count", [1]))
    for number in range(5, count - 1):  # what comes then takes away what is no longer needed
        folder = tmp_path / f"f{number}"
        with disk(failing_at(number, code)), pytest.raises(CannotWrite):
            put(folder, [1])
        put(folder, [])
        assert agreed(folder) in (0, 1) if (folder / LEDGER).exists() else True


def test_a_ledger_that_was_altered_takes_nothing_more(tmp_path):
    """Fails if publishing goes on over an edited, cut or foreign ledger."""
    folder = tmp_path / "out"
    put(folder, [1, 2])
    text = (folder / LEDGER).read_bytes()
    for altered in (text.replace(b'"file":"1', b'"file":"7'), text[:-3], text + b"{}\n", b""):
        (folder / LEDGER).write_bytes(altered)
        with pytest.raises(BadInput, match="ledger was altered") as told:
            put(folder, [3])
        assert "unmist verify --ledger out" in told.value.mend
        assert (folder / LEDGER).read_bytes() == altered
    (folder / LEDGER).write_bytes(text)
    (folder / HEAD).unlink()
    with pytest.raises(BadInput, match="the head is missing"):
        put(folder, [3])
    assert not (folder / "3.png").exists()


def test_a_planted_hidden_folder_is_not_taken_for_a_begun_act(tmp_path):
    """Fails if a picture comes into view by a forged line that does not follow from the ledger."""
    folder = tmp_path / "out"
    put(folder, [1])
    (folder / ".next").mkdir()
    (folder / ".next" / "evil.png").write_bytes(b"unchecked")
    (folder / ".next" / "line").write_text('{"line": 2}')
    with pytest.raises(BadInput, match="does not follow"):
        put(folder, [2])
    assert not (folder / "evil.png").exists()


def test_what_is_refused_is_kept_aside_with_its_reasons(tmp_path):
    """Fails if a refused picture is lost, altered, seen, or not noted."""
    folder = tmp_path / "out"
    place = refuse(folder, 9)
    assert place.parent == tmp_path / "aside"
    assert place.read_bytes() == png(9)[0]
    assert json.loads((place.parent / f"{place.name}.json").read_text())["reasons"] == [
        "nudity: 1, allowed below 0.5"
    ]
    assert place.suffix == ".png"
    assert refuse(folder, 9) == place
    assert audit(folder).refused == 1
    assert refuse(folder, 9, "q") == place
    found = audit(folder)
    assert (found.published, found.refused, found.faults) == (0, 2, ())
    assert not list(folder.glob("[!.]*.png"))


def test_a_kill_while_refusing_leaves_nothing_to_be_seen(tmp_path):
    """Fails if a refused picture is visible, or its folder cannot go on, after a kill anywhere."""
    count = count_operations(lambda: refuse(tmp_path / "count" / "out", 9))
    for number in range(4, count + 1):
        folder = tmp_path / f"r{number}" / "out"
        assert killed_at(number, lambda f=folder: refuse(f, 9)) < 0
        assert not list(folder.glob("*.png"))
        put(folder, [1])
        assert agreed(folder) == 1


@pytest.mark.parametrize(
    "name",
    ["../../etc/x.png", ".hidden.png", "-rf.png", "a b\n.png", "ä.png", "", "x" * 300, "日本"],
)
def test_names_are_plain(tmp_path, name):
    """Fails if a source's name leads out of the folder, hides the picture or breaks a page."""
    made = published_name(tmp_path, name, "d" * 64)
    assert made.endswith(".png")
    assert os.sep not in made
    assert made[0] not in ".-"
    assert len(made) < 120
    assert made == "".join(made.split())
    (tmp_path / made).write_bytes(b"")
    assert published_name(tmp_path, name, "d" * 64) not in ("", made)


def test_a_keyed_ledger_wants_its_key(tmp_path):
    """Fails if a keyed ledger goes on without the key, or with another."""
    folder = tmp_path / "out"
    put(folder, [1], b"k" * 32)
    for key in (b"", b"another"):
        with pytest.raises(BadInput):
            put(folder, [2], key)
    put(folder, [2], b"k" * 32)
    assert read_ledger(folder, b"k" * 32).sound
