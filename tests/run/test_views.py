"""Volumes and clips as pictures and as other programs' files."""

import sys

import numpy as np
import pytest
from PIL import Image

from unmist.base.faults import BadInput
from unmist.data.mesh import read_mesh
from unmist.metrics.solids import twice_run
from unmist.run.export import check_export, export
from unmist.run.picture import GAP, read_settings
from unmist.run.views import moving, stills


def levels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def ball(size=12):
    """A solid ball in a volume (1, d, h, w)."""
    z, y, x = np.mgrid[:size, :size, :size] - (size - 1) / 2
    return (255 * (z**2 + y**2 + x**2 < (size / 3) ** 2)).astype(np.uint8)[None]


def test_a_clip_is_its_frames_in_a_row():
    """Fails if frames are exchanged, the first or last is left out, or nothing stands between."""
    clips = levels(2, 1, 15, 4, 5)
    shown = stills(clips, time=True)
    assert shown.shape == (2, 1, 4, 8 * 5 + 7 * 2)
    for column, frame in enumerate((0, 2, 4, 6, 8, 10, 12, 14)):
        assert np.array_equal(shown[..., 7 * column : 7 * column + 5], clips[:, :, frame])
    assert (shown[..., 5:7] == GAP).all()
    assert [frame.tolist() for frame in moving(clips, time=True)] == [
        clips[:, :, number].tolist() for number in range(15)
    ]
    assert stills(levels(1, 4, 3, 6, 6), time=True).shape == (1, 1, 6, 3 * 6 + 4)


def test_a_volume_is_its_middle_slices_and_a_solid():
    """Fails if a slice is another axis's or not the middle one, or the solid is not turned."""
    volumes = levels(1, 1, 4, 6, 8)
    row = stills(volumes, time=False)[0, 0]
    zoom = 96 // 8
    front = volumes[0, 0, 2].repeat(zoom, 0).repeat(zoom, 1)
    high, wide = front.shape
    top = (96 - high) // 2
    assert np.array_equal(row[top : top + high, :wide], front)
    side = volumes[0, 0, :, :, 4].repeat(96 // 6, 0).repeat(96 // 6, 1)
    assert np.array_equal(row[16 : 16 + 64, -98 - 96 : -98], side)  # before the solid, 96 wide
    assert stills(levels(2, 3, 4, 6, 8), time=False).shape[1] == 3  # colour has no solid
    views = moving(ball()[None], time=False)
    assert len(views) == 24
    assert views[0].shape == (1, 1, 96, 96)
    assert len(np.unique(views[0])) > 10  # shaded


@pytest.mark.parametrize("kind", ["webp", "gif", "mp4"])
def test_a_clip_is_read_back(tmp_path, kind):
    """Fails if frames are lost, exchanged or of another size; mp4 doubles an odd edge."""
    clip = np.zeros((1, 5, 17, 24), np.uint8)
    for number in range(5):
        clip[:, number] = 40 * number
    path = tmp_path / f"c.{kind}"
    assert export(path, clip, {"model": "m", "seed": 3})
    if kind == "mp4":
        import av

        with av.open(str(path)) as file:
            frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert frames[0].shape == (18, 24, 3)
        found = [float(frame.mean()) for frame in frames]
    else:
        with Image.open(path) as image:
            assert image.size == (24, 17)
            found = []
            for number in range(image.n_frames):
                image.seek(number)
                found.append(float(np.asarray(image.convert("L")).mean()))
        assert read_settings(path)["seed"] == 3
    assert found == pytest.approx([0, 40, 80, 120, 160], abs=3)


@pytest.mark.parametrize("kind", ["nii", "nii.gz", "npy"])
def test_a_volume_is_read_back(tmp_path, kind):
    """Fails if axes are exchanged or levels changed."""
    volume, path = levels(1, 3, 4, 5), tmp_path / f"v.{kind}"
    assert export(path, volume, {"model": "m"})
    if kind == "npy":
        assert np.array_equal(np.load(path), volume)
        return
    import nibabel

    assert np.array_equal(np.asarray(nibabel.load(path).dataobj), volume[0])


@pytest.mark.parametrize("kind", ["obj", "stl"])
def test_a_solid_is_a_closed_mesh(tmp_path, kind):
    """Fails if the surface is open or has another size; an empty volume has no file."""
    path = tmp_path / f"s.{kind}"
    assert export(path, ball(), {})
    mesh = read_mesh(path)
    assert twice_run(mesh.triangles)
    extent = mesh.points.max(0) - mesh.points.min(0)
    assert extent == pytest.approx([8, 8, 8], abs=1.1)
    assert not export(tmp_path / f"empty.{kind}", ball() // 2, {})
    assert not (tmp_path / f"empty.{kind}").exists()


@pytest.mark.parametrize(
    ("kind", "shape", "time", "what"),
    [
        ("mp4", (1, 4, 8, 8), False, "not written as 'mp4'"),
        ("stl", (1, 4, 8, 8), True, "not written as 'stl'"),
        ("stl", (3, 4, 8, 8), False, "3 channels have no surface"),
        ("nii", (1, 8, 8), False, "samples of 2 axes are not written as 'nii'"),
        ("exe", (1, 4, 8, 8), False, "not written as 'exe'"),
    ],
)
def test_what_cannot_be_written_is_refused(kind, shape, time, what):
    """Fails if samples are drawn for minutes before a format is refused."""
    with pytest.raises(BadInput, match=what):
        check_export(kind, shape, time=time)


def test_a_missing_package_is_named(monkeypatch):
    """Fails if its absence is a trace."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(BadInput, match=r"needs PyAV.*unmist\[clips\]"):
        check_export("mp4", (1, 4, 8, 8), time=True)
