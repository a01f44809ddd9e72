"""Tuned plans: kept with the model, used by themselves, never where they are not better."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from unmist.base.faults import BadInput
from unmist.core.adams import Adams
from unmist.core.fitted import Fitted, Listed
from unmist.run import tuned as store
from unmist.run.model import load
from unmist.run.recipe import Sampling
from unmist.run.tuned import Tuned, keep_tuned, tuned_of, with_tuned
from unmist.training.tune import Candidate
from unmist.workflows import tune as workflow
from unmist.workflows.sample import Shot, sample, settled
from unmist.workflows.tune import Tuning, tune, tuning

ENTRY = Tuned(
    steps=4, what="levels", error=0.1, plain=0.2, gap=-0.1, doubt=0.01, seeds=8,
    solver=Adams(3, scale=1.3), spacing=Listed((60.0, 4.0, 1.0, 0.2)),
)  # fmt: skip


@pytest.fixture
def folder(run, tmp_path):
    """A copy of the model, to be written to."""
    return shutil.copytree(run, tmp_path / "model")


def test_found_kept_and_used(folder):
    """Fails if a fitted plan is not stored, is fitted twice, or is not what sampling then does."""
    asked = Tuning(budgets=(3,), seeds=8, fine=12)
    (first,) = tune(folder, asked)
    model = load(folder)
    assert tuned_of(folder, model.digest) == {3: first}
    (again,) = tuning(folder, asked)
    assert again.before
    assert again.tuned == first
    assert again.rows == 0
    assert first.better == (first.gap + 2 * first.doubt < 0)
    chosen = settled(model, Shot(steps=3))
    if first.better:
        assert first.error < first.plain
        assert (chosen.solver, chosen.spacing) == (first.solver, first.spacing)
    else:
        assert first.error == first.plain
        assert chosen == replace(model.recipe.sampling, steps=3)


def test_used_at_its_budget_only(folder):
    """Fails if a plan is used for other steps, beside a solver that was named, or with edits."""
    model = load(folder)
    keep_tuned(folder, model.digest, ENTRY)
    assert settled(model, Shot(steps=4)).spacing == ENTRY.spacing
    assert settled(model, Shot(steps=5)).spacing == model.recipe.sampling.spacing
    assert settled(model, Shot(steps=4, solver=Adams(2))).spacing == model.recipe.sampling.spacing
    assert settled(model, Shot(steps=4, eta=1.0)).spacing == model.recipe.sampling.spacing
    samples = sample(model, Shot(count=2, steps=4))
    assert samples.calls == 4
    told = samples.settings["sampling"]
    assert told["spacing"] == {"kind": "listed", "ratios": [60.0, 4.0, 1.0, 0.2]}
    plain = Shot(count=2, steps=4, spacing=model.recipe.sampling.spacing)
    assert not np.array_equal(samples.pixels, sample(model, plain).pixels)


def test_other_weights_have_their_own(folder):
    """Fails if weights are drawn with a plan that was fitted to others, or lose theirs."""
    keep_tuned(folder, "one", ENTRY)
    keep_tuned(folder, "two", replace(ENTRY, what="plain"))
    keep_tuned(folder, "one", replace(ENTRY, steps=12))
    assert sorted(tuned_of(folder, "one")) == [4, 12]
    assert with_tuned(Sampling(steps=4), folder, "one").spacing == ENTRY.spacing
    for digest in ("two", "three"):
        assert with_tuned(Sampling(steps=4), folder, digest) == Sampling(steps=4)


def test_never_worse(folder, monkeypatch):
    """Fails if a candidate that is worse on held-out seeds is stored as if it were better."""
    bad = Candidate(Listed((80.0, 0.02, 0.01)), Fitted())
    monkeypatch.setattr(workflow, "candidates", lambda *_: iter((bad, bad)))
    (found,) = tune(folder, Tuning(budgets=(3,), seeds=8, fine=12))
    assert found.what == "plain"
    assert found.gap > 0
    assert settled(load(folder), Shot(steps=3)).spacing != bad.spacing


def test_a_damaged_file_is_refused(folder):
    """Fails if what someone altered is drawn with, or the line does not name the file."""
    model = load(folder)
    keep_tuned(folder, model.digest, ENTRY)
    path = folder / store.TUNED
    table = json.loads(path.read_text())
    table["weights"][model.digest]["4"]["spacing"]["ratios"] = [1.0, 2.0]
    path.write_text(json.dumps(table))
    with pytest.raises(BadInput, match=r"tuned\.json\.4\.spacing"):
        settled(model, Shot(steps=4))
    path.write_text("{}")
    with pytest.raises(BadInput, match="tune again"):
        settled(model, Shot(steps=4))


def test_what_cannot_be_fitted():
    """Fails if no budget, too few seeds or a coarse reference is accepted."""
    for wrong in ({"budgets": ()}, {"budgets": (0,)}, {"seeds": 2}, {"fine": 8}):
        with pytest.raises(BadInput):
            Tuning(**wrong)
