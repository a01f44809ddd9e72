"""The way of a user through the command line: train, sample, repeat, look, describe, stop."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from unmist.base import files
from unmist.cli.main import main
from unmist.run.card import write_card
from unmist.run.model import WEIGHTS
from unmist.run.picture import read_settings

SMALL = [
    *("--set", "training.batch=32", "--set", "network.width=8"),
    *("--set", "saving.look=320", "--set", "saving.held=320", "--set", "saving.checkpoint=320"),
    *("--set", "sampling.steps=4", "--set", "sampling.solver=unipc"),
    *("--set", "sampling.spacing=karras"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of 640 digits."""
    folder = tmp_path_factory.mktemp("story") / "digits8"
    assert (
        main(["train", "digits", "--to", str(folder), "--set", "training.samples=640", *SMALL]) == 0
    )
    return folder


@pytest.fixture
def told(capsys):
    """Run a command line that must succeed; what it printed as JSON."""

    def call(*words):
        capsys.readouterr()
        assert main([str(word) for word in (*words, "--json")]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return [json.loads(line) for line in out.splitlines()]

    return call


def opened(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_training_tells_programs_every_step(told, run, tmp_path):
    """Fails if a line is no JSON, samples run backwards, or the end is not told."""
    lines = told("train", "digits", "--to", tmp_path / "r", "--set", "training.samples=128", *SMALL)
    seen = [line["seen"] for line in lines[:-1]]
    assert seen == sorted(seen)
    assert seen[-1] == 128
    assert lines[-2]["finished"]
    assert lines[-1] == {"finished": True, "model": str(tmp_path / "r")}
    assert all(line["loss"] > 0 for line in lines[:-2])


def test_a_plan_writes_nothing(told, tmp_path, monkeypatch):
    """Fails if --plan trains, or leaves anything."""
    monkeypatch.chdir(tmp_path)
    (estimate,) = told("train", "digits", "--plan", "--set", "training.samples=640", *SMALL)
    assert estimate["samples"] == 640
    assert estimate["seconds"] > 0
    assert estimate["parameters"] > 1000
    assert list(tmp_path.iterdir()) == []


def test_a_sample_repeats_itself_from_its_picture(told, run, tmp_path):
    """Fails if a setting is lost on the way through the file, or ids follow the batch."""
    (first,) = told(
        *("sample", run, "--count", "5", "--seed", "3", "--set", "exact=true"),
        *("--set", "solver=heun", "--set", "eta=0.5", "--to", tmp_path / "five", "--film"),
    )
    assert len(first["pictures"]) == 5
    third = tmp_path / "five" / "3-000002.png"
    (again,) = told("sample", run, "--like", third, "--to", tmp_path / "again")
    assert np.array_equal(opened(again["pictures"][0]), opened(third))
    assert again["settings"] == {**first["settings"], "sample": 2}
    (grid,) = told("sample", run, "--like", tmp_path / "five" / "grid.png", "--to", tmp_path / "g")
    assert [opened(p).tobytes() for p in grid["pictures"]] == [
        opened(p).tobytes() for p in first["pictures"]
    ]
    with Image.open(first["film"]) as film:
        assert film.n_frames == first["settings"]["sampling"]["steps"] * 2 - 1
    assert read_settings(first["grid"])["hash"] == files.digest(run / WEIGHTS)


def test_another_model_may_repeat_a_picture_only_when_told(told, run, tmp_path, capsys):
    """Fails if the flag is not needed, or does not help."""
    other = tmp_path / "other"
    lines = told(
        "train", "digits", "--to", other, "--seed", "1", "--set", "training.samples=32", *SMALL
    )
    assert lines
    (made,) = told("sample", run, "--count", "1", "--to", tmp_path / "a")
    like = ["sample", str(other), "--like", made["pictures"][0], "--to", str(tmp_path / "b")]
    assert main(like) == 2
    assert "another model made it (digits8" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
    (again,) = told(*like, "--other-model")
    assert not np.array_equal(opened(again["pictures"][0]), opened(made["pictures"][0]))


def test_a_run_is_looked_at(told, run, tmp_path):
    """Fails if a figure is not the log's last, or curves and strip are not drawn."""
    (found,) = told("look", run, "--to", tmp_path)
    last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    assert (found["state"], found["seen"], found["samples"]) == ("finished", 640, 640)
    assert found["loss"] == pytest.approx(last["loss"])
    assert found["held"] == pytest.approx(last["held"]["mean"])
    assert found["recipe"]["network"].startswith("unet, width 8, ")
    looks = sorted((run / "looks").glob("*.png"))
    strip, look = opened(found["strip"]), opened(looks[-1])
    assert np.array_equal(strip[:, -look.shape[1] :], look)
    assert opened(found["curves"]).shape[2] >= 3


def test_the_card_says_only_what_the_files_say(run, tmp_path):
    """Fails if a figure is invented, a measure missed, or a path of this machine printed."""
    folder = tmp_path / "digits8"
    shutil.copytree(run, folder)
    text = write_card(folder).read_text()
    assert files.digest(run / WEIGHTS) in text
    assert "5000 rows, 4498 for training, 502 held out" in text
    assert "640 of 640 samples seen, each training row about 0.1 times" in text
    assert "CC BY-SA 3.0" in text
    assert "None were made yet" in text
    assert str(tmp_path) not in text
    scores = {"frechet": {"value": 12.5, "floor": 1.5}, "settings": {"seed": 1}, "a|b": "c|d"}
    files.write_json(folder / "scores.json", scores)
    text = write_card(folder).read_text()
    assert "| frechet value | 12.5 |" in text
    assert "| a/b | c/d |" in text
    assert "None were made" not in text
    assert "| settings" not in text


def test_a_stopped_run_says_so_and_goes_on(tmp_path):
    """Fails if SIGTERM loses the step, ends with another code, or prints a trace."""
    words = ["train", "digits", "--to", str(tmp_path / "r"), "--set", "training.samples=6400"]
    command = [sys.executable, "-m", "unmist", *words, *SMALL]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        log = tmp_path / "r" / "log.jsonl"
        while not log.exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
    assert process.returncode == 143
    assert "Traceback" not in err
    assert err.splitlines()[-1].endswith("stopped and saved; the same command goes on from here")
    newest = max(int(path.name[5:]) for path in (tmp_path / "r" / "state").glob("step-*"))
    seen = json.loads(log.read_text().splitlines()[0])["seen"]
    assert newest >= seen > 0
    assert newest < 6400


def test_start_goes_the_whole_way(told, tmp_path, monkeypatch):
    """Fails if grid, animation, samples or card are missing, or a finished run is trained again."""
    monkeypatch.chdir(tmp_path)
    dots = np.random.default_rng(0).integers(0, 256, (96, 1, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "dots.npz", x=dots)
    places = told("start", "--data", "dots.npz", "--budget", "0.5s")[-1]
    assert places["finished"]
    assert read_settings(places["grid"])["count"] == 64
    assert len(list((tmp_path / places["samples"]).glob("0-*.png"))) == 64
    with Image.open(places["animation"]) as film:
        assert film.n_frames > 5
    assert "# unmist-dots" in (tmp_path / places["card"]).read_text()
    weights = tmp_path / "unmist-dots" / WEIGHTS
    before = weights.stat()
    assert told("start", "--data", "dots.npz", "--budget", "0.5s")[-1] == places
    assert weights.stat() == before
