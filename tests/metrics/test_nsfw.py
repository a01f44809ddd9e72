"""Open-NSFW as features: what it is shown, and what is refused; the network itself where it is."""

import sys

import numpy as np
import pytest
import torch

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.metrics import nsfw
from unmist.metrics.nsfw import NSFW_FILE, NsfwFeatures, nsfw_features, with_output
from unmist.workflows.fetch import features_home


def test_the_network_is_shown_blue_green_red_less_their_means():
    """Fails if channels or axes are in another order, or the middle is not cut out."""
    seen = []

    def run(x):
        seen.append(x)
        return np.zeros((len(x), 1024, 1, 1), np.float32)

    values = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    values[1] = torch.tensor([200, 100, 50]).view(3, 1, 1)
    values[0, :, 16:] = 255
    features = NsfwFeatures(run)
    assert features(values).shape == (2, features.width) == (2, 1024)
    (x,) = seen
    assert (x.shape, x.dtype) == ((2, 224, 224, 3), np.float32)
    assert np.array_equal(x[1, 5, 7], np.float32([50 - 104, 100 - 117, 200 - 123]))
    assert x[0, 0, 0, 0] == -104
    assert x[0, -1, 0, 0] == 255 - 104


@pytest.mark.parametrize("shape", [(2, 8, 8), (3, 40), (1, 8, 8, 8)])
def test_other_data_is_refused(shape):
    """Fails if series, volumes or two channels are measured as if they were pictures."""
    with pytest.raises(BadInput, match="grey and colour"):
        NsfwFeatures(lambda x: x)(torch.zeros(2, *shape, dtype=torch.uint8))


def test_an_output_is_one_small_message_more():
    """Fails if the appended bytes are not graph.output.name, as onnx.proto numbers them."""
    assert with_output(b"model", "inner") == b"model" + b"\x3a\x09\x62\x07\x0a\x05inner"


def test_another_file_is_refused():
    """Fails if any ONNX file is run under Open-NSFW's name."""
    with pytest.raises(BadInput, match="not the Open-NSFW network"):
        nsfw_features(b"something else")


def test_without_onnxruntime_the_extra_is_named(monkeypatch):
    """Fails if a missing package ends in a traceback."""
    monkeypatch.setattr(nsfw, "NSFW_SHA256", files.digest(b"x"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BadInput, match="needs onnxruntime") as told:
        nsfw_features(b"x")
    assert "unmist[features]" in str(told.value)


def test_the_real_network_gives_its_pooling_layer():
    """Fails if the layer is not reached, or the network was run on something else.

    Only where `unmist fetch opennsfw` was said and onnxruntime is installed.
    """
    pytest.importorskip("onnxruntime")
    path = features_home() / NSFW_FILE
    if not path.is_file():
        pytest.skip("Open-NSFW was not fetched")
    features = nsfw_features(path.read_bytes())
    down, along = np.indices((40, 40))
    waves = np.stack([128 + 100 * np.sin(down / 3), 128 + 100 * np.cos(along / 5), down * 6])
    x = features(torch.from_numpy(waves.astype(np.uint8))[None])
    assert x.shape == (1, 1024)
    torch.testing.assert_close(x[0, :4], torch.tensor(RECORDED), rtol=1e-3, atol=1e-4)


RECORDED = [0.135801, 0.227829, 0.215413, 0.260483]
