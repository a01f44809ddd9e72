import json

import numpy as np
import pytest
from pictures import photo

from unmist.base.faults import BadInput
from unmist.data.opening import open_data
from unmist.data.scan import scan


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three pictures without a word."""
    monkeypatch.setenv("UNMIST_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "set"
    root.mkdir()
    for i in range(3):
        photo(i).save(root / f"{i}.png")
    return root


def lines(*rows):
    return "\n".join(json.dumps(row) for row in rows)


def test_without_words_there_are_none(folder):
    """Fails if empty captions or one class are made up."""
    data = open_data(folder)
    assert data.captions is None
    assert data.labels is None
    assert data.classes == ()


def test_a_table_of_json_lines(folder):
    """Fails if captions or labels meet other pictures than their file_name says."""
    rows = ({"file_name": "2.png", "text": "two\n birds", "label": 10},)
    rows += ({"file_name": "0.png", "text": ["none", "zero"], "label": 9},)
    (folder / "metadata.jsonl").write_text(lines(*rows) + "\n\n")
    data = open_data(folder)
    assert data.captions == ("none", "", "two birds")
    assert data.classes == ("9", "10")
    assert data.labels.tolist() == [0, -1, 1]
    assert "1 of 3 pictures have none of the captions the others have" in data.notes


def test_a_table_of_commas_with_a_byte_order_mark(folder):
    """Fails if spreadsheets' CSV (marked UTF-8, quoted commas and line ends) is misread."""
    text = '﻿file_name,text,label\r\n0.png,"a, b",crow\r\n1.png,"c\r\nd",owl\r\n2.png,é,owl\r\n'
    (folder / "metadata.csv").write_bytes(text.encode())
    data = open_data(folder)
    assert data.captions == ("a, b", "c d", "é")
    assert data.classes == ("crow", "owl")
    assert data.labels.tolist() == [0, 1, 1]


def test_text_files_beside_the_pictures(folder):
    """Fails if a .txt is missed, or wins over the table."""
    (folder / "0.txt").write_text("from the file")
    (folder / "1.txt").write_text("also  from the file\n")
    (folder / "metadata.jsonl").write_text(lines({"file_name": "0.png", "text": "from the table"}))
    assert open_data(folder).captions == ("from the table", "also from the file", "")


def test_a_table_in_a_sub_folder_counts_from_there(folder):
    """Fails if file_name is looked up from the top."""
    (folder / "a").mkdir()
    photo(9).save(folder / "a" / "0.png")
    (folder / "a" / "metadata.jsonl").write_text(lines({"file_name": "0.png", "text": "lower"}))
    data = open_data(folder)
    assert dict(zip(data.sources, data.captions, strict=True))["a/0.png"] == "lower"
    assert data.captions.count("lower") == 1


HOSTILE = {
    "missing picture": (
        "metadata.jsonl",
        b'{"file_name": "9.png", "text": "x"}',
        ":1: names '9.png'",
    ),
    "not JSON": ("metadata.jsonl", b"{}\nno", "metadata.jsonl:1: a row without file_name"),
    "not JSON below": ("metadata.jsonl", b'{"file_name": "0.png"}\n{"a', ":2: not a JSON object"),
    "a list": ("metadata.jsonl", b"[1, 2]", ":1: not a JSON object"),
    "nested without end": ("metadata.jsonl", b"[" * 100_000, ":1: not a JSON object"),
    "no file_name": ("metadata.csv", b"name,text\n0.png,x\n", "a row without file_name"),
    "not UTF-8": ("metadata.csv", b"file_name,text\n0.png,\xff\xfe\n", "not UTF-8 text"),
    "a field without end": ("metadata.csv", b'file_name,text\n0.png,"' + b"x" * 200_000, "not CSV"),
    "binary caption": ("0.txt", b"\x80\x81\x82", "0.txt: not UTF-8 text"),
    "endless caption": ("0.txt", b"x" * 100_000, "0.txt: longer than 65536 bytes"),
    "escape": ("metadata.jsonl", b'{"file_name": "../../x.png"}', "which is not there"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_words_are_refused_in_one_line(folder, name):
    """Fails if a broken table is half read, or its fault has no place."""
    file, body, told = HOSTILE[name]
    (folder / file).write_bytes(body)
    with pytest.raises(BadInput) as fault:
        open_data(folder)
    assert told in str(fault.value)
    assert "\n" not in str(fault.value)


def test_half_a_surrogate_does_not_reach_the_model(folder):
    """Fails if text that cannot be written out again gets through."""
    (folder / "metadata.jsonl").write_text('{"file_name": "0.png", "text": "a\\ud800b"}')
    open_data(folder).captions[0].encode("utf-8")


def test_what_gave_words_was_not_passed_over(folder):
    """Fails if a file that was read is told as passed over, one that was not is not, or twice."""
    photo(0).save(folder / "0.jpg")
    for name in ("0.txt", "1.txt", "stray.txt", "notes.md"):
        (folder / name).write_text("a bird")
    (folder / "metadata.csv").write_text("file_name,label\n2.png,owl\n")
    report = scan(folder).report
    assert (report.captions, report.count, report.word_files) == (3, 4, 3)
    assert report.others == {"not a picture by its name": 2}
    assert "captions: 3 of 4 (files of captions or labels: 3)" in report.as_text()
    (folder / "stray.txt").unlink()
    (folder / "notes.md").unlink()
    assert scan(folder).report.others == {}


def test_columns_of_numbers_are_given_by_name(folder):
    """Fails if a number meets another picture, a gap becomes zero, words or endless numbers are
    taken for numbers, or a changed number is no drift."""
    text = "file_name,Size,text,code,far,empty\n0.png,1.5,a,7,1e999,\n2.png,-2,b,x7,1,\n"
    (folder / "metadata.csv").write_text(text)
    data = open_data(folder)
    assert set(data.given) == {"size"}
    assert np.array_equal(data.given["size"], [1.5, np.nan, -2], equal_nan=True)
    assert np.array_equal(open_data(folder).given["size"], data.given["size"], equal_nan=True)
    (folder / "metadata.csv").write_text(text.replace("1.5", "2.5"))
    with pytest.raises(BadInput, match="drifted"):
        open_data(folder)
    assert open_data(folder, accept_drift=True).fingerprint != data.fingerprint
