"""The noise mark put in by sampling and found by verify."""

from dataclasses import replace

import numpy as np
import pytest

from unmist.base.faults import BadInput
from unmist.cli.main import main
from unmist.core.solver import Ancestral
from unmist.run.model import load
from unmist.run.picture import read_settings, save_picture
from unmist.workflows import noise_witness as witness
from unmist.workflows.sample import Shot, sample
from unmist.workflows.shots import shot_like
from unmist.workflows.verify import verify


@pytest.fixture(autouse=True)
def keys(tmp_path, monkeypatch):
    """Keys of the test's own."""
    monkeypatch.setenv("UNMIST_KEYS", str(tmp_path / "keys"))
    return tmp_path / "keys"


@pytest.fixture
def drawn(run, tmp_path):
    """Four marked samples of the model, in files."""
    assert main(["sample", str(run), "--count", "4", "--mark", "--to", str(tmp_path / "out")]) == 0
    return tmp_path / "out"


def noise_said(path, run, keys=None):
    return verify(path, keys=keys, model=run).named("noise")


def test_few_steps_are_told_to_lose_the_mark(run, tmp_path, capsys):
    """Fails if it is put where it will not be found, and nobody says so; or said of enough."""
    for steps, said in ((4, True), (12, False)):
        to = tmp_path / str(steps)
        words = [
            "sample",
            str(run),
            "--count",
            "1",
            "--mark",
            "--steps",
            str(steps),
            "--to",
            str(to),
        ]
        assert main(words) == 0
        assert ("the noise mark is seldom found again" in capsys.readouterr().err) is said


def test_a_marked_sample_is_found(drawn, run):
    """Fails if the mark is not put in, the way back is another, or its odds are not told."""
    path = drawn / "0-000002.png"
    found = noise_said(path, run)
    assert found.yes
    assert found.log10_p < -10
    assert "seed 0, sample 2" in found.said
    asked = verify(path, model=run)
    assert "made by AI (by its noise" in asked.what
    assert asked.who == "whoever holds this key of a noise mark"


def test_without_settings_seeds_are_tried(drawn, run, tmp_path, monkeypatch):
    """Fails if a bare picture is not found under the first seeds, at the price of the trials."""
    monkeypatch.setattr(witness, "SEEDS", 2)
    monkeypatch.setattr(witness, "NUMBERS", 64)
    from PIL import Image

    bare = tmp_path / "bare.png"
    Image.open(drawn / "0-000003.png").copy().save(bare, pnginfo=None)
    pixels = np.asarray(Image.open(bare))
    Image.fromarray(pixels).save(bare)
    found = noise_said(bare, run)
    assert found.yes
    assert "sample 3" in found.said


def test_others_are_not_found(run, tmp_path, keys):
    """Fails if an unmarked sample, or one marked with another key, is taken for one's own."""
    model = load(run)
    plain = sample(model, Shot(count=1))
    marked = sample(model, Shot(count=1, mark=True))
    assert not np.array_equal(plain.pixels, marked.pixels)
    assert "mark" not in plain.settings
    for name, samples in (("plain", plain), ("marked", marked)):
        save_picture(tmp_path / f"{name}.png", samples.pixels[0], samples.settings)
    assert not noise_said(tmp_path / "plain.png", run).yes
    other = tmp_path / "other"
    assert noise_said(tmp_path / "marked.png", run, other).yes is None  # no key is there
    (other).mkdir()
    (other / "secret").write_text("07" * 32 + "\n")
    assert not noise_said(tmp_path / "marked.png", run, other).yes
    assert noise_said(tmp_path / "marked.png", run).yes


def test_a_marked_sample_is_drawn_again(drawn, run, monkeypatch, tmp_path):
    """Fails if --like forgets the mark, or draws another picture with another key."""
    model, path = load(run), drawn / "0-000001.png"
    shot = shot_like(model, path)
    assert shot.mark
    again = replace(shot, count=1)
    from PIL import Image

    assert np.array_equal(sample(model, again).pixels[0, 0], np.asarray(Image.open(path)))
    assert len(read_settings(path)["mark"]) == 16
    monkeypatch.setenv("UNMIST_KEYS", str(tmp_path / "others"))
    with pytest.raises(BadInput, match="marked with another key"):
        shot_like(model, path)


def test_noise_on_the_way_is_refused(run):
    """Fails if a picture is called marked whose mark is drowned."""
    model = load(run)
    for shot in (Shot(mark=True, eta=1.0), Shot(mark=True, solver=Ancestral())):
        with pytest.raises(BadInput, match="noise added on the way hides the mark"):
            sample(model, shot)


def test_what_is_no_picture_of_the_model_is_said(run, tmp_path, drawn):
    """Fails if a picture of another size ends in a trace."""
    from PIL import Image

    Image.new("L", (99, 9)).save(tmp_path / "wide.png")
    found = noise_said(tmp_path / "wide.png", run)
    assert found.yes is None
    assert "the picture is" in found.said
