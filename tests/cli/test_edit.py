"""`unmist edit`: files, settings, and one line for what cannot be done."""

import json

import numpy as np
import pytest
from PIL import Image

from unmist.run.picture import read_settings

FEW = ("--steps", 3, "--count", 2)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    pixels = np.zeros((28, 28), np.uint8)
    pixels[6:22, 12:16] = 230
    path = tmp_path_factory.mktemp("picture") / "one.png"
    Image.fromarray(pixels).save(path)
    return path


def test_inpaint_keeps_what_is_known(model, picture, said, tmp_path):
    """Fails if a known pixel changes on its way to the file, or the file does not say so."""
    box = ("--box", "10,4,8,8")
    code, out, _ = said("edit", "inpaint", model, picture, *box, *FEW, "--to", tmp_path, "--json")
    assert code == 0
    (table,) = map(json.loads, out.splitlines())
    found = np.asarray(Image.open(table["pictures"][1]))
    known = np.ones((28, 28), bool)
    known[4:12, 10:18] = False
    assert np.array_equal(found[known], np.asarray(Image.open(picture))[known])
    told = read_settings(tmp_path / "inpaint-0-000001.png")
    assert told["kind"] == "edit"
    assert told["edit"]["method"] == "posterior"


@pytest.mark.parametrize(
    "words",
    [
        ("vary", "--strength", 0.4),
        ("restore", "--blur", 1.0),
        ("inpaint", "--grow", "left=4,bottom=4"),
    ],
    ids=lambda words: words[0],
)
def test_each_verb_leaves_pictures(model, picture, said, tmp_path, words):
    """Fails if a verb does not draw, or prints no path."""
    verb, *flags = words
    code, out, error = said("edit", verb, model, picture, *flags, *FEW, "--to", tmp_path)
    assert (code, "2 drawn" in error) == (0, True)
    assert (tmp_path / f"{verb}-0-000000.png").is_file()
    assert f"{verb}-0-grid.png" in out


def test_upscale_and_blend(model, picture, said, tmp_path):
    """Fails if a large picture is not reduced with a word, or the animation is missing."""
    code, _, error = said("edit", "upscale", model, picture, "--factor", 2, *FEW, "--to", tmp_path)
    assert code == 0
    assert "28x28 is cropped and scaled to 14x14" in error
    code, out, _ = said(
        *("edit", "blend", model, picture, "seed:3"),
        *("--frames", 3, "--steps", 3, "--to", tmp_path),
    )
    assert code == 0
    assert "blend-0.webp" in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("inpaint", "PICTURE"), "nothing is marked"),
        (("inpaint", "PICTURE", "--box", "0,0,28,28"), "nothing of the picture is left"),
        (("inpaint", "PICTURE", "--box", "0,0,28"), "3 numbers"),
        (("inpaint", "PICTURE", "--box", "a"), "no list of numbers"),
        (("inpaint", "PICTURE", "--box", "90,0,4,4"), "does not meet"),
        (("inpaint", "PICTURE", "--mask", "MASK"), "the mask is 5x5, the picture 28x28"),
        (("inpaint", "PICTURE", "--box", "1,1,4,4", "--method", "keeep"), "did you mean 'keep'"),
        (("inpaint", "PICTURE", "--grow", "up=3"), "no side 'up'"),
        (("inpaint", "none.png", "--box", "1,1,4,4"), "no such picture"),
        (("vary", "PICTURE", "--strength", "0"), "strength 0"),
        (("vary", "PICTURE", "--strength", "1.5"), "strength 1.5"),
        (("translate", "PICTURE"), "follows no picture"),
        (("upscale", "PICTURE", "--factor", "1"), "factor"),
        (("upscale", "PICTURE", "--factor", "3"), "no multiple of 3"),
        (("restore", "PICTURE"), "what happened"),
        (("restore", "PICTURE", "--grey"), "grey itself"),
        (("restore", "PICTURE", "--blur", "-1"), "width"),
        (("blend", "PICTURE", "none.png"), "no such picture"),
        (("vary", "PICTURE", "--to", "PICTURE"), "is no folder"),
    ],
    ids=str,
)
def test_one_line_for_what_cannot_be_done(model, picture, said, tmp_path, words, line):
    """Fails if bad input ends in anything but code 2 and one line that names it."""
    mask = tmp_path / "mask.png"
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(mask)
    places = {"PICTURE": picture, "MASK": mask}
    verb, *rest = (places.get(word, word) for word in words)
    code, out, error = said("edit", verb, model, *rest)
    assert (code, out) == (2, "")
    assert error.count("\n") == 1
    assert line in error
