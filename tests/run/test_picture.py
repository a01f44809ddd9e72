"""Pictures with settings: written whole, read without decoding, laid out to the pixel."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unmist.base.faults import BadInput, CannotWrite
from unmist.run.picture import (
    flat,
    grid,
    parameters_line,
    read_settings,
    save_film,
    save_picture,
    strip,
)

SETTINGS = {
    "model": "m",
    "hash": "0123456789abcdef" * 4,
    "seed": 7,
    "sample": 3,
    "shape": [1, 28, 40],
    "sampling": {"steps": 20, "solver": {"kind": "unipc", "order": 2}, "spacing": {"kind": "time"}},
}


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_gives_back_pixels_and_settings(tmp_path, channels):
    """Fails if a pixel changes, a setting is lost, or other programs find no `parameters`."""
    path, picture = tmp_path / "new" / "a.png", pixels(channels, 5, 9)
    save_picture(path, picture, SETTINGS)
    with Image.open(path) as image:
        read = np.asarray(image)
        line, ours = image.info["parameters"], json.loads(image.info["unmist"])
    assert np.array_equal(read if channels == 3 else read[..., None], picture.transpose(1, 2, 0))
    assert read_settings(path) == ours
    assert {key: ours[key] for key in SETTINGS} == SETTINGS
    assert line.startswith(
        "Steps: 20, Sampler: unipc, Schedule type: time, Seed: 7, Size: 40x28, "
        "Model hash: 0123456789, Model: m, Version: unmist "
    )
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]


def test_equal_pictures_are_equal_files(tmp_path):
    """Fails if a time, a temporary name or the order of the settings gets into the file."""
    for name, settings in (("a.png", SETTINGS), ("b.png", dict(reversed(SETTINGS.items())))):
        save_picture(tmp_path / name, pixels(1, 4, 4), settings)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_line_holds_only_what_is_known():
    """Fails if a setting that is missing is invented or printed as None."""
    line = parameters_line({"seed": 1})
    assert line.startswith("Seed: 1, Version: unmist ")
    assert "None" not in line


@pytest.mark.parametrize("name", ["a.webp", "a.gif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_film_has_its_frames_and_settings(tmp_path, name, channels):
    """Fails if a frame is dropped, merged with the next or shifted, or the settings are lost."""
    frames = [np.full((channels, 6, 8), level, np.uint8) for level in (0, 64, 128, 255)]
    save_film(tmp_path / name, frames, {**SETTINGS, "long": "x" * 2000})
    with Image.open(tmp_path / name) as image:
        assert image.n_frames == 4
        for number, frame in enumerate(frames):
            image.seek(number)
            assert np.array_equal(np.asarray(image.convert("RGB"))[..., 0], frame[0])
        assert image.info["loop"] == 0
    assert read_settings(tmp_path / name)["seed"] == 7
    assert read_settings(tmp_path / name)["long"] == "x" * 2000


def test_a_grid_places_each_picture():
    """Fails if a row and a column are exchanged, or a gap eats pixels."""
    parts = pixels(5, 3, 4, 6)
    whole = grid(parts, 2, zoom=2, gap=3)
    assert whole.shape == (3, 3 * 8 + 2 * 3, 2 * 12 + 3)
    for number, part in enumerate(parts):
        top, left = (number // 2) * 11, (number % 2) * 15
        inside = whole[:, top : top + 8, left : left + 12]
        assert np.array_equal(inside[:, ::2, ::2], part)
        assert np.array_equal(inside[:, 1::2, 1::2], part)
    assert (whole[:, 8:11] == 128).all()
    assert (whole[:, :, 12:15] == 128).all()
    assert grid(parts).shape == grid(parts, 3).shape
    assert np.array_equal(grid(parts[:1]), parts[0])


def test_a_strip_has_a_row_a_sample_and_a_column_a_frame():
    """Fails if samples and frames are exchanged."""
    frames = [pixels(2, 1, 3, 3, seed=seed) for seed in range(4)]
    whole = strip(frames, gap=0)
    for column, frame in enumerate(frames):
        for row in range(2):
            inside = whole[:, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            assert np.array_equal(inside, frame[row])


def test_what_is_no_picture_is_shown_as_one():
    """Fails if slices stand in another order, or a line of values is not repeated downwards."""
    volume = pixels(2, 1, 3, 4, 5)
    shown = flat(volume)
    assert shown.shape == (2, 1, 4, 15)
    assert np.array_equal(shown[1, 0, :, 5:10], volume[1, 0, 1])
    line = pixels(2, 3, 7)
    assert flat(line).shape == (2, 3, 16, 7)
    assert (flat(line) == line[:, :, None]).all()
    assert np.array_equal(flat(pixels(2, 4, 5, 5)), pixels(2, 4, 5, 5)[:, :1])


def test_another_tools_line_is_handed_on(tmp_path):
    """Fails if a picture of another tool is refused, or its text is taken for ours."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("parameters", "a cat\nSteps: 9, Sampler: Euler a")
    Image.new("L", (2, 2)).save(tmp_path / "a.png", pnginfo=info)
    assert read_settings(tmp_path / "a.png") == {"parameters": "a cat\nSteps: 9, Sampler: Euler a"}


def test_names_that_are_no_pictures_are_refused(tmp_path):
    """Fails if a picture takes the place of a folder, or a suffix lies about the format."""
    (tmp_path / "d.png").mkdir()
    for name in ("a.jpg", "a", "d.png"):
        with pytest.raises(BadInput):
            save_picture(tmp_path / name, pixels(1, 2, 2), {})
    with pytest.raises(BadInput):
        save_film(tmp_path / "a.png", [pixels(1, 2, 2)], {})
    assert [p.name for p in tmp_path.iterdir()] == ["d.png"]


def test_a_failed_write_leaves_the_earlier_picture(tmp_path, monkeypatch):
    """Fails if a full disk, in the middle of writing, takes the picture that stood there."""
    path = tmp_path / "a.png"
    save_picture(path, pixels(1, 4, 4), {"seed": 1})
    before = path.read_bytes()

    def full(self, target, **how):
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(CannotWrite, match="the disk is full"):
        save_picture(path, pixels(1, 4, 4, seed=1), {"seed": 2})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
