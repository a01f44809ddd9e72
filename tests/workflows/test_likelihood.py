"""Bits per dimension of real models, and runs that learn their variance."""

import numpy as np
import pytest
from bars import bars

from unmist.base.faults import BadInput
from unmist.core.solver import Ancestral
from unmist.core.variance import Between
from unmist.networks.unet import UNet
from unmist.run.model import load
from unmist.run.recipe import Data, Recipe
from unmist.training.loop import Schooling
from unmist.workflows.evaluate import Asked, evaluate
from unmist.workflows.likelihood import bits_per_dimension
from unmist.workflows.sample import Shot, sample
from unmist.workflows.train import Order, train


def trained(source, folder, **parts):
    recipe = Recipe(
        data=Data(source=str(source)),
        network=UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=()),
        training=Schooling(samples=640, batch=32),
        **parts,
    )
    return train(recipe, folder, Order(threads=1))


@pytest.fixture(scope="module")
def wide(source, tmp_path_factory):
    """A model that learned its variance."""
    return trained(source, tmp_path_factory.mktemp("wide") / "run", variance=Between())


@pytest.mark.parametrize("route", ["bound", "path"])
def test_the_data_cost_fewer_bits_than_noise_and_than_eight(run, route):
    # fails if the likelihood is not that of the model: what it learned from costs it the least
    model = load(run)
    ours = bits_per_dimension(model, bars(32, 7)[0], route=route, steps=20)
    noise = np.random.default_rng(0).integers(0, 256, (32, 1, 8, 8)).astype(np.uint8)
    other = bits_per_dimension(model, noise, route=route, steps=20)
    assert 0 < ours.low < ours.value < ours.high
    assert other.low > ours.high
    assert ours.count == 32


def test_more_steps_tighten_the_bound(run):
    # fails if the bound does not fall with its steps towards the path's density
    model, pictures = load(run), bars(48, 7)[0]
    few, many = (bits_per_dimension(model, pictures, steps=n).value for n in (8, 60))
    path = bits_per_dimension(model, pictures, route="path", steps=60).value
    assert few > many
    assert abs(many - path) < abs(few - path)


def test_a_learned_variance_is_used_and_kept(wide, run):
    # fails if the model on disk forgets its variance, or the ancestral solver does not ask for it
    shot = Shot(count=4, seed=1, steps=4, solver=Ancestral())
    assert load(wide.folder).recipe.variance == Between()
    assert wide.denoiser.variance == Between()
    fixed = load(run)
    assert sample(wide, shot).pixels.shape == sample(fixed, shot).pixels.shape
    alone, exact = (sample(wide, Shot(**(vars(shot) | more))) for more in ({"count": 1}, {}))
    assert np.abs(alone.pixels[0].astype(int) - exact.pixels[0]).max() <= 1


def test_too_few_pictures_and_strange_ones_are_refused(run):
    # fails if a mean of three pictures is given with an interval, or a shape is broadcast
    model = load(run)
    with pytest.raises(BadInput, match="too few"):
        bits_per_dimension(model, bars(3, 0)[0])
    with pytest.raises(BadInput, match="shape"):
        bits_per_dimension(model, np.zeros((20, 1, 9, 8), np.uint8))
    with pytest.raises(BadInput, match="route"):
        bits_per_dimension(model, bars(20, 0)[0], route="guess")


def test_an_evaluation_can_count_bits(run, tmp_path, monkeypatch):
    # fails if --bits is ignored, or the held-out pictures are not what is counted
    monkeypatch.setenv("UNMIST_CACHE", str(tmp_path / "cache"))
    asked = Asked(count=100, shot=Shot(seed=1, steps=2), bits=4, to=tmp_path / "out")
    scores = evaluate(load(run), asked)
    by_bound = scores.named("bits per dimension (variational bound)")
    by_path = scores.named("bits per dimension (probability-flow ODE)")
    assert by_bound.value > by_path.value > 0
    assert "variational bound" in scores.report.read_text()
