"""What was measured is believed only as it was written."""

import pytest
import torch

from unmist.run.weights import packed
from unmist.workflows.sealed import read_sealed, write_sealed

KEPT = {"a": torch.arange(6.0), "b": torch.zeros(0, dtype=torch.int64)}


def test_tensors_come_back_as_they_were(tmp_path):
    """Fails if a name, a value or a shape is lost."""
    write_sealed(tmp_path / "x.safetensors", KEPT)
    found = read_sealed(tmp_path / "x.safetensors")
    assert found is not None
    assert found.keys() == KEPT.keys()
    assert all(torch.equal(found[name], KEPT[name]) for name in KEPT)
    assert read_sealed(tmp_path / "nothing.safetensors") is None


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.arange(6.0).reshape(2, 3)},
        {"c": torch.arange(6.0)},
        {"a": torch.arange(6.0).double()},
        {"a": torch.arange(6.0) + 1},
        {},
    ],
)
def test_the_seal_holds_names_shapes_and_values(tmp_path, other):
    """Fails if the seal of one file passes for that of another."""
    write_sealed(tmp_path / "x.safetensors", {"a": torch.arange(6.0)})
    content = (tmp_path / "x.safetensors").read_bytes()
    header = int.from_bytes(content[:8], "little")
    found = read_sealed(tmp_path / "x.safetensors")
    assert found is not None
    seal = torch.frombuffer(bytearray(content[8 + header :][-32:]), dtype=torch.uint8)
    (tmp_path / "y.safetensors").write_bytes(packed("measured", {**found, "seal": seal}))
    assert read_sealed(tmp_path / "y.safetensors") is not None
    (tmp_path / "y.safetensors").write_bytes(packed("measured", {**other, "seal": seal}))
    assert read_sealed(tmp_path / "y.safetensors") is None
