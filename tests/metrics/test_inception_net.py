"""The FID's Inception network against numbers that torch-fidelity 0.4.0 gave for these weights."""

import pytest
import torch
from inception_weights import random_weights, shapes_of, two_pictures

from unmist.base.faults import BadInput
from unmist.metrics.features import Classifying
from unmist.metrics.inception_net import PUBLISHED, InceptionFeatures, InceptionNet, stretched

# Means of 256 features each, and logits 0, 500 and 1007, of its FeatureExtractorInceptionV3.
FEATURES = [
    [
        0.09860340,
        0.12660952,
        0.08700369,
        0.10443653,
        0.08936707,
        0.08675940,
        0.09797262,
        0.10533175,
    ],
    [
        0.09878662,
        0.12661666,
        0.08705387,
        0.10457920,
        0.08944849,
        0.08673392,
        0.09783692,
        0.10547699,
    ],
]
LOGITS = [[-0.75487655, -2.19602060, 1.28337681], [-0.74660093, -2.19309354, 1.28721368]]


@pytest.fixture(scope="module")
def features():
    net = InceptionNet()
    net.load_state_dict(random_weights(shapes_of(net)))
    return InceptionFeatures(net)


def test_features_and_logits_are_the_published_definitions(features):
    """Fails if padding counts in the means, the last block does not take maxima, epsilon is not
    0.001, or pictures are resized by their pixels' centres: each moves these by 1e-4 and more."""
    x = features(two_pictures())
    assert (x.shape, x.dtype) == ((2, 2048), torch.float32)
    torch.testing.assert_close(x.view(2, 8, 256).mean(2), torch.tensor(FEATURES), rtol=0, atol=2e-6)
    logits = features.net.logits(x)
    assert logits.shape == (2, 1008)
    torch.testing.assert_close(logits[:, [0, 500, 1007]], torch.tensor(LOGITS), rtol=0, atol=1e-4)


def test_probabilities_leave_out_the_bias(features):
    """Fails if the Inception Score's probabilities hold the bias, which its authors left out."""
    x = torch.rand(3, 2048, generator=torch.Generator().manual_seed(0))
    p = features.probabilities_of(x)
    assert isinstance(features, Classifying)
    torch.testing.assert_close(p, (x @ features.net.fc.weight.T).softmax(1))
    torch.testing.assert_close(p.sum(1), torch.ones(3))
    assert float((p - features.net.logits(x).softmax(1)).abs().max()) > 1e-4


def test_grey_pictures_are_repeated(features):
    """Fails if grey is refused, or fills one channel only."""
    grey = two_pictures()[1:, :1]
    same = features.net(grey.repeat(1, 3, 1, 1))
    torch.testing.assert_close(features(grey), same, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 8, 8), (4, 8, 8), (3, 40), (1, 8, 8, 8)])
def test_other_data_is_refused(features, shape):
    """Fails if series, volumes or transparent pictures are measured."""
    with pytest.raises(BadInput, match="grey and colour"):
        features(torch.zeros(2, *shape, dtype=torch.uint8))


def test_pictures_are_stretched_from_corner_to_corner():
    """Fails if places are counted from pixels' centres (0, 2.5, 7.5, 10), or the axes differ."""
    row = torch.tensor([0.0, 10.0]).view(1, 1, 1, 2)
    assert stretched(row, 4)[0, 0, 0].tolist() == [0, 5, 10, 10]
    x = torch.arange(12.0).view(1, 1, 3, 4)
    torch.testing.assert_close(stretched(x, 6).transpose(2, 3), stretched(x.transpose(2, 3), 6))
    assert stretched(torch.arange(8.0).view(1, 1, 1, 8), 4)[0, 0, 0].tolist() == [0, 2, 4, 6]
    whole = torch.arange(299.0 * 299).view(1, 1, 299, 299)
    assert torch.equal(stretched(whole), whole)


def test_only_the_published_weights_are_called_inception(features):
    """Fails if other weights could give a number called FID, or two of them share a name."""
    assert InceptionFeatures(features.net, PUBLISHED).name == "inception"
    other = InceptionNet()
    other.load_state_dict({**features.net.state_dict(), "fc.bias": torch.zeros(1008)})
    names = {features.name, InceptionFeatures(other, "f" * 64).name}
    assert len(names) == 2
    assert all(name.startswith("inception-like-") for name in names)


def test_the_published_names_and_sizes():
    """Fails if the published file no longer fits: 94 convolutions of five tensors, and the last."""
    shapes = shapes_of(InceptionNet())
    assert len(shapes) == 94 * 5 + 2
    assert sum(shape.numel() for shape in shapes.values()) == 23_885_392
    assert shapes["Mixed_6c.branch7x7dbl_3.conv.weight"] == (160, 160, 1, 7)
    assert shapes["Mixed_7c.branch3x3_2b.bn.running_var"] == (384,)
    assert shapes["fc.weight"] == (1008, 2048)
