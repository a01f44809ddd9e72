"""What a run says when it has nothing to learn or to measure, and the card it leaves."""

import json
import shutil

import numpy as np
import pytest
from bars import bars

from unmist.base import files
from unmist.networks.unet import UNet
from unmist.run import averages, card
from unmist.run.model import WEIGHTS
from unmist.run.recipe import Data, Recipe
from unmist.training.loop import Schooling
from unmist.workflows.evaluate import Asked, evaluate
from unmist.workflows.sample import Shot
from unmist.workflows.train import Order, training


def recipe(folder, rows):
    np.savez(folder / "bars.npz", images=bars(rows, 0)[0])
    return Recipe(
        data=Data(source=str(folder / "bars.npz")),
        network=UNet(width=8, levels=(1,), blocks=(1,), attention=()),
        training=Schooling(samples=32, batch=16),
    )


def told(asked, to, **order):
    """Every notice of a run, drained."""
    reports = list(training(asked, to, Order(threads=1, **order)))
    assert reports[-1].finished
    return [report.notice for report in reports if report.notice]


def test_a_finished_run_says_so_and_stays(tmp_path):
    """Fails if a finished run asked again is trained, or not told to be finished."""
    asked, run = recipe(tmp_path, 60), tmp_path / "run"
    assert not any("finished" in notice for notice in told(asked, run))
    before = (run / WEIGHTS).stat()
    assert told(asked, run) == ["already finished (32 samples seen); --fresh starts anew"]
    assert (run / WEIGHTS).stat() == before
    assert not any("finished" in notice for notice in told(asked, run, fresh=True))
    assert (run / "earlier-1" / "card.md").is_file()


@pytest.mark.parametrize(("rows", "missing"), [(60, 2), (400, 1)])
def test_what_too_few_held_out_rows_cannot_give_is_told(tmp_path, rows, missing):
    """Fails if no held-out loss, or no measure, comes without a word; or the word without need."""
    few = [notice for notice in told(recipe(tmp_path, rows), tmp_path / "run") if "held" in notice]
    assert len(few) == missing
    last = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert any("held-out loss" in notice for notice in few) == ("held" not in last)
    assert any("to measure samples" in notice for notice in few)


def test_training_ends_with_a_card_and_measuring_renews_it(run, tmp_path):
    """Fails if train leaves no card of the last weights, or evaluate an old one."""
    text = (run / "card.md").read_text()
    assert files.digest(run / WEIGHTS) in text
    assert "640 of 640 samples seen" in text
    assert "None were made yet" in text
    own = tmp_path / "copy"
    shutil.copytree(run, own)
    asked = Asked(count=100, shot=Shot(seed=1, steps=2))
    scores = evaluate(own, asked)
    text = (own / "card.md").read_text()
    assert "None were made" not in text
    assert f"| coverage | {scores.named('coverage').value:.4g} [" in text
    assert "other weights" not in text
    settings = {**scores.settings, "hash": "0" * 64}
    files.write_json(own / "scores.json", {**scores.plain(), "settings": settings})
    assert "other weights than the last: SHA-256 `000" in card.write_card(own).read_text()


def test_a_card_that_fails_loses_nothing(tmp_path, monkeypatch):
    """Fails if whatever goes wrong in the card ends the run, or goes wrong unsaid."""

    def broken(story):
        raise ZeroDivisionError("of the card")

    monkeypatch.setattr(card, "card_text", broken)
    run = tmp_path / "run"
    line = "the model card was not written (ZeroDivisionError: of the card)"
    assert told(recipe(tmp_path, 60), run)[-1] == line
    assert (run / WEIGHTS).is_file()
    assert not (run / "card.md").exists()


def test_what_a_kill_left_half_written_is_cleared_when_the_run_goes_on(tmp_path):
    """Fails if a torn file of weights or of a look stays for good, or if a whole one goes."""
    asked, to = recipe(tmp_path, 150), tmp_path / "run"
    told(asked, to)
    torn = [to / place / ".tmp-0123456789ab.safetensors" for place in ("weights", "looks")]
    torn.append(to / averages.AVERAGES / ".tmp-0123456789ab.safetensors")
    for path in torn:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    told(asked, to)
    assert not any(path.exists() for path in torn)
    assert (to / WEIGHTS).is_file()
