"""Patches of a brain: cut where they say, and no cell both trained on and held out."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from unmist.base.faults import BadInput
from unmist.data.brain import BLOCK, EDGE, cut
from unmist.data.opening import open_data

AFFINE = np.array([[1.0, 0, 0, -98], [0, 1, 0, -60], [0, 0, 1, -50], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def head():
    """A ball of 197x120x100 cells, lighter upwards, symmetric along x."""
    x, y, z = np.meshgrid(*(np.arange(n) for n in (197, 120, 100)), indexing="ij")
    inside = ((x - 98) / 90) ** 2 + ((y - 60) / 55) ** 2 + ((z - 50) / 50) ** 2 < 1
    return (inside * (0.5 + z / 200)).astype(np.float32)


def corners(rows):
    """The first cell of each patch, from where it says that it lies."""
    texts = [source.removeprefix("brain/").removesuffix(" mm") for source in rows.sources]
    middles = np.array([[float(part) for part in text.split(",")] for text in texts])
    return (middles - AFFINE[:3, 3] - (EDGE - 1) / 2).astype(int)


def test_a_patch_is_what_lies_where_it_says(head):
    """Fails if axes are swapped, a place is half a cell off, or levels are stretched a patch."""
    rows = cut(head, AFFINE)
    assert rows.values.shape[1:] == (1, EDGE, EDGE, EDGE)
    whole = np.floor(head / head.max() * 255 + 0.5).astype(np.uint8)
    for value, (x, y, z) in list(zip(rows.values, corners(rows), strict=True))[::97]:
        assert np.array_equal(value[0], whole[x : x + EDGE, y : y + EDGE, z : z + EDGE])
    middle = corners(rows) + (EDGE - 1) / 2
    np.testing.assert_allclose(rows.given["side"], np.abs(middle[:, 0] - 98) / 10, atol=0.01)
    np.testing.assert_allclose(rows.given["up"], (middle[:, 2] - 50) / 10, atol=0.01)


def test_what_is_held_out_was_not_seen(head):
    """Fails if patches of two groups share a cell, or one shares it with another's mirror image:
    the two halves of the template are the same."""
    rows = cut(head, AFFINE)
    first = corners(rows)
    mirrored = first.copy()
    mirrored[:, 0] = 196 - first[:, 0] - (EDGE - 1)
    for other in (first, mirrored):
        apart = np.abs(first[:, None] - other[None]).max(2) >= EDGE - 1
        assert (apart | (rows.group[:, None] == rows.group[None])).all()
    assert len(set(rows.group)) > 5
    assert BLOCK > EDGE


def test_empty_air_is_left_out(head):
    """Fails if patches of nothing are learned."""
    rows = cut(head, AFFINE)
    assert len(rows.values) > 100
    assert (rows.values > 38).mean((1, 2, 3, 4)).min() >= 0.3


def test_it_opens_by_name(head, monkeypatch):
    """Fails if nilearn's image is not read, or rows are not split by their groups."""
    datasets = ModuleType("nilearn.datasets")
    image = SimpleNamespace(get_fdata=lambda: head, affine=AFFINE)
    datasets.load_mni152_template = lambda resolution: image  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nilearn", ModuleType("nilearn"))
    monkeypatch.setitem(sys.modules, "nilearn.datasets", datasets)
    data = open_data("brain")
    assert data.shape == (1, EDGE, EDGE, EDGE)
    assert 0.05 < len(data.held) / len(data) < 0.35


def test_without_the_package_it_says_what_to_install(monkeypatch):
    """Fails if an ImportError reaches the user."""
    monkeypatch.setitem(sys.modules, "nilearn", None)
    monkeypatch.setitem(sys.modules, "nilearn.datasets", None)
    with pytest.raises(BadInput, match="needs the package nilearn") as fault:
        open_data("brain")
    assert "unmist[brain]" in fault.value.mend
