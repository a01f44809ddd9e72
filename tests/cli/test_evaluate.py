"""`unmist evaluate`: what it prints, what it leaves, what it refuses in a line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from bars import bars

from unmist.run.card import write_card

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """1,500 bars, 150 other ones, and 20."""
    folder = tmp_path_factory.mktemp("bars")
    x, y = bars(1500, 0)
    np.savez(folder / "bars.npz", images=x, labels=y)
    np.save(folder / "others.npy", bars(200, 1)[0])
    np.save(folder / "few.npy", bars(20, 1)[0])
    np.save(folder / "wide.npy", np.zeros((150, 1, 8, 9, 9), np.uint8))
    return folder


@pytest.fixture
def cache(place, monkeypatch):
    """A cache of these tests."""
    monkeypatch.setenv("UNMIST_CACHE", str(place / "cache"))


def test_pictures_are_measured_and_told(said, place, tmp_path):
    """Fails if a measure stands without sizes, the verdict is missing, or no page is left."""
    words = ("evaluate", place / "others.npy", "--against", place / "bars.npz", "--to", tmp_path)
    code, out, err = said(*words)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("Fréchet distance ")
    assert "(200 against " in lines[0]
    assert "[" in lines[0]
    assert any(line.startswith("copies 0 [0, ") for line in lines)
    assert any(line.startswith("No copies beyond chance were found: ") for line in lines)
    assert lines[-1] == str(tmp_path / "report.html")
    assert Path(lines[-1]).is_file()
    assert err.splitlines()[:2] == ["opening the data", "teaching the features"]
    code, out, err = said(*words, "--json")
    assert code == 0
    assert err == "note: 1 of 1 blocks were measured before\n"
    told = json.loads(out)
    assert told["report"] == lines[-1]
    assert told["coverage"]["count"] == 200
    assert told["coverage"]["low"] <= told["coverage"]["value"] <= told["coverage"]["high"]
    assert json.loads((tmp_path / "scores.json").read_text()).items() <= told.items()


def test_a_model_s_card_tells_its_scores(said, model, place, tmp_path):
    """Fails if the card shows tables as tables of tables, or the scores not at all."""
    folder = tmp_path / "tiny"
    shutil.copytree(model, folder)
    scores = {
        "coverage": {
            "name": "coverage", "value": 0.91, "low": 0.89, "high": 0.93, "floor": 0.97,
            "count": 1000, "reference": 502, "features": "labels-1", "method": "", "confidence": 1,
        },
        "verdict": ["The variety of the data is met."],
        "notes": ["few"],
        "settings": {"seed": 1},
    }  # fmt: skip
    (folder / "scores.json").write_text(json.dumps(scores))
    text = write_card(folder).read_text()
    assert "| coverage | 0.91 [0.89, 0.93], floor 0.97 (1000 samples against 502) |" in text
    assert "- The variety of the data is met." in text
    assert "| settings" not in text
    assert "| coverage low" not in text


REFUSED = {
    "nothing": (["nowhere"], "nowhere: no such folder, file or built-in set"),
    "a zero byte": (["a\0b"], "no such folder, file or built-in set"),
    "a long name": (["a" * 5000], "no such folder, file or built-in set"),
    "no reference": (["others.npy"], "no data are named to measure it against; add --against"),
    "no such reference": (["others.npy", "--against", "nowhere"], "nowhere: no such folder"),
    "too small a reference": (["others.npy", "--against", "few.npy"], "held-out pictures are too"),
    "too few": (["few.npy", "--against", "bars.npz"], "few: 20 pictures are too few to measure;"),
    "volumes": (["wide.npy", "--against", "bars.npz"], "cannot be resized; leave size"),
    "a count of none": (["others.npy", "--against", "bars.npz", "--count", "0"], "count 0; give"),
    "a count in words": (["others.npy", "--count", "many"], "--count: unable to convert"),
    "too many": (["others.npy", "--against", "bars.npz", "--count", "900"], "900 are asked for"),
    "a seed": (["others.npy", "--against", "bars.npz", "--seed", "2"], "these are pictures; leave"),
    "processes": (["others.npy", "--against", "bars.npz", "--processes=-1"], "-1 processes; 0"),
    "features": (["others.npy", "--against", "bars.npz", "--features", "fid"], "no features call"),
    "a fault of spelling": (["others.npy", "--agains", "bars.npz"], "did you mean --against?"),
    "no such weights": (["MODEL", "--weights", "worst"], "no weights 'worst' here (there: last"),
    "weights elsewhere": (["MODEL", "--weights", "../../x"], "no weights '../../x' here"),
    "no such setting": (["MODEL", "--set", "stps=3"], "did you mean 'steps'?"),
    "bits of pictures": (["others.npy", "--against", "bars.npz", "--bits", "10"], "are for models"),
    "bits over odd steps": (["MODEL", "--bits", "9"], "bits 9; an even number up to 10000"),
    "steps of none": (["MODEL", "--steps", "0"], "steps is 0; 1 …"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_measured_costs_one_line(said, place, model, monkeypatch, case):
    """Fails if a slip ends in a trace, another code, or changes anything but the cache."""
    words, told = REFUSED[case]
    monkeypatch.chdir(place)
    before = sorted(path for path in place.rglob("*") if "cache" not in path.parts)
    code, out, err = said("evaluate", *(str(model) if word == "MODEL" else word for word in words))
    lines = [line for line in err.splitlines() if line.startswith("unmist: ")]
    assert (code, out, len(lines)) == (2, "", 1)
    assert told in lines[0]
    assert "Traceback" not in err
    assert sorted(path for path in place.rglob("*") if "cache" not in path.parts) == before
