"""What cannot be edited among volumes, clips and series is refused in one line."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from unmist.base.faults import BadInput
from unmist.run.export import export
from unmist.workflows.edit_arrays import known_in, opened_array, opened_clip
from unmist.workflows.edit_extend import extend
from unmist.workflows.edit_pictures import Opened
from unmist.workflows.sample import Shot


def model(shape, *, time):
    return SimpleNamespace(shape=shape, recipe=SimpleNamespace(time=time), folder=Path("m"))


VOLUME = Opened(np.zeros((1, 4, 6, 8), np.uint8), (4, 6))


def test_a_box_counts_from_the_left_upper_corner_of_the_first_slice():
    """Fails if axes are exchanged: x runs along the last."""
    known = known_in(VOLUME, [], [(5, 1, 2, 3, 2, 1)])
    wanted = np.ones((4, 6, 8), np.float32)
    wanted[2:3, 1:3, 5:8] = 0
    assert np.array_equal(known, wanted)


@pytest.mark.parametrize(
    ("box", "what"),
    [
        ((0, 0, 2, 2), "--box: 4 numbers; x,y,z,width,height,depth"),
        ((8, 0, 0, 1, 1, 1), "does not meet the sample's 4x6x8"),
        ((0, 0, 0, 1, 0, 1), "does not meet"),
        ((0, 0, 0, 9, 9, 9), "nothing is left"),
    ],
)
def test_boxes_that_mean_nothing(box, what):
    """Fails if one is cut to size in silence."""
    with pytest.raises(BadInput, match=what):
        known_in(VOLUME, [], [box])


def test_masks_are_as_large_as_the_sample(tmp_path):
    """Fails if a mask is stretched, or nothing marked draws all the same."""
    np.save(tmp_path / "m.npy", np.zeros((4, 6, 7)))
    with pytest.raises(BadInput, match="the mask is float64 4x6x7, the sample 4x6x8"):
        known_in(VOLUME, [tmp_path / "m.npy"], [])
    np.save(tmp_path / "m.npy", np.zeros((4, 6, 8)))
    with pytest.raises(BadInput, match="nothing is marked"):
        known_in(VOLUME, [tmp_path / "m.npy"], [])


def test_samples_of_another_shape(tmp_path):
    """Fails if numbers of another kind or shape reach the network."""
    clips = model((1, 4, 8, 8), time=True)
    np.save(tmp_path / "a.npy", np.zeros((1, 5, 8, 8), np.uint8))
    with pytest.raises(BadInput, match=r"the model draws uint8 \(1, 4, 8, 8\)"):
        opened_array(clips, tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.zeros((4, 8, 8)))
    with pytest.raises(BadInput, match="holds float64"):
        opened_array(clips, tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(BadInput, match="is damaged or not a NumPy file"):
        opened_array(clips, tmp_path / "b.npy")
    two = np.stack([np.full((1, 8, 8), level, np.uint8) for level in (0, 99)], axis=1)
    export(tmp_path / "c.gif", two, {})
    with pytest.raises(BadInput, match=r"has 2 frames, the model 4; use `unmist edit extend`"):
        opened_array(clips, tmp_path / "c.gif")
    assert opened_clip(clips, tmp_path / "c.gif").shape == (1, 2, 8, 8)
    with pytest.raises(BadInput, match="no such file"):
        opened_array(clips, tmp_path / "none.npy")


def test_a_volume_is_fitted(tmp_path):
    """Fails if a larger volume is refused or taken at a corner."""
    volume = np.zeros((16, 16, 16), np.float32)
    volume[8:] = 1
    np.save(tmp_path / "v.npy", volume)
    found = opened_array(model((1, 8, 8, 8), time=False), tmp_path / "v.npy")
    assert found.pixels.shape == (1, 8, 8, 8)
    assert found.pixels[0, 4:].min() == 255
    assert found.pixels[0, :4].max() == 0
    assert "v.npy is fitted to 1x8x8x8" in found.notice


@pytest.mark.parametrize(("frames", "overlap", "time"), [(4, 0, True), (9, 4, True), (9, 0, False)])
def test_what_cannot_be_extended(frames, overlap, time):
    """Fails if a clip is cut, a window would tell nothing new, or a picture model is asked."""
    clip = np.zeros((1, 4, 8, 8), np.uint8)
    with pytest.raises(BadInput):
        extend(model((1, 4, 8, 8), time=time), clip, frames, Shot(count=1), overlap)
