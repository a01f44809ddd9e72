"""Data and a model that the tests of evaluation share; the cache of the user is not touched."""

import numpy as np
import pytest
from bars import bars

from unmist.networks.unet import UNet
from unmist.run.recipe import Data, Recipe
from unmist.training.loop import Schooling
from unmist.workflows.train import Order, train


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A cache that the tests of evaluation fill together."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cache(home, monkeypatch):
    """Their cache as the process's own."""
    monkeypatch.setenv("UNMIST_CACHE", str(home))
    return home


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """1,500 bars with their classes, as an array file."""
    path = tmp_path_factory.mktemp("bars") / "bars.npz"
    x, y = bars(1500, 0)
    np.savez(path, images=x, labels=y)
    return path


@pytest.fixture(scope="session")
def run(source, tmp_path_factory):
    """A model of them, barely trained. Tests must leave it as it is."""
    recipe = Recipe(
        data=Data(source=str(source)),
        network=UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=()),
        training=Schooling(samples=640, batch=32),
    )
    folder = tmp_path_factory.mktemp("runs") / "bars8"
    train(recipe, folder, Order(threads=1))
    return folder
