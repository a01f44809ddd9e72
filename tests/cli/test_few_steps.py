"""`unmist tune` and `unmist distill` as they are typed."""

import json
import shutil

import pytest


@pytest.fixture
def folder(model, tmp_path):
    """A copy of the model, to be written to."""
    return shutil.copytree(model, tmp_path / "model")


def test_tune_tells_and_keeps(said, folder):
    """Fails if a budget has no line with both errors, or a second call fits it again."""
    words = ("tune", folder, "--steps", "3", "--seeds", "8")
    code, out, err = said(*words)
    assert code == 0, err
    assert out.startswith(" 3 steps  ")
    assert "plain" in out
    assert "8 held-out seeds" in out
    assert (folder / "tuned.json").is_file()
    code, out, _ = said(*words, "--json")
    told = json.loads(out)
    assert (code, told["before"], told["tuned"]["steps"]) == (0, True, 3)


@pytest.mark.parametrize("steps", ["", "x", "3-", "12-3", "0", "1000", "3;4"])
def test_tune_refuses_steps_in_one_line(said, folder, steps):
    """Fails if what names no number of steps is guessed at."""
    code, _, err = said("tune", folder, "--steps", steps)
    assert code == 2
    assert err.count("\n") == 1


def test_distill_and_draw(said, folder, tmp_path):
    """Fails if the student is not in the model's folder, or does not draw in its two steps."""
    short = ("--set", "training.samples=32", "--set", "student.inner=2")
    code, _, err = said("distill", folder, "--steps", "2", *short)
    assert code == 0, err
    code, _, err = said("sample", folder / "student-2", "--count", "1", "--to", tmp_path / "out")
    assert code == 0, err
    assert "2 network evaluations" in err
    for wrong in (("--steps", "3"), ("--from", folder)):
        code, _, err = said("distill", folder, *wrong)
        assert code == 2
        assert err.count("\n") == 1
    code, _, err = said("tune", folder / "student-2")
    assert code == 2
    assert "its own" in err
