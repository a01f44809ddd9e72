import io
import pickle
import zipfile

import numpy as np
import pytest

from unmist.base.faults import BadInput
from unmist.data.opening import open_data

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 9, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 9, 7, 3), dtype=np.uint8)
FIRST = np.ascontiguousarray(COLOUR.transpose(0, 3, 1, 2))


def opened(tmp_path, array, **how):
    np.save(tmp_path / "a.npy", array)
    return open_data(tmp_path / "a.npy", **how)


def refused(path, **how):
    with pytest.raises(BadInput) as fault:
        open_data(path, **how)
    assert "\n" not in str(fault.value)
    return str(fault.value)


LAYOUTS = {
    "grey": (GREY, {}, GREY[:, None]),
    "channels first": (FIRST, {}, FIRST),
    "channels last": (COLOUR, {}, FIRST),
    "one channel last": (GREY[..., None], {}, GREY[:, None]),
    "said to be first": (GREY[:, :3], {"layout": "first"}, GREY[:, :3]),
    "five bands": (FIRST[:, :1].repeat(5, 1), {"layout": "first"}, FIRST[:, :1].repeat(5, 1)),
    "volumes": (FIRST[:, :1, None].repeat(4, 2), {}, FIRST[:, :1, None].repeat(4, 2)),
    "small volumes, colour": (FIRST[:, :, :3, None], {"layout": "last"}, None),
    "Fortran order": (np.asfortranarray(COLOUR), {}, FIRST),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_are_told_apart(tmp_path, name):
    """Fails if channels are taken for rows, or transposed data keeps its old order."""
    array, how, expected = LAYOUTS[name]
    if expected is None:
        expected = np.moveaxis(array, -1, 1)
    np.testing.assert_array_equal(opened(tmp_path, array, **how).values, expected)


RANGES = {
    "bool": (GREY > 99, (GREY > 99) * 255.0),
    "16 bits": (GREY.astype(np.uint16) * 257, GREY),
    "whole": (GREY.astype(np.int64), GREY),
    "0 to 1": ((GREY / 255).astype(np.float32), GREY),
    "-1 to 1": ((GREY / 127.5 - 1).astype(np.float64), GREY),
    "0 to 255": (GREY.astype(np.float16), GREY),
    "other byte order": (GREY.astype(">f8"), GREY),
}


@pytest.mark.parametrize("name", RANGES)
def test_ranges_become_levels(tmp_path, name):
    """Fails if a range is guessed wrong, truncated, or judged row by row."""
    array, expected = RANGES[name]
    data = opened(tmp_path, array)
    np.testing.assert_array_equal(data.values[:, 0], expected)
    assert any("became" in note for note in data.notes)


BAD = {
    "ambiguous": (COLOUR[:, :3], "fits both as (n, c, *s) and (n, *s, c)"),
    "neither": (COLOUR[..., :1].repeat(5, 3), "fits neither as"),
    "flat": (GREY.reshape(6, -1), "has shape (6, 63); give (n, h, w)"),
    "six axes": (COLOUR[None, None], "has shape"),
    "nothing": (GREY[:0], "holds no rows"),
    "no pixels": (GREY[:, :0], "holds no rows"),
    "nan": (np.where(GREY > 250, np.nan, GREY), "float64 with NaN or infinities"),
    "infinite": (np.where(GREY > 250, np.inf, GREY / 255), "with NaN or infinities"),
    "beyond": (GREY * 10.0, "float64 with 0 … 2550"),
    "negative": (GREY.astype(np.int16) - 9, "int16 with -9"),
    "text": (GREY.astype("U3"), "holds <U3, not numbers"),
    "complex": (GREY * 1j, "holds complex128, not numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_arrays_that_mean_nothing_are_refused(tmp_path, name):
    """Fails if an unclear array is guessed at."""
    array, told = BAD[name]
    np.save(tmp_path / "a.npy", array)
    assert told in refused(tmp_path / "a.npy")


class Trap:
    def __reduce__(self):
        return (open, ("trap", "w"))


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    """Fails if an object array or a plain pickle runs code: its canary file must not appear."""
    monkeypatch.chdir(tmp_path)
    raw = io.BytesIO()
    np.lib.format.write_array(raw, np.array([Trap()], dtype=object), allow_pickle=True)
    (tmp_path / "a.npy").write_bytes(raw.getvalue())
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Trap()))
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as packed:
        packed.writestr("values.npy", raw.getvalue())
    assert "never unpickled" in refused(tmp_path / "a.npy")
    assert "never unpickled" in refused(tmp_path / "b.npy")
    assert "never unpickled" in refused(tmp_path / "c.npz")
    assert not (tmp_path / "trap").exists()


def header(shape):
    raw = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        raw, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return raw.getvalue()


DAMAGED = {
    "empty.npy": b"",
    "random.npy": bytes(range(256)),
    "half.npy": header((600, 28, 28)) + bytes(1000),
    "huge.npy": header((10**9, 512, 512)) + bytes(1000),
    "negative.npy": header((-5, 8, 8)) + bytes(1000),
    "text.npy": b"\x93NUMPY\x01\x00\x10\x00__import__('os')",
    "empty.npz": b"",
    "random.npz": b"PK\x03\x04" + bytes(range(256)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_named(tmp_path, name):
    """Fails if a torn or lying header crashes or asks for memory."""
    (tmp_path / name).write_bytes(DAMAGED[name])
    line = refused(tmp_path / name)
    assert name in line
    assert "damaged" in line or "never unpickled" in line


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    """Fails if an .npz is unpacked before its size is known."""
    np.savez_compressed(tmp_path / "b.npz", values=np.zeros((2000, 64, 64), np.uint8))
    monkeypatch.setattr("unmist.data.array._UNPACKED", 1_000_000)
    assert "unpacks to 0.0 GB" in refused(tmp_path / "b.npz")


def test_parts_of_an_archive_are_found(tmp_path):
    """Fails if labels, names or captions meet the wrong rows."""
    labels = np.array([7, 3, 3, 7, 9, 9])
    np.savez(tmp_path / "a.npz", images=GREY, y=labels, text=np.array(list("abcdef")))
    data = open_data(tmp_path / "a.npz")
    assert data.classes == ("3", "7", "9")
    assert data.labels.tolist() == [1, 0, 0, 1, 2, 2]
    assert data.captions == tuple("abcdef")
    np.savez(tmp_path / "b.npz", GREY, labels=labels % 3, classes=np.array(["x", "y", "z"]))
    assert open_data(tmp_path / "b.npz").classes == ("x", "y", "z")
    np.savez(tmp_path / "c.npz", pixels=GREY, label=np.array(["owl", "crow"] * 3))
    assert open_data(tmp_path / "c.npz").labels.tolist() == [1, 0] * 3


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"values": GREY, "labels": np.arange(5)}, "labels are int64 of shape (5,) for 6 rows"),
        ({"values": GREY, "labels": np.eye(6)}, "labels are float64 of shape (6, 6)"),
        ({"values": GREY, "captions": np.arange(6)}, "captions are int64"),
        (
            {"values": GREY, "labels": np.arange(6), "classes": np.array(["a"])},
            "beyond the 1 class",
        ),
        ({"a": GREY, "b": GREY}, "2 of its arrays could be the pictures (a, b)"),
        ({"a": GREY[0]}, "0 of its arrays could be the pictures"),
    ],
)
def test_archives_that_do_not_fit_together_are_refused(tmp_path, parts, told):
    """Fails if rows and labels of different counts are paired."""
    np.savez(tmp_path / "a.npz", **parts)
    assert told in refused(tmp_path / "a.npz")


def test_an_array_of_levels_is_mapped_not_read(tmp_path):
    """Fails if a set larger than memory is copied into it, or its file changed."""
    np.save(tmp_path / "a.npy", FIRST)
    data = open_data(tmp_path / "a.npy")
    base = data.values
    while base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        data.values[0] = 0


def test_large_sets_are_compared_once(tmp_path, monkeypatch):
    """Fails if every opening of a large array compares all its rows again, or forgets the twins."""
    monkeypatch.setattr("unmist.data.memory._LARGE", 5)
    monkeypatch.setenv("UNMIST_CACHE", str(tmp_path / "cache"))
    twice = np.concatenate([GREY, GREY[:2]])
    np.save(tmp_path / "a.npy", twice)
    first = open_data(tmp_path / "a.npy")
    monkeypatch.setattr("unmist.data.memory.groups", None)
    second = open_data(tmp_path / "a.npy")
    np.testing.assert_array_equal(first.held, second.held)
    assert set(first.held) & {0, 6} in (set(), {0, 6})


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
    """Fails if an array cannot be opened on a machine without a place for the cache."""
    monkeypatch.setattr("unmist.data.memory._LARGE", 5)
    (tmp_path / "file").write_text("in the way")
    np.save(tmp_path / "a.npy", GREY)
    assert len(open_data(tmp_path / "a.npy", cache=tmp_path / "file")) == 6


def test_other_arrays_of_as_many_rows_are_given_with_them(tmp_path):
    """Fails if numbers or source pictures beside the pictures are lost, unlike in shape, or if an
    array that is neither stops the reading."""
    draw = np.random.default_rng(0)
    values = draw.integers(0, 256, (30, 6, 5, 3), np.uint8)
    sketch, size = values[..., :1].astype(np.float32) / 255, np.arange(30) / 4
    odd = {"words": np.array(["a"] * 30), "cube": draw.random((30, 7, 7, 7)), "few": size[:9]}
    np.savez(tmp_path / "pairs.npz", images=values, sketch=sketch, size=size, **odd)
    data = open_data(tmp_path / "pairs.npz")
    assert set(data.given) == {"sketch", "size"}
    assert np.array_equal(data.given["sketch"][:, 0], values[..., 0])
    assert np.array_equal(data.given["size"], size)
    assert open_data(tmp_path / "pairs.npz", size=8).given["sketch"].shape == (30, 1, 8, 8)
