"""The second stage of a cascade: told of a low resolution through noise, and of how much."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.conditions.family import Column
from unmist.conditions.small import Small, augmented
from unmist.networks.unet import UNet
from unmist.run.model import load
from unmist.run.recipe import Data, Measuring, Recipe
from unmist.training.loop import Schooling
from unmist.workflows.cascade import cascade, telling
from unmist.workflows.order import Order
from unmist.workflows.sample import Shot, sample
from unmist.workflows.train import train


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """Bars of 4x4, and the model that enlarges them to 8x8, both barely trained."""
    home = tmp_path_factory.mktemp("stages")
    draw = np.random.default_rng(0)
    large = draw.integers(0, 256, (300, 1, 8, 8), np.uint8)
    small = large.reshape(300, 1, 4, 2, 4, 2).mean((3, 5)).astype(np.uint8)
    folders = []
    for name, rows, conditions in (
        ("small", small, {}),
        ("large", large, {"small": Small(factor=2, augment=0.5)}),
    ):
        path = home / f"{name}.npy"
        np.save(path, rows)
        recipe = Recipe(
            data=Data(source=str(path)),
            network=UNet(width=8, levels=(1,), blocks=(1,), attention=(), fold=1),
            training=Schooling(samples=320, batch=32),
            measuring=Measuring(every=-1),
            conditions=conditions,
        )
        train(recipe, home / name, Order(threads=1))
        folders.append(home / name)
    return folders


def test_the_noise_is_as_large_as_the_network_is_told():
    """Fails if level and noise differ, a level is shared by rows, or evaluation is noised too."""
    part = Small(factor=2, augment=0.5).settled(Column([np.zeros((2, 64, 64), np.uint8)]))
    value, keep = part.reader()([np.full((2, 64, 64), 51, np.uint8)] * 64)
    torch.testing.assert_close(value[:, :2], torch.full((64, 2, 32, 32), 51 / 127.5 - 1))
    x, net = torch.zeros(64, 2, 64, 64), part.build((2, 64, 64), 0)
    calm = net.eval()(value, keep, x).map
    assert torch.equal(calm, net(value, keep, x).map)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        noised = net.train()(value, keep, x).map
    told = noised[:, 2, 0, 0]
    spread = (noised - calm)[:, :2, ::2, ::2].flatten(1).std(1)
    torch.testing.assert_close(spread, told, atol=0.02, rtol=0.06)
    # even on 0 … 0.5: mean 0.25, standard deviation 0.5/sqrt(12)
    assert abs(float(told.mean()) - 0.25) < 4 * 0.144 / 8
    assert abs(float(told.std()) - 0.144) < 0.04
    assert torch.equal(noised[:, 3], torch.ones(64, 64, 64))


def test_what_is_not_kept_says_nothing():
    """Fails if a dropped row still shows its low resolution, or its noise."""
    part = Small(channels=1, factor=2)
    value, _ = part.reader()([np.full((1, 4, 4), 200, np.uint8)] * 2)
    found = part.build((1, 4, 4), 0)(value, torch.tensor([True, False]), torch.zeros(2, 1, 4, 4))
    assert found.map[0].any()
    assert not found.map[1].any()


def test_the_best_answer_to_noised_means_is_the_shrunk_one():
    """Fails if `augmented` adds another variance than it says: for means normal with variance v the
    least squares estimate is v/(v + level^2) times what is seen (a Gaussian's conditional mean)."""
    draw = torch.Generator().manual_seed(0)
    means = 0.6 * torch.randn(4, 1, 20_000, generator=draw)
    eps = torch.randn(4, 1, 20_000, generator=draw)
    level = torch.tensor([0.0, 0.2, 0.5, 1.0])
    seen = augmented(torch.cat((means, torch.zeros_like(means)), 1), level, eps)
    slope = (seen[:, 0] * means[:, 0]).sum(1) / (seen[:, 0] ** 2).sum(1)
    torch.testing.assert_close(slope, 0.36 / (0.36 + level**2), atol=0.01, rtol=0)
    torch.testing.assert_close(seen[:, 1, 0], level)


def test_a_cascade_draws_large_from_small(stages):
    """Fails if the second stage is not told what the first drew, or the seed does not decide."""
    first, then = map(load, stages)
    shot = Shot(count=3, steps=3)
    drawn = cascade(first, then, shot, augment=0.2)
    assert drawn.pixels.shape == (3, 1, 8, 8)
    assert np.array_equal(drawn.pixels, cascade(first, then, shot, augment=0.2).pixels)
    lone = cascade(first, then, replace(shot, count=1, first=2), augment=0.2)
    assert np.abs(lone.pixels[0].astype(int) - drawn.pixels[2]).max() <= 1
    assert drawn.settings["cascade"]["augment"] == 0.2
    low = sample(first, shot).pixels
    cond = telling(then, low, shot, 0.2)((0, 2))
    value = cond.values["small"]
    assert torch.equal(value[:, 1], torch.full((2, 4, 4), 0.2))
    spread = (value[:, 0] - (torch.from_numpy(low[[0, 2], 0]) / 127.5 - 1)).std()
    assert 0.1 < float(spread) < 0.3


def test_what_does_not_fit_is_refused(stages):
    """Fails if a model that enlarges nothing is a second stage, or sizes and noise do not fit."""
    first, then = map(load, stages)
    with pytest.raises(BadInput, match="no such condition"):
        cascade(then, first, Shot(count=1, steps=1))
    with pytest.raises(BadInput, match="taught noise of"):
        cascade(first, then, Shot(count=1, steps=1), augment=0.9)
    with pytest.raises(BadInput, match="enlarges 1x4x4"):
        cascade(then, then, Shot(count=1, steps=1))
    with pytest.raises(BadInput, match="factor"):
        Small(factor=1)
