"""A data set's own features: measured once, found again by content, never believed when damaged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from bars import bars

from unmist.data.opening import open_data
from unmist.metrics.features import extract
from unmist.run.recipe import Data
from unmist.workflows import blocks, statistics, workers
from unmist.workflows.blocks import Job, Reference, Rows
from unmist.workflows.judging import CLASSIFIER, Judge
from unmist.workflows.sealed import write_sealed
from unmist.workflows.statistics import (
    known_statistics,
    measuring,
    statistics_home,
    statistics_path,
)

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def data(source):
    return open_data(source)


@pytest.fixture
def features(data, cache):
    (cache / "statistics").mkdir(exist_ok=True)
    return Judge(CLASSIFIER, cache / "statistics").open(data)


@pytest.fixture
def job(source, features, cache, tmp_path):
    reference = Reference(Data(source=str(source)))
    judge = Judge(CLASSIFIER, cache / "statistics")
    return Job(Rows(reference), reference, judge, features.name, tmp_path, 0)


def measured(job, data, width=64):
    """The steps it took, and what is kept."""
    steps = list(measuring(job, data, 400, 1))
    return steps, known_statistics(statistics_path(job.place, data, job.features), data, width)


def test_both_parts_are_measured_and_found_again(job, data, features):
    """Fails if a row's features are another row's, or parts are mixed."""
    steps, found = measured(job, data)
    assert steps == [(done, 5) for done in range(1, 6)]
    assert found.train_rows.tolist() == data.train.tolist()
    assert found.held_rows.tolist() == data.held.tolist()
    truth = extract(features, data.values[data.held])
    torch.testing.assert_close(found.held, truth)
    torch.testing.assert_close(found.probabilities, features.probabilities_of(truth))
    assert [path.suffix for path in job.place.iterdir()] == [".safetensors"]


def test_a_killed_measuring_goes_on(job, data, monkeypatch):
    """Fails if kept blocks are measured again."""
    steps = measuring(job, data, 400, 1)
    assert next(steps) == (1, 5)
    steps.close()
    made, real = [], workers.make_block
    monkeypatch.setattr(workers, "make_block", lambda p, b: made.append(b) or real(p, b))
    assert measured(job, data)[0] == [(done, 5) for done in range(2, 6)]
    assert made[0] == (400, 800)


@pytest.mark.parametrize("harm", ["flipped", "cut", "empty", "other rows", "other width"])
def test_what_is_damaged_is_no_statistics(job, data, harm):
    """Fails if a file that is not as it was written is believed."""
    _, found = measured(job, data)
    path = statistics_path(job.place, data, job.features)
    content = path.read_bytes()
    if harm == "flipped":
        path.write_bytes(content[:-40] + bytes([content[-40] ^ 4]) + content[-39:])
    elif harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "other rows":
        rows = found.train_rows + 1
        write_sealed(path, replace(found, train_rows=rows).tensors())
    assert known_statistics(path, data, 32 if harm == "other width" else 64) is None


def test_other_data_and_features_have_files_of_their_own(job, data, tmp_path):
    """Fails if content or features do not tell two files apart, or a name leaves the folder."""
    np.save(tmp_path / "other.npy", bars(300, 9)[0])
    other = open_data(tmp_path / "other.npy")
    names = {
        statistics_path(tmp_path, which, features)
        for which in (data, other)
        for features in ("labels-a", "labels_a", "dino:../../x/y", "dino:.._.._x_y")
    }
    assert len(names) == 8
    assert {path.parent for path in names} == {tmp_path}


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    """Fails if a home without room for a cache stops an evaluation."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UNMIST_CACHE", str(tmp_path / "file"))
    assert statistics_home(tmp_path / "here") == tmp_path / "here"


def test_large_parts_are_thinned_alike_everywhere(monkeypatch, data):
    """Fails if a cap is passed, or two processes draw different rows."""
    monkeypatch.setattr(blocks, "TRAIN_MOST", 100)
    rows = blocks.rows_of(data, "train")
    assert len(set(rows.tolist())) == 100
    assert rows.tolist() == sorted(rows)
    assert set(rows.tolist()) <= set(data.train.tolist())
    assert rows.tolist() == statistics.rows_of(data, "train").tolist()
