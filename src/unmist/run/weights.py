"""Weights on disk: safetensors only, written whole, and checked where the format leaves it open."""

import re
from pathlib import Path
from typing import TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from unmist.base import files
from unmist.base.faults import BadInput, Diverged

__all__ = ["fill", "frozen", "load_weights", "packed", "unpacked", "write_weights"]

MOST_BYTES = 1 << 40
MOST_HEADER = 16 << 20
MOST_TENSORS = 50_000

Module = TypeVar("Module", bound=nn.Module)

_PART = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TENSOR = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,499}")
_DAMAGED = "it was damaged or altered; use an earlier checkpoint or a copy"


def write_weights(path: Path, tensors: dict[str, Tensor]) -> str:
    """Write one safetensors file and return its SHA-256. Raises CannotWrite and Diverged."""
    content = packed(path.stem, tensors)
    files.write_bytes(path, content)
    return files.digest(content)


def load_weights(path: Path) -> dict[str, Tensor]:
    """The named tensors of one safetensors file, finite and with harmless names, or BadInput."""
    return unpacked(files.read_bytes(path, most=MOST_BYTES), path)


def fill(module: nn.Module, tensors: dict[str, Tensor], *, where: object) -> None:
    """Copy tensors into a module, which keeps its device and memory layout.

    Names, shapes and dtypes must agree, but that float16 on disk fills float32; BadInput names the
    first tensor that does not.
    """
    expected = module.state_dict()
    mend = "the file belongs to another network or recipe"
    for name in sorted(expected.keys() - tensors.keys()):
        raise BadInput(f"tensor '{name}' is missing", where=where, mend=mend)
    for name in sorted(tensors.keys() - expected.keys()):
        raise BadInput(f"tensor '{name}' has no place in this network", where=where, mend=mend)
    filled = {}
    for name, wanted in expected.items():
        given = tensors[name]
        if given.dtype == torch.float16 and wanted.dtype == torch.float32:
            given = given.float()
        if (given.shape, given.dtype) != (wanted.shape, wanted.dtype):
            what = f"tensor '{name}' is {_form(given)}, this network wants {_form(wanted)}"
            raise BadInput(what, where=where, mend=mend)
        filled[name] = given
    module.load_state_dict(filled)


def _form(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def packed(part: str, tensors: dict[str, Tensor]) -> bytes:
    """Safetensors bytes; copies first, as tied or channels-last tensors cannot be written as is."""
    assert _PART.fullmatch(part), part
    for name, tensor in tensors.items():
        if not _finite(tensor):
            raise Diverged(f"tensor '{name}' of {part} is not finite", mend="nothing was written")
    plain = torch.contiguous_format
    copies = {
        name: tensor.detach().to("cpu", copy=True, memory_format=plain)
        for name, tensor in sorted(tensors.items())
    }
    return safetensors.torch.save(copies)


def _finite(tensor: Tensor) -> bool:
    return not tensor.dtype.is_floating_point or bool(tensor.isfinite().all())


def unpacked(content: bytes, where: Path) -> dict[str, Tensor]:
    """Tensors of safetensors bytes, after the checks that the format leaves to its reader."""
    _check_header(content, where)
    try:
        tensors = safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        why = f"{error}"[:120]
        raise BadInput(f"not readable as safetensors ({why})", where=where) from error
    for name, tensor in tensors.items():
        if not _finite(tensor):
            raise BadInput(f"tensor '{name}' is not finite", where=where, mend=_DAMAGED)
    return tensors


def frozen(module: Module, path: Path, device: torch.device | str) -> Module:
    """The module with the weights of a file, to be used and not to learn. Raises BadInput."""
    fill(module, load_weights(path), where=path)
    return module.to(device).eval().requires_grad_(False)


def _check_header(content: bytes, where: Path) -> None:
    """Refuse what the format's own reader lets pass: double names, paths as names, huge headers."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(len(content) - 8, MOST_HEADER):
        raise BadInput("is not a safetensors file, or is cut short", where=where, mend=_DAMAGED)
    header = files.parse_json(content[8 : 8 + length], where=where)
    if not isinstance(header, dict) or len(header) > MOST_TENSORS:
        raise BadInput(f"its header is no table of up to {MOST_TENSORS} tensors", where=where)
    for name in header:
        if name != "__metadata__" and (not _TENSOR.fullmatch(name) or ".." in name):
            raise BadInput(f"{name[:80]!r} is no name for a tensor", where=where, mend=_DAMAGED)
