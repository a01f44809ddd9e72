"""A run that is killed at any instant goes on and ends with the same bytes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unmist.networks.unet import UNet
from unmist.run import course
from unmist.run.recipe import Data, Recipe, Saving
from unmist.training.loop import Schooling
from unmist.workflows.order import Order
from unmist.workflows.train import train


def kill(folder: Path, runs: int, kills: int, number: int) -> dict:
    draw = np.random.default_rng(0)
    np.savez(folder / "data.npz", x=draw.integers(0, 256, (96, 1, 8, 8), dtype=np.uint8))
    script = Path(__file__).with_name("killing.py")
    call = [sys.executable, str(script), str(folder), "1", str(runs), str(kills), str(number)]
    done = subprocess.run(
        call,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def final_files(run: Path) -> dict[str, bytes]:
    """All weights, stored averages among them, and the whole last checkpoint."""
    state = max((run / "state").iterdir())
    weights = sorted((run / "weights").rglob("*.safetensors"))
    assert len(weights) == 1 + 2 * (5 + 1)  # two widths at five points and at the early one
    files = [*weights, *sorted(state.iterdir())]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_runs_end_with_the_same_bytes(tmp_path, number):
    """Fails where a kill loses a checkpoint, leaves half a one, or where anything random, the
    optimizer's state, the order or the average is not restored to the bit."""
    runs, kills = (4, 25) if number == signal.SIGKILL else (1, 10)
    report = kill(tmp_path, runs, kills, int(number))
    print(report)
    assert sum(report["kills"]) == runs * kills
    whole = final_files(tmp_path / "whole")
    for i in range(runs):
        assert final_files(tmp_path / f"run{i}") == whole


def seen(run: Path) -> list[int]:
    return [json.loads(line)["seen"] for line in (run / "log.jsonl").read_text().splitlines()]


def test_the_log_of_a_killed_run_counts_every_report_once(tmp_path):
    """Fails where lines after the checkpoint stay in the log of a resumed run, or are lost."""
    kill(tmp_path, 1, 12, int(signal.SIGKILL))
    assert seen(tmp_path / "run0") == seen(tmp_path / "whole")


@pytest.mark.parametrize("part", ["weights", "checkpoint"])
def test_a_run_stopped_within_its_last_save_ends_with_the_same_bytes(tmp_path, part, monkeypatch):
    """Fails if the last checkpoint is there before the weights for sampling: the run is at its end
    then, goes on nowhere, and keeps weights of the save before."""
    draw = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=draw.integers(0, 256, (96, 1, 8, 8), dtype=np.uint8))
    recipe = Recipe(
        data=Data(source=str(tmp_path / "data.npz")),
        network=UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=()),
        training=Schooling(samples=480, batch=8),
        saving=Saving(checkpoint=16, look=1000, held=160),
    )
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(recipe, whole, Order(threads=1))
    place, name = {
        "weights": (course, "write_weights"),
        "checkpoint": (course.checkpoint, "save"),
    }[part]
    plain, calls = getattr(place, name), []

    def stopped(*given):
        calls.append(given)
        if len(calls) == 1 + 480 // 16:  # one at the start
            raise KeyboardInterrupt
        return plain(*given)

    monkeypatch.setattr(place, name, stopped)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, cut, Order(threads=1))
    monkeypatch.setattr(place, name, plain)
    train(recipe, cut, Order(threads=1))
    assert final_files(cut) == final_files(whole)
