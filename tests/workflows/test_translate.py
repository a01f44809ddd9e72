"""Translation in Python is that of the command line: the picture is what the network is told."""

import numpy as np
import pytest
import torch
from bars import bars
from PIL import Image

from unmist.base.faults import BadInput
from unmist.networks.unet import UNet
from unmist.run.recipe import Recipe, altered
from unmist.workflows.edit_translate import translate
from unmist.workflows.order import Order
from unmist.workflows.sample import Shot, sample
from unmist.workflows.train import train

NET = UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of pairs, bars and the same turned, whose maps were given a say."""
    place = tmp_path_factory.mktemp("pairs")
    x, _ = bars(120, 0)
    np.savez(place / "pairs.npz", images=x, image=x.swapaxes(-1, -2))
    small = {"training.samples": 32, "training.batch": 16, "conditions.image.kind": "image"}
    recipe = altered(Recipe(network=NET), {"data.source": str(place / "pairs.npz"), **small})
    model = train(recipe, place / "run", Order(threads=1))
    with torch.no_grad():
        torch.nn.init.normal_(model.net.net.last.weight, std=0.1)
    return model


def test_the_same_as_by_file(model, tmp_path):
    """Fails if the array is told otherwise than the file, or not at all."""
    picture = np.random.default_rng(0).integers(0, 256, model.shape, np.uint8)
    Image.fromarray(picture[0]).save(tmp_path / "p.png")
    shot = Shot(count=3, steps=3)
    wish = {"image": str(tmp_path / "p.png")}
    by_file = sample(model, Shot(count=3, steps=3, wish=wish)).pixels
    ours = translate(model, picture, shot)
    assert np.array_equal(ours.pixels, by_file)
    assert ours.settings["edit"] == {"verb": "translate"}
    assert not np.array_equal(ours.pixels, translate(model, 255 - picture, shot).pixels)


def test_what_is_no_such_picture_is_refused(model, run):
    """Fails if a picture is stretched in silence, or a model without the condition is asked."""
    with pytest.raises(BadInput, match="the model is told uint8"):
        translate(model, np.zeros((1, 3, 3), np.uint8))
    with pytest.raises(BadInput, match="the picture is float64"):
        translate(model, np.zeros(model.shape))
    from unmist.run.model import load

    with pytest.raises(BadInput, match="no such condition"):
        translate(load(run), np.zeros(model.shape, np.uint8))
