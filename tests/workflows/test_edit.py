"""Edits with a barely trained model: what is kept, what is refused, what repeats."""

import numpy as np
import pytest
import torch
from bars import bars
from PIL import Image

from unmist.base.faults import BadInput
from unmist.run.model import load
from unmist.workflows.edit import METHODS, inpaint, restore, upscale, vary
from unmist.workflows.edit_between import blend, invert
from unmist.workflows.edit_pictures import Box, Grow, Opened, grown, known_of, opened
from unmist.workflows.sample import Shot

FEW = Shot(count=2, steps=4, seed=3)


@pytest.fixture(scope="module")
def model(run):
    return load(run)


@pytest.fixture(scope="module")
def picture(model):
    found = bars(4, 5)[0][0]
    return found.reshape(model.shape)


@pytest.fixture
def known(picture):
    mask = np.ones(picture.shape[1:], np.float32)
    mask[2:6, 1:5] = 0
    return mask


@pytest.mark.parametrize("method", METHODS)
def test_known_pixels_come_back_unchanged(model, picture, known, method):
    """Fails if a known pixel differs in one level, or the hole is not drawn."""
    found = inpaint(model, picture, known, FEW, method)
    assert found.pixels.shape == (2, *picture.shape)
    assert np.array_equal(
        found.pixels[:, :, known == 1], np.stack([picture, picture])[:, :, known == 1]
    )
    assert (found.pixels[0] != found.pixels[1]).any()
    assert found.settings["edit"]["method"] == method


def test_an_edit_is_drawn_alike_alone_and_in_company(model, picture, known):
    """Fails if sample 1 of a seed depends on what is drawn with it."""
    both = inpaint(model, picture, known, FEW).pixels[1].astype(int)
    alone = inpaint(model, picture, known, Shot(count=1, first=1, steps=4, seed=3)).pixels[0]
    assert np.abs(both - alone).max() <= 1


def test_strength_is_how_far_it_goes(model, picture):
    """Fails if more strength does not change more, or a map's zeros change at all."""
    far = [
        np.abs(vary(model, picture, strength, FEW).pixels.astype(int) - picture).mean()
        for strength in (0.1, 0.9)
    ]
    assert far[0] < far[1]
    each = np.zeros(picture.shape[1:], np.float32)
    each[:, 4:] = 0.8
    found = vary(model, picture, each, FEW).pixels
    assert np.array_equal(found[:, :, :, :4], np.stack([picture, picture])[:, :, :, :4])


def test_upscaled_pictures_have_the_given_means(model, picture):
    """Fails if the means of the drawn pixels stray from the picture by more than rounding."""
    channels, height, width = picture.shape
    small = picture.reshape(channels, height // 2, 2, width // 2, 2).mean((2, 4))
    small = small.round().astype(np.uint8)
    shot = Shot(count=2, steps=20)
    found = upscale(model, small, 2, shot).pixels.astype(float)
    means = found.reshape(2, channels, height // 2, 2, width // 2, 2).mean((3, 5))
    # clipping to 0 … 255 costs a barely trained model a few levels
    assert np.abs(means - small).mean() < 12


def test_restoring(model, picture):
    """Fails if a kind of harm cannot be restored, or none is taken for one."""
    for harm in ({"blur": 0.8}, {"noise": 20.0}):
        found = restore(model, picture, FEW, **harm)
        assert found.pixels.shape == (2, *picture.shape)
        assert found.settings["edit"]["verb"] == "restore"
    for wrong in ({}, {"blur": 1.0, "grey": True}, {"grey": True}, {"noise": -1.0}):
        with pytest.raises(BadInput):
            restore(model, picture, FEW, **wrong)


def test_there_and_back(model, picture):
    """Fails if the noise found does not give the picture again."""
    found = invert(model, picture, Shot(steps=12))
    assert found.psnr > 25
    assert found.calls == (12, 12)
    assert found.back.shape == (1, *picture.shape)


def test_a_blend_goes_from_end_to_end(model, picture):
    """Fails if the ends are not the two pictures, or a seed's end depends on the other."""
    other = bars(4, 6)[0][1].reshape(model.shape)
    found = blend(model, picture, other, Shot(steps=12), frames=5).pixels.astype(int)
    assert len(found) == 5
    assert np.abs(found[0] - picture).mean() < 16
    assert np.abs(found[-1] - other).mean() < 16
    first, second = (blend(model, 4, end, FEW, frames=2).pixels[0].astype(int) for end in (5, 6))
    assert np.abs(first - second).max() <= 1
    with pytest.raises(BadInput):
        blend(model, 4, 5, FEW, frames=1)


def saved(folder, pixels, name="p.png"):
    path = folder / name
    Image.fromarray(pixels).save(path)
    return path


def test_pictures_are_fitted_and_told(model, tmp_path):
    """Fails if a picture of another size is edited without a word."""
    side = model.shape[1]
    exact = opened(model, saved(tmp_path, np.full((side, side), 9, np.uint8)))
    assert (exact.notice, exact.size) == ("", (side, side))
    other = opened(model, saved(tmp_path, np.full((40, 60), 9, np.uint8)))
    assert other.pixels.shape == model.shape
    assert "60x40 is cropped" in other.notice
    own = opened(model, saved(tmp_path, np.full((16, 24), 9, np.uint8)), as_is=True)
    assert own.pixels.shape[1:] == (16, 24)
    with pytest.raises(BadInput):
        opened(model, tmp_path / "none.png")


def test_masks(tmp_path):
    """Fails if white is not what is painted, or a useless mask goes through."""
    given = Opened(np.zeros((1, 8, 8), np.uint8), (16, 16))
    paint = np.zeros((16, 16), np.uint8)
    paint[:8] = 255
    known = known_of(given, [saved(tmp_path, paint)], [])
    assert (known[:3] == 0).all()
    assert (known[5:] == 1).all()
    assert (known_of(given, [], [Box(0, 0, 8, 8)])[:3, :3] == 0).all()
    larger = known_of(given, [], [], Grow(left=2))
    assert larger.shape == (8, 10)
    assert (larger[:, :2] == 0).all()
    small = saved(tmp_path, np.zeros((4, 4), np.uint8), "small.png")
    for masks, boxes in (
        ([], []),
        ([small], []),
        ([], [Box(0, 0, 16, 16)]),
        ([], [Box(20, 0, 1, 1)]),
    ):
        with pytest.raises(BadInput):
            known_of(given, masks, boxes)


def test_a_picture_grows(model, picture):
    """Fails if the canvas is not the picture with room, or the drawn picture has another size."""
    grow = Grow(right=4)
    larger = grown(model, picture, grow)
    assert np.array_equal(larger[:, :, :-4], picture)
    known = np.pad(np.ones(picture.shape[1:], np.float32), ((0, 0), (0, 4)))
    found = inpaint(model, larger, known, FEW).pixels
    assert found.shape[2:] == larger.shape[1:]
    assert np.array_equal(found[0, :, :, :-4], picture)
    with pytest.raises(BadInput):
        grown(model, picture, Grow(left=-1))


def test_gradients_of_weights_stay_off(model, picture, known):
    """Fails if guidance through the denoiser asks for gradients of the network's parameters."""
    inpaint(model, picture, known, FEW)
    assert all(part.grad is None and not part.requires_grad for part in model.net.parameters())
    assert torch.is_grad_enabled()
