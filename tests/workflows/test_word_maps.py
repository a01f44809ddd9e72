"""Attention to words, recomputed beside the network and gone afterwards."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from bars import bars

from unmist.base.faults import BadInput
from unmist.networks.dit import DiT
from unmist.networks.unet import UNet
from unmist.nn.attention import CrossAttention
from unmist.run.recipe import Data, Recipe, altered
from unmist.training.loop import Schooling
from unmist.workflows.sample import Shot, sample
from unmist.workflows.train import Order, train
from unmist.workflows.word_maps import Heard, save_word_maps, word_maps

NETS = {
    "unet": UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=(0, 1), head=8),
    "dit": DiT(width=16, depth=1, head=8, patch=2),
}


@pytest.fixture(scope="module", params=NETS)
def model(request, tmp_path_factory):
    """Of captioned bars, its weights drawn so that words matter."""
    place = tmp_path_factory.mktemp("bars")
    x, y = bars(200, 0)
    captions = np.array([["a standing bar", "a lying bar"][kind] for kind in y])
    np.savez(place / "bars.npz", images=x, captions=captions)
    recipe = Recipe(
        data=Data(source=str(place / "bars.npz")),
        network=NETS[request.param],
        training=Schooling(samples=32, batch=16),
    )
    told = {"conditions.text.kind": "text", "conditions.text.width": 8, "sampling.steps": 3}
    recipe = altered(recipe, {**told, "measuring.every": -1})
    model = train(recipe, place / "run", Order(threads=1))
    draw = torch.Generator().manual_seed(0)
    for part in model.net.parameters():
        part.data += torch.randn(part.shape, generator=draw) * 0.2
    return model


def test_weights_are_the_layer_s_own():
    """Fails if they are not those whose mix of the values is the answer."""
    draw = torch.Generator().manual_seed(0)
    layer = CrossAttention(8, 6, 1)
    for part in layer.parameters():
        part.data = torch.randn(part.shape, generator=draw)
    x, tokens = torch.randn(2, 5, 8, generator=draw), torch.randn(2, 3, 6, generator=draw)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    weights = layer.weights(x, tokens, mask)
    assert weights.shape == (2, 5, 3)
    assert not weights[:, :, 2].any()
    whole = torch.cat((1 - weights.sum(2, keepdim=True), weights), 2)
    _, value, _ = layer._heard(x, tokens, mask)
    torch.testing.assert_close(layer.out(whole @ value), layer(x, tokens, mask))


def test_each_word_has_a_map_of_its_sample(model, tmp_path):
    """Fails if words and maps do not belong together, the sample is another than without looking,
    or the network is not left as it was."""
    shot = Shot(count=2, wish={"text": ("a lying bar", "lying bar")})
    found = word_maps(model, shot)
    assert [one.words for one in found] == [("a", "lying", "bar"), ("lying", "bar")]
    for number, one in enumerate(found):
        assert one.maps.shape == (len(one.words), 8, 8)
        np.testing.assert_allclose(one.maps.sum(0), len(one.words), rtol=1e-5)
        assert one.maps.std(axis=(1, 2)).max() > 1e-4
        alone = sample(model, replace(shot, first=number, count=1))
        assert np.array_equal(alone.pixels[0], one.pixels)
    assert not any(layer._forward_pre_hooks for layer in model.net.modules())
    assert save_word_maps(found, tmp_path / "words.png").is_file()


def test_what_has_no_words_is_refused(model):
    """Fails if a model is looked at for words that it is not told."""
    for wish in ({}, None, {"text": ""}):
        with pytest.raises(BadInput, match="no words are wished"):
            word_maps(model, Shot(count=1, wish=wish))
    free = replace(model, recipe=replace(model.recipe, conditions={}))
    with pytest.raises(BadInput, match="reads no text"):
        word_maps(free, Shot(count=1))


def test_places_are_laid_out_as_the_picture_is():
    """Fails if a coarse map is turned, shifted or weighed wrongly."""
    heard = Heard((4, 8))
    weights = torch.zeros(1, 8, 1)
    weights[0, 3] = 1.0  # the right upper corner of 2x4
    heard.add(weights)
    heard.add(torch.zeros(1, 32, 1))
    mean = heard.mean()[0]
    assert mean.shape == (4, 8)
    assert mean[0, 7] == mean.max() == 0.5
    assert mean[3, 7] < 0.1
    assert mean[0, 0] == 0
