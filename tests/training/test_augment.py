"""Moves in training: what is told is what was done, and nothing of it comes out in samples."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.core.condition import Cond
from unmist.networks.unet import UNet
from unmist.run.model import load
from unmist.run.recipe import Data, Measuring, Recipe, altered
from unmist.training.augment import REACH, SPREAD, Augment, moved
from unmist.training.loop import Schooling
from unmist.training.optimizer import AdamW
from unmist.workflows.order import Order
from unmist.workflows.sample import Shot, sample
from unmist.workflows.train import train

STAYS = torch.eye(2, 3)


def test_what_is_told_is_what_was_done():
    """Fails if a move is told wrongly or not at all: the places follow from what is told."""
    told, matrix = Augment(share=0.6).moves(0, 64, 200)
    for t, found in zip(told.double().numpy(), matrix.double().numpy(), strict=True):
        rotation = np.array([[1 + t[1], -t[2]], [t[2], 1 + t[1]]])
        power = np.array([[t[4], t[5]], [t[5], -t[4]]])  # the logarithm of the stretch
        values, axes = np.linalg.eigh(power)
        stretch = axes @ np.diag(2.0 ** (SPREAD * values)) @ axes.T
        flip = np.diag([1 - 2 * t[0], 1.0])
        there = rotation @ stretch @ flip * 2.0 ** (SPREAD * t[3])  # picture -> result
        np.testing.assert_allclose(found[:, :2] @ there, np.eye(2), atol=1e-5)
        np.testing.assert_allclose(found[:, 2], -found[:, :2] @ (REACH * t[6:]), atol=1e-5)


def test_nothing_is_told_where_nothing_was_done():
    """Fails if a picture that stays put is told of, changed by a bit, or hardly ever comes."""
    told, matrix = Augment(share=0.15).moves(3, 0, 400)
    still = (matrix == STAYS).all(2).all(1)
    assert torch.equal(still, (told == 0).all(1))
    assert 0.3 < float(still.float().mean()) < 0.6  # 0.85^4 * 0.925 = 0.48
    x = torch.rand(400, 2, 6, 5)
    assert torch.equal(moved(x, matrix)[still], x[still])
    assert not torch.equal(Augment(share=0.15).moves(3, 400, 400)[0], told)


@pytest.mark.parametrize(
    ("matrix", "there"),
    [
        ([[-1, 0, 0], [0, 1, 0]], lambda x: x.flip(-1)),
        ([[0, 1, 0], [-1, 0, 0]], lambda x: x.rot90(-1, (2, 3))),
        ([[1, 0, -0.25], [0, 1, 0]], lambda x: torch.cat((x[..., :2].flip(-1), x[..., :6]), 3)),
    ],
    ids=["mirrored", "turned", "shifted"],
)
def test_pictures_go_where_the_matrix_says(matrix, there):
    """Fails if an axis or a sign is taken for the other, or past the edge nothing is reflected."""
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = moved(x, torch.tensor([matrix, matrix]).float())
    torch.testing.assert_close(found, there(x), atol=2e-5, rtol=0)


def test_a_turn_keeps_the_shape_of_what_is_turned():
    """Fails if a picture that is not square is sheared: a disc stays a disc."""
    y, x = torch.meshgrid(torch.arange(20) - 9.5, torch.arange(32) - 15.5, indexing="ij")
    far = (x**2 + y**2).sqrt()
    disc = torch.sigmoid(6 - far)[None, None]
    c = 0.5**0.5
    found = moved(disc, torch.tensor([[[c, -c, 0.0], [c, c, 0.0]]]))
    assert float((found - disc)[0, 0][far < 9].abs().max()) < 0.02  # farther: reflected


def test_what_else_is_a_picture_moves_along():
    """Fails if the picture that a sample is told stays where it was, or a vector is touched."""
    augment, x = Augment(share=1.0), torch.rand(4, 1, 6, 6)
    told = Cond({"same": x, "whole": (x * 255).byte(), "vector": torch.ones(4, 3)})
    found, cond = augment(x, told, 0, 0)
    assert cond is not None
    assert torch.equal(cond.values["same"], found)
    assert cond.values["whole"].dtype == torch.uint8
    near = cond.values["whole"].float() / 255
    assert float((near - found.clamp(0, 1)).abs().max()) < 0.02
    assert torch.equal(cond.values["vector"], told.values["vector"])
    assert augment(x, None, 0, 0)[1].values.keys() == {"augment"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Pictures whose left half is the lighter one, all of them."""
    home = tmp_path_factory.mktemp("sided")
    draw = np.random.default_rng(0)
    rows = np.full((600, 1, 6, 6), 40, np.uint8) + draw.integers(0, 20, (600, 1, 1, 1), np.uint8)
    rows[..., :3] += 140
    np.save(home / "sided.npy", rows)
    recipe = Recipe(
        data=Data(source=str(home / "sided.npy")),
        network=UNet(width=16, levels=(1,), blocks=(1,), attention=(), fold=1),
        optimizer=AdamW(rate=3e-3),
        training=Schooling(samples=12_800, batch=64),
        augment=Augment(share=0.5),
        measuring=Measuring(every=-1),
    )
    train(recipe, home / "run", Order(threads=1))
    return load(home / "run")


def test_moves_do_not_come_out_in_samples(model):
    """Fails if the network is not told, or samples are not drawn as of nothing done: of the
    training's own pictures a third is turned, mirrored or shifted by enough to see."""
    found = sample(model, Shot(count=64, steps=12)).pixels[:, 0].astype(float)
    left, right = found[:, :, :3].mean((1, 2)), found[:, :, 3:].mean((1, 2))
    assert ((left > 150) & (right < 90)).mean() > 0.9


def test_nobody_asks_for_it(model):
    """Fails if a wish for a move is followed, or the model says that it follows one."""
    with pytest.raises(BadInput, match="follows no 'augment'"):
        sample(model, Shot(count=1, wish={"augment": "1"}))


def test_what_cannot_be_moved_is_refused(model, tmp_path):
    """Fails if volumes are moved as pictures, or a share past 1 is taken."""
    np.save(tmp_path / "solid.npy", np.zeros((40, 1, 4, 4, 4), np.uint8))
    solid = replace(model.recipe, data=Data(source=str(tmp_path / "solid.npy")), codec=None)
    with pytest.raises(BadInput, match="only pictures of pixels can be moved"):
        train(solid, tmp_path / "run", Order(threads=1))
    with pytest.raises(BadInput, match="share is 2"):
        altered(Recipe(), {"augment.share": 2.0})
