"""A run measured while it trains: same bytes however often it was stopped, faults told."""

import json
from contextlib import closing

import numpy as np
import pytest
import torch

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.networks.unet import UNet
from unmist.run.best import Best
from unmist.run.card import write_card
from unmist.run.model import load
from unmist.run.recipe import Data, Measuring, Recipe, Saving
from unmist.run.settled import measured
from unmist.training.loop import Schooling
from unmist.workflows import midway
from unmist.workflows.average import average, search
from unmist.workflows.train import Order, training


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    """The judge is taught once for all tests here, and not kept in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNMIST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """1,300 bars in four classes: standing or lying, in one half or the other."""
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 60, (1300, 1, 8, 8)), draw.integers(0, 4, 1300)
    for row, kind in zip(x[:, 0], y, strict=True):
        place = 4 * (kind % 2) + draw.integers(0, 3)
        part = np.s_[place : place + 2] if kind < 2 else np.s_[:, place : place + 2]
        row[part] = draw.integers(150, 256)
    path = tmp_path_factory.mktemp("bars") / "bars.npz"
    np.savez(path, images=x.astype(np.uint8), labels=y)
    return path


def recipe(source, samples=50, by="frechet"):
    return Recipe(
        data=Data(source=str(source)),
        network=UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=()),
        training=Schooling(samples=320, batch=16),
        saving=Saving(checkpoint=112, look=1000, held=64),
        measuring=Measuring(every=96, samples=samples, steps=3, best=by),
    )


def kept(run):
    """All weights with what is told of them, the last checkpoint, and the log but for its times."""
    state = max((run / "state").iterdir())
    paths = [*sorted((run / "weights").rglob("*.*")), *sorted(state.iterdir())]
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    log = [{key: value for key, value in line.items() if key != "speed"} for line in lines]
    return {str(p.relative_to(run)): p.read_bytes() for p in paths if p.is_file()}, log


def run_to(recipe, folder, seen=10**9):
    """Train, and fall dead at the first report from `seen` samples on: nothing is saved then."""
    with closing(training(recipe, folder, Order(threads=1))) as reports:
        for report in reports:
            if report.seen >= seen:
                return


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    run_to(recipe(source), folder)
    return folder


def test_a_stopped_run_keeps_the_same_best_and_averages(source, whole, tmp_path):
    """Fails where a measure is lost or made twice after a crash, the best is forgotten, or stored
    averages of samples to be seen again stay."""
    for seen in (80, 96, 144, 208, 288, 304, 320):
        run_to(recipe(source), tmp_path / "run", seen)
    run_to(recipe(source), tmp_path / "run")
    (ours, log), (theirs, whole_log) = kept(tmp_path / "run"), kept(whole)
    assert log == whole_log
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []
    assert "weights/best.safetensors" in ours


def test_the_best_is_the_one_the_log_calls_best(whole):
    """Fails where the kept weights are not those of the lowest score, or cannot be loaded."""
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    found = {line["seen"]: line["measure"] for line in lines if "measure" in line}
    assert list(found) == [96, 192, 288, 320]
    best = min(found, key=lambda seen: found[seen]["frechet"])
    told = json.loads((whole / "weights" / "best.json").read_text())
    assert (told["seen"], told["value"]) == (best, found[best]["value"])
    assert told["sha256"] == files.digest(whole / "weights" / "best.safetensors")
    assert load(whole, weights="best").digest == told["sha256"]
    assert load(whole).digest != load(whole, weights="best").digest or best == 320
    assert found[best]["best"]
    assert f"weights/best.safetensors holds those after {best}" in write_card(whole).read_text()
    with pytest.raises(BadInput, match=r"there: .*best.*last"):
        load(whole, weights="bets")
    with pytest.raises(BadInput, match="no weights"):
        load(whole, weights="../../best")


def test_an_average_is_chosen_afterwards(whole):
    """Fails where a stored width is not given back to the bit, a width beyond reach is made, or the
    search does not leave the lowest held-out loss."""
    made = average(whole, 0.05)
    assert made.path.name == "averaged-0.05.safetensors"
    last = load(whole).denoiser.net.state_dict()
    again = load(whole, weights="averaged-0.05").denoiser.net.state_dict()
    assert all(torch.equal(last[name], again[name]) for name in last)
    found = search(whole, (0.04, 0.1))
    assert found.width == min(found.tried, key=lambda one: one.value).width
    worse = next(one for one in found.tried if one.width != found.width)
    assert worse.worse > 0 < worse.error
    with pytest.raises(BadInput, match=r"would miss \d+%"):
        average(whole, 0.004)


@pytest.mark.parametrize("fault", ["copies", "lost", "twins"])
def test_a_planted_fault_is_told(source, tmp_path, monkeypatch, fault):
    """Fails where samples that are copies, lack a class or repeat each other raise no alarm of
    their kind in report, log and card."""

    def drawn(net, recipe, count, steps, purpose, *_):
        data = opened["data"]
        rows, held = data.train, data.held
        if fault == "copies":
            chosen = rows[:count]
        elif fault == "lost":
            chosen = rows[data.labels[rows] < 3][:count]
        else:
            chosen = np.resize(held[:20], count)
        return torch.from_numpy(data.values[chosen])

    opened = {}
    made = midway.referee
    monkeypatch.setattr(midway, "draw", drawn)
    monkeypatch.setattr(
        "unmist.workflows.train.referee",
        lambda data, folder: opened.update(data=data) or made(data, folder),
    )
    plain = recipe(source, samples=200)
    lines = [line for report in training(plain, tmp_path / "run", Order(threads=1))
             for line in report.alarms]  # fmt: skip
    words = {"copies": "near copies of training", "lost": "the model loses it", "twins": "alike"}
    assert [line for line in lines if words[fault] in line], lines
    assert words[fault] in (tmp_path / "run" / "log.jsonl").read_text()
    assert words[fault] in write_card(tmp_path / "run").read_text()
    assert len(lines) == len(set(lines))


def test_short_runs_are_not_measured_unless_asked(source):
    """Fails where measuring by itself costs more than its share of a short run, or is left out of a
    long one."""
    from unmist.data.opening import open_data

    data, asked = open_data(source), recipe(source)
    every = {}
    for samples in (100_000, 200_000, 1_000_000):
        plan = Schooling(samples=samples, batch=16)
        long = measured(Recipe(data=asked.data, training=plan), data)
        every[samples] = long.measuring.every
    assert every == {100_000: -1, 200_000: 200_000 // 3, 1_000_000: 125_000}
    with pytest.raises(BadInput, match="no score 'fid'"):
        Measuring(best="fid")


def test_a_score_that_is_no_number_is_never_best():
    """Fails where nan takes the place of a score, or coverage counts downwards."""
    assert not Best(1, "frechet", 3.0).beaten(float("nan"))
    assert Best(1, "frechet", 3.0).beaten(2.0)
    assert Best(1, "coverage", 0.5).beaten(0.6)
    assert Best.from_plain(None) is None
