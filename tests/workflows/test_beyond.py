"""Volumes and clips through the same commands as pictures."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from unmist.cli.main import main
from unmist.data import opening
from unmist.data.moving import moving
from unmist.data.opening import open_data
from unmist.networks.unet import UNet
from unmist.run.recipe import Data, Recipe, read_recipe
from unmist.training.loop import Schooling
from unmist.workflows.order import Order
from unmist.workflows.train import train

NET = UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=())


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A model of a few moving digits, barely trained."""
    few = moving(opening.built_in("digits"), 60)
    few = replace(few, values=few.values[:, :, ::4, ::2, ::2])
    kept = opening.BUILT_IN["moving_digits"]
    opening.BUILT_IN["moving_digits"] = lambda: few
    try:
        folder = tmp_path_factory.mktemp("runs") / "clips"
        recipe = Recipe(
            data=Data(source="moving_digits"), network=NET,
            training=Schooling(samples=32, batch=16),
        )  # fmt: skip
        train(recipe, folder, Order(threads=1))
        yield folder
    finally:
        opening.BUILT_IN["moving_digits"] = kept


def test_clips_are_known_and_move(clips, tmp_path, capsys):
    """Fails if a run forgets that its first axis is time, or its samples do not move."""
    assert read_recipe(clips / "recipe.toml").time
    assert (clips / "looks" / "000000032.png").is_file()
    to = tmp_path / "out"
    assert main(["sample", str(clips), "--count", "2", "--as", "gif", "--to", str(to)]) == 0
    names = {path.name for path in to.iterdir()}
    assert {"grid.png", "moving.webp", "samples.npy", "0-000001.gif", "0-000001.png"} <= names
    pixels = np.load(to / "samples.npy")
    assert pixels.shape == (2, 1, 4, 16, 16)
    with Image.open(to / "moving.webp") as film:
        assert film.n_frames == 4
    capsys.readouterr()
    assert main(["sample", str(clips), "--as", "stl", "--to", str(tmp_path / "no")]) == 2
    assert "--as: samples of 3 axes are not written as 'stl'" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_solids_from_an_array_are_meshes(tmp_path, capsys):
    """Fails if volumes are taken for clips, or no mesh is written of what has a surface."""
    solids = open_data("solids").values[:40, :, ::4, ::4, ::4]
    np.save(tmp_path / "solids.npy", solids)
    small = ["training.samples=32", "network.width=8", "training.batch=16"]
    small += ["network.levels=[1,2]", "network.blocks=[1,1]", "network.attention=[]"]
    small = [word for pair in small for word in ("--set", pair)]
    run = tmp_path / "run"
    assert main(["train", str(tmp_path / "solids.npy"), "--to", str(run), *small]) == 0
    assert not read_recipe(run / "recipe.toml").time
    assert main(["sample", str(run), "--count", "2", "--as", "obj", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [path.endswith(".obj") for path in told["exported"]] == [True, True]
    with Image.open(run / "samples" / "moving.webp") as film:
        assert film.n_frames == 24
