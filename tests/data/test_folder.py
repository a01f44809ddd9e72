"""Whole trees: what is read, what is refused and why, and that nothing of the user's changes."""

import json
import os

import numpy as np
import pytest
from pictures import photo, saved
from trees import digest_of, refused

from unmist.data.opening import open_data
from unmist.data.scan import scan


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
    (note,) = [note for note in data.notes if note.startswith("unusable pictures left out: 5 (")]
    assert note.endswith(", and 2 more)")
