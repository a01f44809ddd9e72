"""What networks trained elsewhere want of a picture: three channels, their size; and their name."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from unmist.base.faults import BadInput

__all__ = ["Filter", "centred", "check_pictures", "coloured", "digest_of", "frozen", "resized"]

Filter = Literal["bilinear", "bicubic"]


def check_pictures(shape: tuple[int, ...], where: str) -> None:
    """BadInput unless rows of `shape` are grey or colour pictures: (1, h, w) or (3, h, w)."""
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise BadInput(
            f"it knows grey and colour pictures, not rows of shape {shape}",
            where=where,
            mend="use the features 'classifier'",
        )


def coloured(values: Tensor, where: str) -> Tensor:
    """uint8 (b, 1 or 3, h, w) -> uint8 (b, 3, h, w); grey is repeated."""
    check_pictures(tuple(values.shape[1:]), where)
    return values.expand(-1, 3, -1, -1)


def resized(values: Tensor, size: tuple[int, int], filter: Filter) -> Tensor:
    """uint8 (b, c, h, w) -> uint8 (b, c, *size), smoothed where it shrinks.

    As Pillow resizes, to two levels in 255: in bytes, since a float keeps what overshoots between
    the two axes and ends up to 23 levels away on noise.
    """
    return interpolate(values, size, mode=filter, antialias=True, align_corners=False)


def centred(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle (b, c, *size) of larger pictures."""
    top, left = ((have - want) // 2 for have, want in zip(x.shape[2:], size, strict=True))
    return x[:, :, top : top + size[0], left : left + size[1]]


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 in hex over names, shapes and contents, whatever their order."""
    total = sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} ".encode())
        total.update(tensor.detach().contiguous().cpu().view(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def frozen(net: nn.Module) -> nn.Module:
    """The network as it is used here: nothing in it is trained or counts what it saw."""
    return net.requires_grad_(False).eval()
