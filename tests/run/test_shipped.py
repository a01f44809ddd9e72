"""The models that come with the package: whole, small, measured, and drawn by their names."""

import json

import numpy as np
import pytest

from unmist.cli.main import main
from unmist.run.model import load
from unmist.run.picture import read_settings
from unmist.run.shipped import MODELS, shipped
from unmist.run.tuned import tuned_of
from unmist.workflows.sample import Shot, sample

LIMIT = 25 * 2**20  # bytes together: each version stays in the history


def test_they_are_small_and_nothing_else_is_there():
    """Fails if weights of full size, checkpoints or logs of looks slip in."""
    files = [path for path in MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LIMIT
    assert not [path for path in files if {"state", "looks", "averages"} & set(path.parts)]
    assert {"digits", "emoji"} <= set(shipped())


@pytest.mark.parametrize("name", shipped())
def test_each_is_measured_tuned_and_taught(name):
    """Fails if card, scores or plans are missing or belong to other weights, or a student is."""
    model = load(name)
    assert (model.folder / "card.md").is_file()
    scores = json.loads((model.folder / "scores.json").read_text())
    assert scores["settings"]["hash"] == model.digest
    assert any(entry.better for entry in tuned_of(model.folder, model.digest).values())
    student = load(f"{name}/student-2")
    assert sample(student, Shot(count=1)).calls == 2


def test_a_wish_is_drawn_by_name(tmp_path, monkeypatch):
    """Fails if a base installation cannot show a red heart: reds must lead in most samples."""
    monkeypatch.chdir(tmp_path)
    words = ["sample", "emoji", "--prompt", "red heart", "--count", "6", "--steps", "8"]
    assert main([*words, "--scale", "3", "--to", "hearts"]) == 0
    told = read_settings(tmp_path / "hearts" / "0-000000.png")
    assert told["wish"] == {"text": "red heart"}
    pixels = sample(load("emoji"), Shot(count=6, steps=8, wish={"text": "red heart"})).pixels
    inside = pixels[:, :, 8:24, 8:24].astype(int).mean((2, 3))
    red = (inside[:, 0] > inside[:, 1] + 60) & (inside[:, 0] > inside[:, 2] + 60)
    assert red.sum() >= 4


def test_classes_are_those_asked():
    """Fails if the digits model draws other classes than it is told, by their ink alone."""
    drawn = sample(load("digits"), Shot(count=20, steps=8, wish={"label": ("1", "0")})).pixels
    ink = drawn.mean((1, 2, 3))
    assert np.median(ink[::2]) < 0.7 * np.median(ink[1::2])  # a one has less than a nought
