"""Whole trees: what is read, what is refused and why, and that nothing of the user's changes."""

import json
import os
import socket
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from pictures import photo, saved
from PIL import Image

from unmist.base.faults import BadInput
from unmist.data.opening import open_data
from unmist.data.reading import Reading
from unmist.data.scan import scan


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNMIST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path, cache):
    """Six pictures in two classes."""
    root = tmp_path / "birds"
    for kind in ("crow", "owl"):
        (root / kind).mkdir(parents=True)
        for i in range(3):
            photo(i + 10 * (kind == "owl")).save(root / kind / f"{i}.png")
    return root


def digest_of(root):
    """Every name, kind, time and byte below a folder."""
    told = []
    for path in sorted(root.rglob("*"), key=os.fsencode):
        status = path.lstat()
        body = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        told.append((os.fsencode(path), status.st_mode, status.st_mtime_ns, sha256(body).digest()))
    return told


def refused(source, **how):
    with pytest.raises(BadInput) as fault:
        open_data(source, **how)
    line = str(fault.value)
    assert "\n" not in line
    assert len(line) < 600
    return line


def test_a_folder_is_read_as_it_lies(folder):
    """Fails if pixels, order, classes or names are not those of the files."""
    data = open_data(folder)
    assert data.classes == ("crow", "owl")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.sources[4] == "owl/1.png"
    np.testing.assert_array_equal(data.values[4].transpose(1, 2, 0), np.asarray(photo(11)))
    assert sorted([*data.train, *data.held]) == list(range(6))


def test_the_second_time_comes_from_the_cache(folder, monkeypatch):
    """Fails if opening decodes again: with decoding forbidden the same data comes out."""
    first = open_data(folder)
    monkeypatch.setattr("unmist.data.decoding.decoded", None)
    second = open_data(folder)
    assert second.fingerprint == first.fingerprint
    np.testing.assert_array_equal(first.values, second.values)
    assert second.notes == first.notes


def test_nothing_is_written_into_the_folder(folder):
    """Fails if scanning or opening touches the user's files by a byte or a time."""
    before = digest_of(folder)
    scan(folder)
    open_data(folder, size=8)
    assert digest_of(folder) == before


def test_a_cache_inside_the_folder_is_refused(folder):
    """Fails if the index could become part of the data."""
    assert "the cache lies inside the data folder" in refused(folder, cache=folder / "cache")


def test_the_split_and_keys_hold_at_every_size(folder, tmp_path):
    """Fails if a model at 16 pixels trains on what is held out at 24, or renaming moves a row."""
    for i in range(40):
        photo(100 + i).save(folder / "owl" / f"more{i}.png")
    large, small = open_data(folder), open_data(folder, size=16, fit="pad", channels=1)
    assert small.shape == (1, 16, 16)
    assert small.keys == large.keys
    np.testing.assert_array_equal(small.held, large.held)
    other = tmp_path / "renamed" / "b"
    other.parent.mkdir()
    folder.rename(other)
    for path in list(other.rglob("*.png")):
        path.rename(path.with_name("x" + path.name[::-1].split(".")[1] + ".png"))
    moved = open_data(other)
    assert {moved.keys[i] for i in moved.held} == {large.keys[i] for i in large.held}


def test_grey_folders_have_one_channel_and_others_three(tmp_path, cache):
    """Fails if the channels are not decided by the pixels: grey saved as colour is grey."""
    for i in range(3):
        photo(i).convert("L").convert("RGB").save(tmp_path / f"{i}.png")
    (tmp_path / "grey").mkdir()
    for path in tmp_path.glob("*.png"):
        path.rename(tmp_path / "grey" / path.name)
    assert open_data(tmp_path / "grey").shape == (1, 24, 24)
    photo(9).save(tmp_path / "grey" / "colour.png")
    assert open_data(tmp_path / "grey", accept_drift=True).shape == (3, 24, 24)
    assert open_data(tmp_path / "grey", channels=1).shape == (1, 24, 24)


DRIFTS = {
    "added": (lambda root: photo(77).save(root / "owl/new.png"), "1 added (owl/new.png…)"),
    "removed": (lambda root: (root / "owl/1.png").unlink(), "1 removed (owl/1.png…)"),
    "changed": (lambda root: photo(78).save(root / "owl/1.png"), "1 changed (owl/1.png…)"),
    "renamed": (
        lambda root: (root / "owl/1.png").rename(root / "owl/7.png"),
        "1 added (owl/7.png…), 1 removed (owl/1.png…)",
    ),
    "captioned": (lambda root: (root / "owl/1.txt").write_text("hoo"), "captions or classes"),
    "same size, other bytes": (
        lambda root: (root / "owl/1.png").write_bytes(
            (root / "owl/1.png").read_bytes()[:-1] + b"\0"
        ),
        "1 changed (owl/1.png…)",
    ),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_drift_is_refused_with_counts_and_can_be_accepted(folder, name):
    """Fails if a folder that changed since its scan is trained on without a word."""
    change, told = DRIFTS[name]
    before = open_data(folder)
    change(folder)
    assert f"drifted since it was scanned: {told}" in refused(folder)
    assert "drifted" in refused(folder, size=16)  # another size has no index of its own yet
    after = open_data(folder, accept_drift=True)
    assert open_data(folder).fingerprint == after.fingerprint
    assert (after.fingerprint == before.fingerprint) == (name == "same size, other bytes")
    assert open_data(folder, size=16).shape == (3, 16, 16)


def test_a_touched_file_is_no_drift(folder):
    """Fails if a time alone, without a change of bytes, is taken for drift."""
    before = open_data(folder)
    for path in folder.rglob("*.png"):
        os.utime(path, ns=(1, 1))
    assert open_data(folder).fingerprint == before.fingerprint


def test_a_damaged_cache_is_made_again(folder, cache):
    """Fails if a flipped bit, a torn index or a missing file of the cache reaches training."""
    before = open_data(folder)
    pixels = before.values.copy()
    place = next(cache.rglob("index.json")).parent
    for damage in ("flip", "tear", "lose"):
        values = np.load(place / "pixels.npy", mmap_mode="r+")
        if damage == "flip":
            values[3, 0, 5, 5] ^= 1
            values.flush()
        elif damage == "tear":
            (place / "index.json").write_text((place / "index.json").read_text()[:-9])
        else:
            (place / "pixels.npy").unlink()
        assert open_data(folder).fingerprint == before.fingerprint
        np.testing.assert_array_equal(open_data(folder).values, pixels)
    assert not list(cache.rglob(".tmp-*"))
    assert not list(cache.rglob(".trash-*"))


def test_a_failed_write_leaves_the_old_index(folder, cache, monkeypatch):
    """Fails if a full disk in mid-scan tears what stood there, or leaves its rubbish."""
    before = open_data(folder)
    photo(50).save(folder / "owl" / "new.png")

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("unmist.data.folder.written", full)
    with pytest.raises(Exception, match="disk is full") as fault:
        open_data(folder, accept_drift=True)
    assert fault.value.code == 74
    monkeypatch.undo()
    monkeypatch.setenv("UNMIST_CACHE", str(cache))
    (folder / "owl" / "new.png").unlink()
    assert open_data(folder).fingerprint == before.fingerprint
    assert not list(cache.rglob(".tmp-*"))


def test_twins_in_a_folder_are_reported_and_kept_together(folder):
    """Fails if a re-encoded copy is not found, or an exact one is called merely near."""
    for i in range(60):
        photo(200 + i).save(folder / "owl" / f"p{i}.png")
    (folder / "owl" / "copy.png").write_bytes((folder / "owl" / "0.png").read_bytes())
    photo(11, 240).save(folder / "owl" / "large.jpg", quality=80)
    report = scan(folder).report
    assert report.duplicates == (("owl/0.png", "owl/copy.png"),)
    assert ("owl/1.png", "owl/large.jpg") in report.twins
    assert len(report.twins) == 2
    data = open_data(folder)
    held = {data.sources[i] for i in data.held}
    assert ("owl/0.png" in held) == ("owl/copy.png" in held)
    assert ("owl/1.png" in held) == ("owl/large.jpg" in held)


def test_the_report_counts_what_is_there(folder):
    """Fails if counts, sizes, reasons or the JSON differ from the tree."""
    (folder / "owl" / "half.png").write_bytes(saved(photo(5), "PNG")[:-300])
    (folder / "notes.md").write_text("mine")
    photo(6, 10).convert("L").save(folder / "crow" / "small.bmp")
    found = json.loads(scan(folder).report.as_json())
    assert found["count"] == 7
    assert found["sizes"] == {"24x24": 6, "10x10": 1}
    assert found["modes"] == {"PNG RGB": 6, "BMP L": 1}
    assert found["classes"] == {"crow": 4, "owl": 3}
    assert found["bad"] == [{"name": "owl/half.png", "reason": "is truncated"}]
    assert found["others"] == {"not a picture by its name": 1}
    assert found["train"] + found["held"] == 7
    text = scan(folder).report.as_text()
    assert "owl/half.png: is truncated" in text
    assert "7 pictures read as 3x24x24" in text


def test_bad_pictures_stop_or_are_left_out(folder):
    """Fails if one bad file is dropped silently, or cannot be skipped when asked."""
    for i in range(5):
        (folder / "owl" / f"bad{i}.png").write_bytes(b"")
    line = refused(folder)
    assert "5 of 11 pictures cannot be used: owl/bad0.png: is empty (0 bytes)" in line
    assert "and 2 more" in line
    data = open_data(folder, on_bad="skip")
    assert len(data) == 6
    assert "unusable pictures left out: 5" in data.notes


def _loop(root):
    (root / "owl" / "loop").symlink_to(root)
    (root / "owl" / "self.png").symlink_to("self.png")


def _device(root):
    (root / "owl" / "null.png").symlink_to("/dev/null")


def _socket(root):
    here = os.getcwd()
    os.chdir(root / "owl")  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("s.png")
    finally:
        os.chdir(here)


def _put(name, body=b"\xff\xd8\xff junk"):
    def put(root):
        (Path(os.fsdecode(os.path.join(os.fsencode(root), name)))).write_bytes(body)

    return put


TREES = {
    "pipe": (lambda root: os.mkfifo(root / "owl/p.png"), "owl/p.png: is a pipe, not a file"),
    "socket": (_socket, "owl/s.png: is a socket, not a file"),
    "device": (_device, "owl/null.png: is a device, not a file"),
    "dangling link": (
        lambda root: (root / "owl/d.png").symlink_to("/nowhere/at/all.png"),
        "owl/d.png: is not there (moved, or a link to nothing)",
    ),
    "link to itself": (_loop, "owl/self.png: cannot be read"),
    "svg": (_put(b"a.svg"), "a.svg: .svg is not read: save it as PNG or JPEG"),
    "pdf": (_put(b"a.PDF"), "a.PDF: .pdf is not read"),
    "newline in the name": (_put(b"a\nb.png"), r"a\nb.png: is a JPEG"),
    "escape in the name": (_put(b"\x1b[31m.png"), r"\x1b[31m.png: is a JPEG"),
    "no UTF-8 in the name": (_put(b"\xff\xfe.png"), r"\udcff\udcfe.png: is a JPEG"),
    "dash in the name": (_put(b"-rf.png"), "-rf.png: is a JPEG"),
    "long name": (_put(b"n" * 250 + b".png"), "nnnnnnnn.png: is a JPEG"),
    "upper case": (_put(b"A.JPG"), "A.JPG: is a JPEG"),
}


@pytest.mark.parametrize("name", TREES)
def test_strange_entries_are_named_with_their_reason(folder, name):
    """Fails if a strange entry hangs, crashes, is read, or garbles the terminal."""
    make, told = TREES[name]
    make(folder)
    before = digest_of(folder)
    assert told in refused(folder)
    assert len(open_data(folder, on_bad="skip")) == 6
    assert digest_of(folder) == before


def test_loops_of_folders_are_walked_once(folder):
    """Fails if a link back to the root doubles the pictures, or never ends."""
    (folder / "owl" / "loop").symlink_to(folder)
    found = scan(folder).report
    assert found.count == 6
    assert found.others["link to a folder already read"] == 1


def test_odd_but_sound_names_are_read(folder):
    """Fails if a name that is no UTF-8 is lost on the way through the index."""
    odd = os.path.join(os.fsencode(folder), b"owl", b"\xff\n-.png")
    with open(odd, "wb") as file:
        file.write(saved(photo(99), "PNG"))
    for _ in range(2):
        data = open_data(folder)
        assert r"owl/\udcff\n-.png" in data.sources
        assert len(data) == 7


def test_links_to_pictures_and_folders_are_followed(folder, tmp_path):
    """Fails if a linked picture is ignored: data sets are often links."""
    photo(55).save(tmp_path / "outside.png")
    (folder / "owl" / "link.png").symlink_to(tmp_path / "outside.png")
    assert len(open_data(folder)) == 7


def test_hidden_files_are_passed_over(folder):
    """Fails if a thumbnail cache or a resource fork is taken for data."""
    (folder / "owl" / "._0.png").write_bytes(b"junk")
    (folder / ".thumbs").mkdir()
    photo(3).save(folder / ".thumbs" / "0.png")
    assert len(open_data(folder)) == 6


def test_a_file_that_vanishes_is_named(folder, monkeypatch):
    """Fails if a file lost between listing and reading ends the scan without its name."""
    real = Path.read_bytes

    def gone(path):
        if path.name == "1.png":
            raise FileNotFoundError(2, "No such file or directory")
        if path.name == "2.png":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", gone)
    line = refused(folder)
    assert "crow/1.png: cannot be read (No such file or directory)" in line
    assert "crow/2.png: cannot be read (Permission denied)" in line


def test_sources_that_are_none(tmp_path, cache):
    """Fails if a wrong source is not refused in one line with its mend."""
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no picture that can be used" in refused(empty)
    assert "did you mean 'digits'?" in refused("digit")
    assert "no such folder" in refused(tmp_path / "missing")
    assert "no such folder" in refused("a\0b")
    assert "no such folder" in refused("x" * 5000)
    photo(1).save(tmp_path / "one.png")
    assert "neither a folder nor an array; give its folder" in refused(tmp_path / "one.png")
    with pytest.raises(BadInput, match="no pictures"):
        scan(empty)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"size": 0}, "size: 0x0 is outside 1"),
        ({"size": 10**9}, "is outside 1"),
        ({"fit": "crp"}, "fit: no choice 'crp'; did you mean 'crop'?"),
        ({"background": "whit"}, "no colour called 'whit'"),
        ({"channels": 2}, "channels: no choice 2"),
        ({"on_bad": "ignore"}, "on_bad: no choice 'ignore'"),
        ({"layout": "middle"}, "layout: no choice 'middle'"),
    ],
)
def test_wrong_settings_are_refused(how, told):
    """Fails if a mistyped setting is taken for a default."""
    assert told in refused("digits", **how)


def test_classes_that_differ_in_case_only_are_refused(folder):
    """Fails if Owl and owl become two classes."""
    (folder / "Owl").mkdir()
    photo(60).save(folder / "Owl" / "0.png")
    assert "classes 'Owl' and 'owl' differ in case only" in refused(folder)


def test_folders_called_train_and_test_are_no_classes(folder, tmp_path):
    """Fails if the usual splits become the two classes to learn."""
    for part in ("train", "test"):
        (tmp_path / "set" / part).mkdir(parents=True)
    for kind, part in (("crow", "train"), ("owl", "train")):
        (folder / kind).rename(tmp_path / "set" / part / kind)
    photo(70).save(tmp_path / "set" / "test" / "loose.png")
    data = open_data(tmp_path / "set")
    assert data.classes == ("crow", "owl")
    assert data.labels.tolist() == [-1, 0, 0, 0, 1, 1, 1]


def test_every_file_is_decoded_by_scan_even_when_known(folder, monkeypatch):
    """Fails if `scan` trusts the cache: it is the user's way to look again."""
    open_data(folder)
    seen = []
    from unmist.data import decoding

    real = decoding.decoded
    monkeypatch.setattr(decoding, "decoded", lambda raw, how: seen.append(1) or real(raw, how))
    scan(folder, Reading())
    assert len(seen) == 6


def test_large_pictures_are_capped_by_their_header(folder):
    """Fails if the cap given to open_data does not reach the decoder."""
    Image.new("L", (200, 100)).save(folder / "owl" / "big.png")
    assert "owl/big.png: 200x100 is 0.0 Mpx" in refused(folder, pixel_cap=19_999)
