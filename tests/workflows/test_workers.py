"""Several processes make the same blocks as one; one that fails or dies is told in a line."""

import os
import signal
from dataclasses import replace

import pytest

from unmist.base.faults import Fault
from unmist.data.opening import open_data
from unmist.run.model import load
from unmist.workflows import workers
from unmist.workflows.blocks import Drawn, Job, Reference, divided, missing
from unmist.workflows.judging import CLASSIFIER, Judge
from unmist.workflows.sample import Shot
from unmist.workflows.shots import whole_shot
from unmist.workflows.workers import made, processes_for

pytestmark = pytest.mark.usefixtures("cache")
BLOCKS = divided(70, 20)


@pytest.fixture
def data(source):
    return open_data(source)


@pytest.fixture
def job(run, cache, data, tmp_path):
    """Seventy samples in four blocks."""
    model, judge = load(run), Judge(CLASSIFIER, cache / "statistics")
    judge.keep.mkdir(exist_ok=True)
    shot = whole_shot(model, Shot(seed=1, steps=2))
    reference = Reference(model.recipe.data)
    drawn = Drawn(model.folder, model.digest, shot)
    return Job(drawn, reference, judge, judge.open(data).name, tmp_path, 50)


def contents(job):
    return [job.path(block).read_bytes() for block in BLOCKS]


def test_two_processes_make_what_one_makes(job, data, tmp_path):
    """Fails if a block depends on who made it, is made twice, or is left out."""
    other = replace(job, place=tmp_path / "two")
    other.place.mkdir()
    assert list(made(job, BLOCKS, 1, data)) == [1, 2, 3, 4]
    counts = list(made(other, BLOCKS, 2, data))
    assert counts == sorted(counts)
    assert counts[-1] == 4
    assert contents(job) == contents(other)
    assert missing(other, BLOCKS) == ()


def test_a_fault_in_a_process_is_the_command_s_own(job, data):
    """Fails if a process's refusal is lost, or comes as a trace."""
    wrong = replace(job, features="labels-00000000")
    with pytest.raises(Fault, match="the features came out as labels-") as refused:
        list(made(wrong, BLOCKS, 2, data))
    assert refused.value.code == 2
    assert refused.value.mend == "measure with --processes 1"


def test_a_process_that_is_killed_is_told(job, data, monkeypatch):
    """Fails if a dead process is waited for, or its blocks are missed in silence."""
    real = workers._hired

    def killed(*words):
        worker = real(*words)
        if worker.number == 1:
            os.kill(worker.process.pid, signal.SIGKILL)
        return worker

    monkeypatch.setattr(workers, "_hired", killed)
    with pytest.raises(Fault) as told:
        list(made(job, BLOCKS, 2, data))
    assert str(told.value).startswith("evaluate: process 2 of 2 died (killed by signal 9); its")


def test_changed_weights_are_refused(job, data):
    """Fails if blocks of two trainings go into one score."""
    moved = replace(job, source=replace(job.source, digest="0" * 64))
    with pytest.raises(Fault, match="the weights changed while they were measured"):
        list(made(moved, BLOCKS, 1, data))


def test_few_blocks_are_not_worth_many_processes(monkeypatch):
    """Fails if every small evaluation starts all cores, or a large one only one."""
    monkeypatch.setattr(workers, "cores", lambda: 8)
    assert [processes_for(0, blocks) for blocks in (0, 1, 7, 8, 12, 400)] == [1, 1, 1, 2, 3, 8]
    assert processes_for(5, 3) == 3
    assert processes_for(1, 400) == 1
