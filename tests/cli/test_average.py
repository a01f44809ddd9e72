"""`unmist average`, and the weights that `unmist sample` draws with."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def mine(model, tmp_path):
    """A copy of the model to leave things in."""
    return shutil.copytree(model, tmp_path / "mine")


def test_an_average_is_left_and_sampled_with(said, mine, tmp_path):
    """Fails where the file is not where it is said, or --weights draws with other weights."""
    code, out, _ = said("average", mine, "--width", "0.05", "--json")
    assert code == 0
    made = json.loads(out)
    assert made["path"].endswith("averaged-0.05.safetensors")
    assert (made["width"], made["seen"], made["missed"]) == (0.05, 256, 0.0)
    pictures = []
    for weights in ("last", "averaged-0.05"):
        place = tmp_path / f"{weights}.png"
        draw = ("sample", mine, "--count", "1", "--to", place, "--weights", weights)
        assert said(*draw)[0] == 0
        with Image.open(place) as image:
            pictures.append(np.asarray(image))
    assert np.array_equal(*pictures)


def test_the_widths_tried_are_listed_best_marked(said, mine):
    """Fails where the search says nothing of what it tried, or marks none or two as the best."""
    code, out, _ = said("average", mine, "--search", "--width", "0.05", "--width", "0.1")
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[1] for line in lines[:2]] == ["0.05", "0.1"]
    assert sum("<- best" in line for line in lines) == 1
    assert lines[-1].endswith(".safetensors")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "which width is not said; give one --width, or --search"),
        (("--width", "0.003"), "of its average's profile; choose one nearer to the stored"),
        (("--width", "7"), "width 7"),
        (("--search", "--by", "fid"), "no score 'fid'"),
    ],
)
def test_what_cannot_be_averaged_is_refused(said, mine, words, told):
    """Fails where a slip ends in a trace, another code, or a file."""
    before = sorted(mine.rglob("*"))
    code, _, err = said("average", mine, *words)
    assert code == 2
    assert told in err
    assert len(err.splitlines()) == 1
    assert sorted(mine.rglob("*")) == before


def test_weights_that_are_not_there_are_named(said, mine):
    """Fails where a run that was not measured draws with other weights than asked for."""
    code, _, err = said("sample", mine, "--count", "1", "--weights", "best")
    assert code == 2
    assert "no weights 'best' here (there: last)" in err
