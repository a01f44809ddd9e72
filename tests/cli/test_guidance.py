"""Guidance from the command line: scales measured and kept, a classifier taught, samples led."""

import json

import pytest

from unmist.cli.main import main
from unmist.run.picture import read_settings
from unmist.workflows import classifying


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A finished run of 256 digits with their labels."""
    folder = tmp_path_factory.mktemp("runs") / "told"
    flags = ("samples=256", "batch=32")
    few = [word for flag in flags for word in ("--set", f"training.{flag}")]
    small = [*few, "--set", "network.width=8", "--set", "sampling.steps=3"]
    assert main(["train", "digits", "--on", "label", "--to", str(folder), *small]) == 0
    return folder


def test_samples_are_led(said, told, tmp_path):
    """Fails if --scale and --negative do not reach the picture's settings, or cost is not told."""
    place = tmp_path / "led"
    flags = ("--class", "3", "--scale", "1,2.5", "--negative", "8", "--set", "guide.rescale=0.5")
    code, _, err = said("sample", told, "--count", "2", "--to", place, *flags)
    assert code == 0
    assert "5 network evaluations each" in err  # one of them is led, in 3 steps: 9 rows for two
    settings = read_settings(next(iter(sorted(place.glob("*.png")))))
    guide = settings["sampling"]["guide"]
    assert guide["scale"] == [1.0, 2.5]
    assert guide["negative"] == {"label": "8"}
    assert guide["rescale"] == 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--scale", "much"), "'much' is no scale"),
        (("--negative", "ten"), "no class 'ten'"),
        (("--set", "guide.classifier=2"), "unmist train --classifier"),
        (("--set", "guide.scales.text=2"), "follows no 'text'"),
        (("--set", "guide.skale=2"), "did you mean"),
    ],
)
def test_slips_are_refused_in_one_line(said, told, tmp_path, words, message):
    """Fails if a slip ends in a trace, or draws something else."""
    code, _, err = said("sample", told, "--to", tmp_path / "x.png", *words)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "x.png").exists()


def test_a_scale_is_measured_kept_and_said(said, told, tmp_path, monkeypatch):
    """Fails if evaluate --scales keeps nothing, or sample does not say that it uses it."""
    monkeypatch.setenv("UNMIST_CACHE", str(tmp_path / "cache"))
    flags = ("--scales", "2,3", "--count", "100", "--steps", "2", "--json")
    code, out, _ = said("evaluate", told, *flags)
    assert code == 0
    curve = json.loads(out)
    assert [point["scale"] for point in curve["points"]] == [2.0, 2.0, 3.0, 3.0]
    assert (told / "guide" / "scale.png").is_file()
    code, _, err = said("sample", told, "--count", "1", "--to", tmp_path / "one.png")
    assert code == 0
    below = " below sigma/alpha 4" if curve["high"] else ""
    assert f"guided at scale {curve['scale']:g}{below}, as measured for this model" in err
    code, _, err = said("evaluate", tmp_path, "--scales", "1")
    assert code == 2
    assert "these are pictures" in err


def test_a_classifier_is_taught_and_leads(said, told, tmp_path, monkeypatch):
    """Fails if train --classifier leaves nothing that sample can use, or takes data beside it."""
    monkeypatch.setattr(classifying, "SAMPLES", 128)
    monkeypatch.setattr(classifying, "MOST", 100)
    code, _, err = said("train", "--classifier", told)
    assert code == 0
    assert "named right, by sigma/alpha" in err
    lead = ("--set", "guide.classifier=2", "--to", tmp_path / "one.png", "--count", "1")
    assert said("sample", told, *lead)[0] == 0
    code, _, err = said("train", "digits", "--classifier", told)
    assert code == 2
    assert "two things to train" in err
