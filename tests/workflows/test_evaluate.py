"""Scores tell copies, noise and fresh real pictures apart, and a model's are kept beside it."""

import json

import numpy as np
import pytest

from unmist.base.faults import BadInput
from unmist.data.opening import open_data
from unmist.networks.unet import UNet
from unmist.run.model import load
from unmist.run.recipe import Data, Recipe
from unmist.training.loop import Schooling
from unmist.workflows.evaluate import evaluate, judged, scored
from unmist.workflows.sample import Shot
from unmist.workflows.train import Order, train


def pictures(count, seed):
    """Bars, standing or lying, at a random place, thickness and brightness, on a noisy ground."""
    draw = np.random.default_rng(seed)
    x = draw.integers(0, 40, (count, 1, 8, 8))
    kind = draw.integers(0, 2, count)
    for row, lying in zip(x[:, 0], kind, strict=True):
        place, thick = draw.integers(0, 6), draw.integers(1, 3)
        part = np.s_[place : place + thick] if lying else np.s_[:, place : place + thick]
        row[part] = draw.integers(120, 256)
    return x.astype(np.uint8), kind


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("bars") / "bars.npz"
    x, y = pictures(1500, 0)
    np.savez(path, images=x, labels=y)
    return path


def test_scores_tell_fresh_pictures_copies_and_noise_apart(source):
    """Fails where the distance ranks noise before real pictures, or copies are not counted."""
    data = open_data(source)
    features = judged(data)
    fresh = scored(pictures(400, 1)[0], data, features)
    copied = scored(data.values[data.train[:400]], data, features)
    noise = np.random.default_rng(2).integers(0, 256, (400, 1, 8, 8)).astype(np.uint8)
    bad = scored(noise, data, features)
    assert fresh.frechet.value < 0.1 * bad.frechet.value
    assert copied.copies.pixels > 0.99
    assert fresh.copies.pixels < 0.1
    assert fresh.diversity.coverage > 0.8 > bad.diversity.coverage
    assert fresh.judge_accuracy is not None
    assert fresh.judge_accuracy > 0.95


def test_a_model_is_measured_and_its_scores_kept(source, tmp_path):
    """Fails where the scores do not reach the model's folder, or the judge is taught twice."""
    recipe = Recipe(
        data=Data(source=str(source)),
        network=UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=()),
        training=Schooling(samples=640, batch=32),
    )
    train(recipe, tmp_path / "run", Order(threads=1))
    model = load(tmp_path / "run")
    scores = evaluate(model, Shot(count=120, steps=4))
    kept = json.loads((model.folder / "scores.json").read_text())
    assert kept["Fréchet distance"]["value"] == scores.frechet.value
    assert kept["settings"]["sampling"]["steps"] == 4
    judge = next((model.folder / "weights").glob("judge_*"))
    before = judge.stat().st_mtime_ns
    assert evaluate(model, Shot(count=120, steps=4)) == scores
    assert judge.stat().st_mtime_ns == before


def test_too_few_held_out_pictures_are_refused(tmp_path):
    """Fails where a distance is printed that no reference can carry."""
    np.save(tmp_path / "few.npy", pictures(200, 0)[0])
    data = open_data(tmp_path / "few.npy")
    with pytest.raises(BadInput, match="too few"):
        scored(data.values, data, judged(data))
