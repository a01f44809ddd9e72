"""Any ONNX file as a detector: shown what the policy says, and run only if it is that file."""

import numpy as np
import pytest
from small_onnx import mean_network

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.guard.detector import Seen
from unmist.guard.network import OnnxNetwork, shown
from unmist.guard.policy import Network


def rule(content=b"", **settings):
    named = {"name": "mean", "file": "mean.onnx", "sha256": files.digest(content), "above": 0.5}
    return Network(**{**named, "size": (8, 8), **settings})


def test_a_network_scores_what_it_is_shown():
    """Fails if pixels are scaled, resized or ordered otherwise than the policy says."""
    pytest.importorskip("onnxruntime")
    content = mean_network()
    detector = OnnxNetwork(rule(content), content)
    grey, colour = np.full((1, 8, 8), 51, np.uint8), np.full((3, 40, 20), 102, np.uint8)
    scores = [finding.score for finding in detector([Seen(grey), Seen(colour)])]
    assert scores == pytest.approx([0.2, 0.4], abs=1e-6)
    assert detector.version == rule(content).limit.version
    last = OnnxNetwork(rule(mean_network((1, 8, 8, 3)), layout="bhwc", mean=(1.0, 2.0, 3.0)),
                       mean_network((1, 8, 8, 3)))  # fmt: skip
    assert last([Seen(grey)])[0].score == pytest.approx(49 / 255, abs=1e-6)


def test_channels_and_axes_are_as_the_layout_says():
    """Fails if red, green and blue, or height and width, change places."""
    pixels = np.zeros((3, 4, 6), np.uint8)
    pixels[0], pixels[1, :2] = 10, 20
    first = shown(pixels, rule(size=(4, 6), spread=(1.0,)))
    assert (first.shape, first.dtype) == ((1, 3, 4, 6), np.float32)
    assert np.array_equal(first[0], pixels)
    last = shown(pixels, rule(size=(4, 6), layout="bhwc", mean=(1, 2, 3), spread=(1, 2, 4)))
    assert last.shape == (1, 4, 6, 3)
    assert last[0, 0, 0].tolist() == [9.0, 9.0, -0.75]


def test_another_file_is_not_run():
    """Fails if a file of another hash than the policy's is run under its name."""
    with pytest.raises(BadInput, match="is not the file whose sha256"):
        OnnxNetwork(rule(b"the right one"), b"another")


@pytest.mark.parametrize("content", [b"", b"no network", mean_network()[:-40]])
def test_what_is_no_network_is_told(content):
    """Fails if a damaged file ends in onnxruntime's own class."""
    pytest.importorskip("onnxruntime")
    with pytest.raises(BadInput, match="is no ONNX file"):
        OnnxNetwork(rule(content), content)([Seen(np.zeros((1, 8, 8), np.uint8))])
