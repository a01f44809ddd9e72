"""A model taught with a part hidden: what it is told, and that it follows what is left."""

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.conditions.family import Column
from unmist.conditions.remainder import Remainder, holes
from unmist.core.condition import Cond
from unmist.networks.unet import UNet
from unmist.run.model import load
from unmist.run.recipe import Data, Measuring, Recipe
from unmist.training.loop import Schooling, turned
from unmist.training.optimizer import AdamW
from unmist.workflows.edit import inpaint
from unmist.workflows.order import Order
from unmist.workflows.sample import Shot, sample
from unmist.workflows.train import train

HALF = np.ones((4, 4), np.float32)
HALF[:, 2:] = 0


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Flat pictures of one random grey each: what is left says all of what is hidden."""
    home = tmp_path_factory.mktemp("flat")
    greys = np.random.default_rng(0).integers(40, 216, (600, 1, 1, 1), np.uint8)
    np.save(home / "flat.npy", np.broadcast_to(greys, (600, 1, 4, 4)))
    recipe = Recipe(
        data=Data(source=str(home / "flat.npy")),
        network=UNet(width=16, levels=(1,), blocks=(1,), attention=(), fold=1),
        optimizer=AdamW(rate=3e-3),
        training=Schooling(samples=12_800, batch=64),
        measuring=Measuring(every=-1),
        conditions={"remainder": Remainder()},
    )
    train(recipe, home / "run", Order(threads=1))
    return load(home / "run")


@pytest.mark.parametrize("sizes", [(9,), (8, 6), (5, 6, 7)])
def test_what_is_hidden_is_drawn_anew_for_each_row(sizes):
    """Fails if rows share a mask, if a part is never hidden or always, or all is nearly always."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        known = holes(400, sizes)
    assert known.shape == (400, 1, *sizes)
    assert set(known.unique().tolist()) == {0.0, 1.0}
    share = known.flatten(1).mean(1)
    assert len(known.flatten(1).unique(dim=0)) > 50
    assert 0.4 < float(share.mean()) < 0.8
    assert float(((share > 0) & (share < 1)).float().mean()) > 0.7
    each = known.mean(0).flatten()
    assert 0.3 < float(each.min()) <= float(each.max()) < 0.9


@pytest.mark.parametrize("training", [True, False])
def test_nothing_of_what_is_hidden_is_told(training):
    """Fails if the map changes with a hidden pixel, or differs from the sample at a known one."""
    part = Remainder().settled(Column([np.zeros((2, 8, 8), np.uint8)]))
    rows = [np.full((2, 8, 8), level, np.uint8) for level in (51, 204)]
    net, maps = part.build((2, 8, 8), 0).train(training), []
    for row in rows:
        value, keep = part.reader()([row] * 5)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            maps.append(net(value, keep, torch.zeros(5, 2, 8, 8)).map)
    known = maps[0][:, 2:3].expand(-1, 2, -1, -1) == 1
    assert torch.equal(maps[0][:, 2:], maps[1][:, 2:])
    assert 0 < int(known.sum()) < known.numel()
    for row, found in zip(rows, maps, strict=True):
        level = float(row.max()) / 127.5 - 1
        torch.testing.assert_close(found[:, :2], torch.where(known, level, 0.0))


def test_a_sample_that_is_mirrored_is_told_mirrored():
    """Fails if flips in training turn the sample and leave what is told of it."""
    value, keep = Remainder(channels=1).reader()([np.arange(16, dtype=np.uint8).reshape(1, 4, 4)])
    found = turned(Cond({"remainder": value}, {"remainder": keep}), torch.tensor([True]))
    assert torch.equal(found.values["remainder"], value.flip(-1))


def test_the_hole_is_filled_as_the_rest_says(model):
    """Fails if the model does not follow what is left: greys are drawn 51 levels apart without."""
    shot = Shot(count=8, steps=8)
    free = sample(model, shot).pixels.astype(float)
    assert free.mean((1, 2, 3)).std() > 25
    for level in (60, 128, 200):
        picture = np.full((1, 4, 4), level, np.uint8)
        found = inpaint(model, picture, HALF, shot)
        assert found.settings["edit"]["method"] == "told"
        assert np.array_equal(found.pixels[..., :2], np.full((8, 1, 4, 2), level))
        assert np.abs(found.pixels[..., 2:].astype(float) - level).mean() < 12
        assert found.calls == 8


def test_only_an_edit_says_what_is_left(model, run):
    """Fails if it may be wished, or a model that was never told is asked to follow it."""
    with pytest.raises(BadInput, match="said by an edit"):
        sample(model, Shot(count=1, steps=2, wish={"remainder": "picture.png"}))
    other = load(run)
    picture = np.zeros(other.shape, np.uint8)
    known = np.ones(other.shape[1:], np.float32)
    known[2:5] = 0
    with pytest.raises(BadInput, match="never told what is hidden"):
        inpaint(other, picture, known, Shot(count=1, steps=2), "told")
