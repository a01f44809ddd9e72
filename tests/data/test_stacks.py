"""Folders of volumes and of clips become rows; what cannot be read is named."""

import numpy as np
import pytest
from PIL import Image

from unmist.base.faults import BadInput
from unmist.data.mesh import Mesh, save_mesh
from unmist.data.opening import open_data
from unmist.run.export import export


@pytest.fixture
def opened(tmp_path):
    """`open_data` of tmp_path/set with a cache of its own."""

    def run(**kinds):
        return open_data(tmp_path / "set", cache=tmp_path / "cache", **kinds)

    (tmp_path / "set").mkdir()
    return run


def ramp(shape, top):
    """Numbers from 0 to `top` along the last axis."""
    return np.broadcast_to(np.linspace(0, top, shape[-1], dtype=np.float32), shape).copy()


def test_volumes_of_numbers_share_one_rule(opened, tmp_path):
    """Fails if each volume is stretched by itself, axes are exchanged, or edges are not padded."""
    for name, top in (("a", 1000), ("b", 1000), ("c", 500)):
        np.save(tmp_path / "set" / f"{name}.npy", ramp((8, 8, 16), top))
    found = opened(size=16)
    assert found.values.shape == (3, 1, 16, 16, 16)
    assert not found.time
    full, half = found.values[0, 0, 8, 8], found.values[2, 0, 8, 8]
    assert full[-1] == 255
    assert (np.diff(full.astype(int)) >= 0).all()
    assert int(half[-1]) == pytest.approx(127, abs=2)
    assert (found.values[0, 0, :4] == 0).all()
    assert (found.values[0, 0, 4:12, 8, -1] == 255).all()
    small = opened(size=8).values[0, 0]
    assert small.shape == (8, 8, 8)


def test_nifti_is_turned_and_its_cells_made_equal(opened, tmp_path):
    """Fails if a flipped axis or cells twice as deep are not put right."""
    nibabel = pytest.importorskip("nibabel")
    values = np.zeros((8, 8, 4), np.float32)
    values[:4] = 1
    affine = np.diag([-1.0, 1, 2, 1])  # the first axis runs the other way
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "set" / "a.nii.gz")
    nibabel.save(
        nibabel.Nifti1Image(values[::-1], np.diag([1.0, 1, 2, 1])), tmp_path / "set" / "b.nii"
    )
    found = opened()
    assert found.values.shape == (2, 1, 8, 8, 8)
    assert np.array_equal(found.values[0], found.values[1])
    assert found.values[0, 0, 7, 4, 4] == 255
    assert found.values[0, 0, 0, 4, 4] == 0


def test_meshes_and_their_classes(opened, tmp_path):
    """Fails if a cube is not solid, or folders are no classes."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    rows = np.array([t for a, b, c, d in sides for t in ((a, b, c), (a, c, d))])
    for name in ("box", "crate"):
        (tmp_path / "set" / name).mkdir()
        save_mesh(tmp_path / "set" / name / "one.obj", Mesh(corners, rows))
    found = opened(size=16)
    assert found.classes == ("box", "crate")
    assert found.labels.tolist() == [0, 1]
    assert found.values[0, 0, 8, 8, 8] == 255
    assert found.values[0, 0, 0, 0, 0] == 0


def clip(frames, level=20, size=(16, 16)):
    """Frame k is of level k*level."""
    return np.stack([np.full((1, *size), level * k % 256, np.uint8) for k in range(frames)], axis=1)


def test_videos_are_cut_and_stay_together(opened, tmp_path):
    """Fails if windows overlap or lose frames, or clips of one file are split apart."""
    pytest.importorskip("av")
    for name in "abcdefgh":
        export(tmp_path / "set" / f"{name}.mp4", clip(11, 20), {})
    found = opened(frames=5)
    assert found.time
    assert found.values.shape == (16, 1, 5, 16, 16)
    means = found.values[:2].mean((1, 3, 4))
    assert means[0] == pytest.approx([0, 20, 40, 60, 80], abs=3)
    assert means[1] == pytest.approx([100, 120, 140, 160, 180], abs=3)
    held = {found.sources[row] for row in found.held}
    assert not held & {found.sources[row] for row in found.train}


def test_animations_and_folders_of_frames(opened, tmp_path):
    """Fails if frame 10 comes before 2, or an animation loses its colour."""
    frames = tmp_path / "set" / "walk"
    frames.mkdir()
    for number in range(12):
        Image.new("L", (8, 8), 20 * number).save(frames / f"f{number}.png")
    export(tmp_path / "set" / "b.gif", clip(12, 20, (8, 8)), {})
    red = clip(12, 20, (8, 8)).repeat(3, axis=0)
    red[1:] = 0
    export(tmp_path / "set" / "c.webp", red, {})
    found = opened(frames=12)
    assert found.values.shape == (3, 3, 12, 8, 8)
    rising = pytest.approx([20 * n for n in range(12)], abs=2)
    by = dict(zip(found.sources, found.values, strict=True))
    assert by["walk"].mean((0, 2, 3)) == rising
    assert by["c.webp"][0].mean((1, 2)) == rising
    assert by["c.webp"][1:].max() <= 2
    assert found.classes == ()


def test_read_once(opened, tmp_path, monkeypatch):
    """Fails if files are decoded again though nothing changed, or not again once one did."""
    from unmist.data import stacks

    for name in "ab":
        np.save(tmp_path / "set" / f"{name}.npy", ramp((8, 8, 8), 10))
    first = opened()
    real, calls = stacks.read_volume, []
    monkeypatch.setattr(stacks, "read_volume", lambda *a: calls.append(a) or real(*a))
    again = opened()
    assert calls == []
    assert again.fingerprint == first.fingerprint
    np.save(tmp_path / "set" / "b.npy", ramp((8, 8, 8), 3))
    assert opened().fingerprint != first.fingerprint
    assert calls


BAD = {
    "cut.npy": (b"\x93NUMPY", "is damaged or not a NumPy file"),
    "flat.npy": (None, r"holds float64 of shape \(4, 4\), not one volume"),
    "cut.nii": (b"nothing", "is damaged or no NIfTI"),
    "empty.obj": (b"v 0 0 0", "holds no triangles"),
    "cut.mp4": (b"\0\0\0\x18ftyp", "is damaged or no video"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_named(opened, tmp_path, name):
    """Fails if a bad file ends in a trace, is passed over in silence, or cannot be left out."""
    content, reason = BAD[name]
    if content is None:
        np.save(tmp_path / "set" / name, np.zeros((4, 4)))
    else:
        (tmp_path / "set" / name).write_bytes(content)
    if name.endswith("mp4"):
        export(tmp_path / "set" / "good.mp4", clip(16), {})
    else:
        np.save(tmp_path / "set" / "good.npy", ramp((8, 8, 8), 1))
    with pytest.raises(BadInput, match=f"1 of 2 (volumes|clips) cannot be used: {name}: {reason}"):
        opened()
    assert len(opened(on_bad="skip")) == 1


def test_too_short_is_said(opened, tmp_path):
    """Fails if a clip is padded in silence."""
    export(tmp_path / "set" / "a.gif", clip(3), {})
    with pytest.raises(BadInput, match="has 3 frames, 8 are a clip"):
        opened(frames=8)
