"""A model whose frames had levels of their own in training draws on, frame after frame."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.cli.main import main
from unmist.core.denoiser import NetDenoiser
from unmist.networks.dit import DiT
from unmist.networks.unet import UNet
from unmist.run.model import load
from unmist.run.recipe import Data, Measuring, Recipe, altered
from unmist.training.loop import Schooling
from unmist.training.optimizer import AdamW
from unmist.training.order import CLEAN, even_draws, rising
from unmist.workflows.edit_extend import extend
from unmist.workflows.order import Order
from unmist.workflows.sample import Shot, sample
from unmist.workflows.train import train

FRAMES = 8


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Series that stay where they are: each is one random number, over and over."""
    home = tmp_path_factory.mktemp("flat")
    heights = np.random.default_rng(0).normal(size=(400, 1))
    np.save(home / "flat.npy", np.repeat(heights, 60, 0).astype(np.float32))
    recipe = Recipe(
        data=Data(source=str(home / "flat.npy"), frames=FRAMES),
        network=UNet(width=16, levels=(1, 2), blocks=(1, 1), attention=(), fold=1),
        optimizer=AdamW(rate=3e-3),
        training=Schooling(samples=25_600, batch=64),
        measuring=Measuring(every=-1),
        rolling=0.7,
    )
    train(recipe, home / "run", Order(threads=1))
    return load(home / "run")


def test_later_frames_are_noisier():
    """Fails if a row's levels fall, all rows have their own, or what is known is noisy."""
    u = rising(even_draws(0, 0, 400), 0, 0, FRAMES, 0.5)
    own = (u != u[:, :1]).any(1)
    assert 0.4 < float(own.double().mean()) < 0.6
    assert (u.diff() >= 0).all()
    known = (u[own] == CLEAN).sum(1)
    assert set(known.tolist()) == set(range(FRAMES))
    assert torch.equal(u[~own][:, 0], even_draws(0, 0, 400)[~own])


def test_it_rolls_on(model):
    """Fails if what comes does not follow what was, what was is touched, or calls are others."""
    for level in (70, 180):
        clip = np.full((1, 4, *model.shape[2:]), level, np.uint8)
        found = extend(model, clip, 20, Shot(count=3), method="rolling")
        assert found.pixels.shape == (3, 1, 20, *model.shape[2:])
        assert np.array_equal(found.pixels[:, :, :4], clip[None].repeat(3, 0))
        assert np.abs(found.pixels[:, :, 4:].astype(float) - level).mean() < 15
        assert found.calls == 3 * (FRAMES // 2 + 20 - 4 - 1)
        assert found.settings["edit"]["method"] == "rolling"


def test_it_still_samples(model):
    """Fails if a network that was taught levels a frame is no longer one of single levels."""
    found = sample(model, Shot(count=64, steps=8)).pixels.astype(float)
    assert found.std(2).mean() < 8
    assert found.mean(2).std() > 20


def test_what_cannot_roll_is_refused(model, tmp_path, capsys):
    """Fails if a model of one level for all frames is asked for many, or data without frames are
    taught so."""
    plain = replace(model, recipe=replace(model.recipe, rolling=0.0))
    with pytest.raises(BadInput, match="one level for all frames"):
        extend(plain, np.zeros((1, 4), np.uint8), 12, method="rolling")
    with pytest.raises(BadInput, match="rolling is 2"):
        altered(Recipe(), {"rolling": 2.0})
    with pytest.raises(BadInput, match="only a U-Net knows"):
        altered(replace(Recipe(), network=DiT()), {"rolling": 0.5})
    run = str(tmp_path / "run")
    assert main(["train", "digits", "--to", run, "--set", "rolling=0.5"]) == 2
    assert "only clips and series of pixels have frames" in capsys.readouterr().err
    assert isinstance(model.denoiser, NetDenoiser)
