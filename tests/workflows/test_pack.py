"""A packed model: the same drawings, nothing but what drawing needs, found by name if shipped."""

import shutil

import numpy as np
import pytest

from unmist.base.faults import BadInput
from unmist.cli.main import main
from unmist.core.adams import Adams
from unmist.core.fitted import Listed
from unmist.run import shipped
from unmist.run.model import load
from unmist.run.tuned import Tuned, keep_tuned, tuned_of
from unmist.workflows.distill import Lessons, distill
from unmist.workflows.order import Order
from unmist.workflows.pack import pack
from unmist.workflows.sample import Shot, sample
from unmist.workflows.tune import Tuning, tune

ENTRY = Tuned(
    steps=4, what="levels", error=0.1, plain=0.2, gap=-0.1, doubt=0.01, seeds=8,
    solver=Adams(3, scale=1.3), spacing=Listed((60.0, 4.0, 1.0, 0.2)),
)  # fmt: skip
SHORT = {"training.samples": 64, "student.inner": 2}


@pytest.fixture
def folder(run, tmp_path):
    """A copy of the model with a plan fitted to it."""
    folder = shutil.copytree(run, tmp_path / "model")
    keep_tuned(folder, load(folder).digest, ENTRY)
    return folder


def test_a_copy_draws_the_same(folder, tmp_path):
    """Fails if weights, plans or settings are lost, or checkpoints are carried along."""
    made = pack(folder, tmp_path / "copy")
    ours, theirs = load(folder), load(tmp_path / "copy")
    assert theirs.digest == ours.digest
    assert tuned_of(theirs.folder, theirs.digest) == {4: ENTRY}
    shot = Shot(count=3, steps=4)
    assert np.array_equal(sample(theirs, shot).pixels, sample(ours, shot).pixels)
    names = {path.name for path in made.folder.iterdir()}
    assert {"recipe.toml", "weights", "card.md", "tuned.json"} <= names
    assert not names & {"state", "looks", "averages"}
    assert made.bytes == sum(p.stat().st_size for p in made.folder.rglob("*") if p.is_file())
    assert made.left == ()


def test_half_the_bytes_nearly_the_same(folder, tmp_path):
    """Fails if float16 weights cannot be loaded, or keep plans that were fitted to others."""
    made = pack(folder, tmp_path / "copy", half=True)
    whole, half = ((place / "weights" / "model.safetensors").stat().st_size
                   for place in (folder, made.folder))  # fmt: skip
    assert half < 0.6 * whole
    assert made.left == ("tuned.json",)
    assert not (made.folder / "tuned.json").exists()
    shot = Shot(count=4)
    ours, theirs = (sample(load(place), shot).pixels for place in (folder, made.folder))
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 4
    again = pack(made.folder, tmp_path / "again", half=True)
    assert load(again.folder).digest == load(made.folder).digest


def test_finished_students_go_along(folder, tmp_path):
    """Fails if a student is lost, or one that is still being taught is given away."""
    distill(folder, Lessons(steps=2, settings=SHORT, order=Order(threads=1)))
    shutil.copytree(folder / "student-2", folder / "student-4")
    log = folder / "student-4" / "log.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:1]))
    made = pack(folder, tmp_path / "copy", half=True)
    assert made.students == ("student-2",)
    assert sample(load(made.folder / "student-2"), Shot(count=2)).calls == 2


def test_what_is_there_stays(folder, tmp_path):
    """Fails if a folder is overwritten."""
    (tmp_path / "there").mkdir()
    with pytest.raises(BadInput, match="is there already"):
        pack(folder, tmp_path / "there")
    assert list((tmp_path / "there").iterdir()) == []


def test_shipped_models_go_by_name(folder, tmp_path, monkeypatch, capsys):
    """Fails if a name is not found, hides a run of that name, or a shipped model is written to."""
    monkeypatch.setattr(shipped, "MODELS", tmp_path / "models")
    pack(folder, tmp_path / "models" / "bars", half=True)
    monkeypatch.chdir(tmp_path)
    assert shipped.shipped() == ("bars",)
    assert load("bars").folder == tmp_path / "models" / "bars"
    assert main(["sample", "bars", "--count", "2"]) == 0
    assert (tmp_path / "bars" / "samples" / "grid.png").is_file()
    assert load("bars").folder == tmp_path / "models" / "bars"  # samples are no run
    assert list((tmp_path / "models" / "bars").glob("samples")) == []
    with pytest.raises(BadInput, match="copy it first: unmist pack bars --to FOLDER"):
        tune("bars", Tuning(budgets=(3,), seeds=8, fine=12))
    with pytest.raises(BadInput, match="or a model that comes with unmist: bars"):
        load("brs")
    capsys.readouterr()
    assert main(["pack", "bars", "--to", "mine"]) == 0
    assert "mine: " in capsys.readouterr().out
    shutil.rmtree(tmp_path / "bars")
    shutil.copytree(folder, tmp_path / "bars")
    assert load("bars").folder.resolve() == tmp_path / "bars"
