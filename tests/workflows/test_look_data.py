"""A data set and a run looked at, as `look` tells them apart."""

import numpy as np
import pytest
from PIL import Image

from unmist.base.faults import BadInput
from unmist.workflows.look import look
from unmist.workflows.look_data import DataLook


@pytest.fixture
def folder(tmp_path):
    """Six pictures in two classes, and one file that is none."""
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(3):
            values = np.random.default_rng(number + len(name) * (name == "cats"))
            picture = Image.fromarray(values.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            picture.save(tmp_path / "pets" / name / f"{number}.png")
    (tmp_path / "pets" / "dogs" / "bad.png").write_bytes(b"none")
    return tmp_path / "pets"


def test_a_folder_is_told_and_shown(folder, tmp_path):
    """Fails if a class is miscounted, the bad file not named, or the sheet not written."""
    found = look(folder, tmp_path / "out" / "sheet.png", cache=tmp_path / "cache")
    assert isinstance(found, DataLook)
    assert found.report.classes == {"cats": 3, "dogs": 3}
    assert [bad.name for bad in found.report.bad] == ["dogs/bad.png"]
    assert found.report.shape == (3, 16, 16)
    with Image.open(found.sheet) as sheet:
        assert np.asarray(sheet)[2:66, 2:66].std() > 30
    assert sorted(p.name for p in (folder / "dogs").iterdir()) == [
        "0.png",
        "1.png",
        "2.png",
        "bad.png",
    ]


def test_what_is_nothing_is_refused(tmp_path):
    """Fails if a name that leads nowhere, or a sheet without a suffix, is taken."""
    for what in (tmp_path / "nowhere", "digit", "a\0b", "x" * 4000):
        with pytest.raises(BadInput):
            look(what)
    with pytest.raises(BadInput, match=r"end it in \.png"):
        look(tmp_path, tmp_path / "sheet")
    assert list(tmp_path.iterdir()) == []
