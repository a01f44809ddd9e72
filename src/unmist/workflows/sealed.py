"""Measured tensors on disk, sealed: a file that was cut or altered counts as not there."""

from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.run.weights import load_weights, packed

__all__ = ["read_sealed", "write_sealed"]

SEAL = "seal"


def write_sealed(path: Path, tensors: dict[str, Tensor]) -> None:
    """One safetensors file, whole or not at all, with a digest of all it holds."""
    content = packed("measured", {**tensors, SEAL: _seal(tensors)})
    files.write_bytes(path, content)


def read_sealed(path: Path) -> dict[str, Tensor] | None:
    """The tensors, or None where there is no such file, or not as it was written."""
    if not path.is_file():
        return None
    try:
        tensors = load_weights(path)
    except (BadInput, OSError):
        return None
    seal = tensors.pop(SEAL, None)
    return tensors if seal is not None and torch.equal(seal, _seal(tensors)) else None


def _seal(tensors: dict[str, Tensor]) -> Tensor:
    """SHA-256 over names, dtypes, shapes and bytes: uint8 (32,)."""
    total = sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        total.update(tensor.detach().cpu().contiguous().numpy().data)
    return torch.frombuffer(bytearray(total.digest()), dtype=torch.uint8)
