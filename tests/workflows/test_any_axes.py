"""One story for series, pictures, volumes and clips: train, sample, inpaint, evaluate, extend."""

import json

import numpy as np
import pytest
from bars import bars
from PIL import Image

from unmist.cli.main import main
from unmist.run.export import export
from unmist.run.model import load

SMALL = (
    "training.samples=64 training.batch=16 network.width=8 network.levels=[1,2] "
    "network.blocks=[1,1] network.attention=[]"
)
SMALL = [word for pair in SMALL.split() for word in ("--set", pair)]
COUNT = 1080  # a tenth is held out, and a hundred are needed to measure


def waves(rng):
    """Two columns of waves, 1,080 windows of 16."""
    t = np.arange(COUNT * 16)
    noise = rng.normal(0, 0.1, (2, len(t)))
    return np.stack([np.sin(t / 3), np.sign(np.sin(t / 5))], 1) + noise.T


def made(kind, place, rng):
    """Data of a kind on disk: its path, flags, and the shape of a sample."""
    place.mkdir(parents=True)
    if kind == "series":
        np.save(place / "waves.npy", waves(rng))
        return place / "waves.npy", ["--set", "data.frames=16"], (2, 16)
    x, _ = bars(COUNT, 0)
    if kind == "picture":
        np.save(place / "bars.npy", x)
        return place / "bars.npy", [], x.shape[1:] if x.ndim == 4 else (1, *x.shape[1:])
    small = x.reshape(COUNT, *x.shape[-2:])[:, ::2, ::2]
    side = small.shape[-1]
    if kind == "volume":
        deep = small[:, None, None].repeat(4, axis=2)
        np.save(place / "deep.npy", deep)
        return place / "deep.npy", [], (1, 4, side, side)
    for number in range(COUNT // 12):  # 12 clips of 4 frames a file
        frames = np.stack(
            [np.roll(one, k, -1) for one in small[12 * number :][:12] for k in range(4)]
        )
        export(place / f"{number:03}.gif", frames[None], {})
    return place, ["--set", "data.frames=4"], (1, 4, side, side)


@pytest.mark.parametrize("kind", ["series", "picture", "volume", "clip"])
def test_the_whole_way(kind, tmp_path, capsys, monkeypatch):
    """Fails if any step needs another way for another number of axes."""
    monkeypatch.setenv("UNMIST_CACHE", str(tmp_path / "cache"))
    source, flags, shape = made(kind, tmp_path / "data", np.random.default_rng(0))
    run, out = tmp_path / "run", tmp_path / "out"
    assert main(["train", str(source), "--to", str(run), *flags, *SMALL]) == 0
    model = load(run)
    assert model.shape == shape
    assert model.recipe.time == (kind in ("series", "clip"))
    assert main(["sample", str(run), "--count", "120", "--steps", "2", "--to", str(out)]) == 0
    if kind == "picture":
        given = out / "0-000000.png"
        pixels = np.asarray(Image.open(given))[None]
    else:
        pixels = np.load(out / "samples.npy")[0]
        given = tmp_path / "one.npy"
        np.save(given, pixels)
    box = ",".join(["0"] * (len(shape) - 1) + ["2"] * (len(shape) - 1))
    words = ["edit", "inpaint", str(run), str(given), "--box", box, "--steps", "2", "--count", "2"]
    assert main([*words, "--to", str(tmp_path / "edit")]) == 0
    known = np.ones(shape, bool)
    known[(slice(None), *[slice(0, 2)] * (len(shape) - 1))] = False
    for drawn in _edited(tmp_path / "edit", kind):
        assert np.array_equal(drawn[known], pixels[known])
        assert not np.array_equal(drawn, pixels)
    capsys.readouterr()
    asked = ["evaluate", str(run), "--count", "120", "--steps", "2", "--json"]
    assert main([*asked, "--to", str(tmp_path / "measures")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert 0 <= told["coverage"]["value"] <= 1
    assert told["coverage"]["count"] == 120
    if model.recipe.time:
        far = ["edit", "extend", str(run), str(given), "--frames", str(2 * shape[1])]
        assert main([*far, "--steps", "2", "--count", "2", "--to", str(tmp_path / "far")]) == 0
        longer = np.load(tmp_path / "far" / "extend-0.npy")
        assert longer.shape == (2, shape[0], 2 * shape[1], *shape[2:])
        assert np.array_equal(longer[0, :, : shape[1]], pixels)
        assert not np.array_equal(longer[0], longer[1])


def _edited(folder, kind):
    if kind == "picture":
        return [np.asarray(Image.open(folder / f"inpaint-0-{n:06}.png"))[None] for n in range(2)]
    return list(np.load(folder / "inpaint-0.npy"))
