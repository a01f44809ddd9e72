"""Turn the published weights of the FID's Inception network into safetensors, once, by hand.

    unmist fetch inception
    python scripts/convert_inception.py pt_inception-2015-12-05-6726825d.pth inception.safetensors

The published file is a pickle, which the package never opens. This script checks its SHA-256
before it reads it, and reads it with `weights_only=True`, which builds tensors and nothing else.
The counts of batches seen in training are left out; all other tensors keep their names and bits.
The new file holds the digest of its source, by which `inception` features are known to be the
published ones, and one of its own tensors. The same input gives the same bytes.
"""

import io
import sys
from pathlib import Path

import safetensors.torch
import torch

from unmist.base import files
from unmist.base.faults import BadInput, Fault
from unmist.metrics.inception_net import PUBLISHED, InceptionNet
from unmist.metrics.pictures import digest_of
from unmist.run.weights import fill
from unmist.workflows.judges import CONTENT, SOURCE

MOST = 1 << 28


def convert(source: Path, target: Path, digest: str = PUBLISHED) -> None:
    """Read a .pth of the given SHA-256, write safetensors. Raises BadInput, CannotWrite."""
    content = files.read_bytes(source, most=MOST, links=True)
    found = files.digest(content)
    if found != digest:
        raise BadInput(f"has SHA-256 {found[:8]}…, not {digest[:8]}…", where=source)
    stored = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    tensors = {n: t.contiguous() for n, t in stored.items() if not n.endswith("batches_tracked")}
    fill(InceptionNet(), tensors, where=source)
    told = {SOURCE: found, CONTENT: digest_of(tensors)}
    files.write_bytes(target, safetensors.torch.save(tensors, metadata=told))


def main(words: list[str]) -> int:
    """Two paths, source and target; the exit code."""
    if len(words) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        convert(Path(words[0]), Path(words[1]))
    except Fault as fault:
        print(fault, file=sys.stderr)
        return fault.code
    print(f"{words[1]}: measure with --features inception:{words[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
