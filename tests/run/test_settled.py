"""The levels that a run trains and samples at, measured on its data."""

import math
from dataclasses import replace

import numpy as np
import pytest

from unmist.base.faults import BadInput
from unmist.base.noise import keyed
from unmist.core.objective import LogNormal
from unmist.core.schedules import Exploding
from unmist.core.spacing import Karras
from unmist.data.opening import open_data
from unmist.run.recipe import Data, Recipe, altered, write_recipe
from unmist.run.settled import measured, same_recipe


def levels(recipe: Recipe) -> tuple[float, float, float]:
    draw, schedule, spacing = recipe.draw, recipe.schedule, recipe.sampling.spacing
    assert isinstance(draw, LogNormal)
    assert isinstance(schedule, Exploding)
    assert draw.mean is not None
    return draw.mean, schedule.sigma_max, getattr(spacing, "center", math.nan)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """60 blotches of 4x4x4, their cells then twice and four times as long an edge."""
    place = tmp_path_factory.mktemp("levels")
    blotches = keyed(0, "blotches").integers(0, 256, (60, 1, 4, 4, 4), np.uint8)
    for name, by in (("small", 2), ("large", 4)):
        np.save(place / f"{name}.npy", blotches.repeat(by, 2).repeat(by, 3).repeat(by, 4))
    return {name: open_data(place / f"{name}.npy") for name in ("small", "large")}


def test_larger_copies_get_levels_as_much_noisier(small):
    """Fails if levels do not follow the data: cells that say the same hide behind more noise."""
    few, many = (measured(Recipe(), small[name]) for name in ("small", "large"))
    assert levels(many)[0] - levels(few)[0] == pytest.approx(1.5 * math.log(2), abs=0.1)
    assert levels(few)[1] == 80
    assert levels(many)[1] == pytest.approx(8 * math.exp(levels(many)[0] + 1.8), rel=0.01)
    assert levels(many)[2] > levels(few)[2] >= 1.2


def test_what_is_asked_for_stays(small):
    """Fails if a measure overrides a draw, a top or a spacing that was set."""
    recipe = altered(Recipe(), {"draw.mean": 0.8})
    assert measured(recipe, small["large"]).draw == LogNormal(0.8)
    assert levels(measured(recipe, small["large"])) == (0.8, 80.0, 1.2)
    recipe = altered(Recipe(schedule=Exploding(0.01, 100.0)), {"sampling.spacing": "karras"})
    kept = measured(recipe, small["large"])
    assert kept.schedule == Exploding(0.01, 100.0)
    assert kept.sampling.spacing == Karras()


def test_a_run_goes_on_by_the_levels_it_began_with(small, tmp_path):
    """Fails if resuming asks for levels to be given, or takes others than those it was told."""
    began = measured(Recipe(data=Data(source="here")), small["large"])
    write_recipe(tmp_path / "recipe.toml", began)
    same_recipe(Recipe(data=Data(source="here")), tmp_path)
    with pytest.raises(BadInput, match=r"draw\.mean"):
        same_recipe(replace(Recipe(data=Data(source="here")), draw=LogNormal(0.8)), tmp_path)


def test_data_without_a_difference_have_the_unmeasured_levels(tmp_path):
    """Fails if equal samples stop a run, or write a number that is none."""
    np.save(tmp_path / "same.npy", np.full((20, 1, 8, 8), 7, np.uint8))
    found = measured(Recipe(), open_data(tmp_path / "same.npy"))
    assert found.draw == LogNormal(-0.4, 1.2)
