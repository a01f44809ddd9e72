"""How a model is sampled: what its recipe says, what a shot says, what a picture repeats."""

from dataclasses import replace

import numpy as np
import pytest

from unmist.base.faults import BadInput
from unmist.core.plan import Renoise
from unmist.networks.unet import UNet
from unmist.run.model import load
from unmist.run.picture import save_picture
from unmist.run.recipe import Data, Recipe, altered
from unmist.training.loop import Schooling
from unmist.workflows.gallery import save_samples
from unmist.workflows.sample import Shot, plan_of, sample
from unmist.workflows.shots import altered_shot, shot_like
from unmist.workflows.train import Order, train

EDITS = {
    "churn": {"churn": 20.0, "churn_high": 50.0, "churn_low": 0.1, "churn_gain": 1.01},
    "larger": {"eta": 1, "larger": True},
    "langevin": {"langevin": 2},
    "all": {"eta": 1, "larger": True, "churn": 3.0, "langevin": 1},
}


@pytest.fixture(scope="module")
def model(source, tmp_path_factory):
    """Barely trained on bars; four steps unless told."""
    recipe = Recipe(
        data=Data(source=str(source)),
        network=UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=()),
        training=Schooling(samples=32, batch=16),
    )
    recipe = altered(recipe, {"sampling.steps": 4, "measuring.every": -1})
    return train(recipe, tmp_path_factory.mktemp("runs") / "bars", Order(threads=1))


@pytest.mark.parametrize("name", EDITS)
def test_a_picture_repeats_how_its_plan_was_edited(model, tmp_path, name):
    """Fails if an edit does not reach the plan, or is lost on the way through the picture."""
    plain = sample(model, Shot(count=2))
    shot = altered_shot(model, Shot(count=2), EDITS[name])
    drawn = sample(model, shot)
    assert not np.array_equal(drawn.pixels, plain.pixels)
    (first, _) = save_samples(drawn, shot, tmp_path).pictures
    again = shot_like(model, first)
    assert np.array_equal(sample(model, again).pixels[0], drawn.pixels[0])
    assert plan_of(model, again)[1] == plan_of(model, shot)[1]


def test_each_edit_is_the_core_s(model):
    """Fails if an edit is applied twice, in another place, or with another number."""
    steps = 4

    def counted(**settings):
        plan = plan_of(model, altered_shot(model, Shot(), settings))[0]
        up = [move for move in plan.moves if isinstance(move, Renoise)]
        return len(plan.moves) - len(up), len(up), {round(move.gain, 6) for move in up}

    assert counted() == (steps, 0, set())
    assert counted(eta=0.5) == (steps, steps - 1, {1.0})
    assert counted(churn=20, churn_gain=1.5) == (steps, steps, {1.5})
    assert counted(churn=20, churn_high=1e-5) == (steps, 0, set())
    assert counted(langevin=2) == (steps + 2 * (steps - 1), 2 * (steps - 1), {1.0})
    assert max(counted(eta=1, larger=True)[2]) > 1.0


def test_what_the_recipe_says_holds_until_the_shot_says_otherwise(model):
    """Fails if a recipe's edits are not its samples' default, or cannot be turned off."""
    recipe = altered(model.recipe, {"sampling.churn": 20, "sampling.eta": 1})
    edited = replace(model, recipe=recipe)
    assert plan_of(edited, Shot())[1].churn == 20
    assert plan_of(edited, altered_shot(edited, Shot(), {"churn": 0, "eta": 0}))[1].churn == 0
    with pytest.raises(BadInput, match="larger variance belongs to eta = 1"):
        altered(model.recipe, {"sampling.larger": True})
    with pytest.raises(BadInput, match="larger variance belongs to eta = 1"):
        altered_shot(model, Shot(), {"larger": True})
    with pytest.raises(BadInput, match="langevin is -1"):
        altered_shot(model, Shot(), {"langevin": -1})


def test_pictures_and_recipes_from_before_the_edits_are_read(model, tmp_path):
    """Fails if a file without the newer settings is refused, or drawn with a model's own edits."""
    told = sample(model, Shot(count=1)).settings
    kept = {name: told["sampling"][name] for name in ("steps", "solver", "spacing")}
    before = {**told, "sampling": kept, "eta": 0.5}
    save_picture(tmp_path / "old.png", np.zeros((1, 8, 8), np.uint8), before)
    shot = shot_like(model, tmp_path / "old.png")
    assert (shot.eta, shot.larger, shot.churn, shot.langevin) == (0.5, False, 0.0, 0)
    path = model.folder / "recipe.toml"
    text = path.read_text()
    words = ("eta", "larger", "churn", "langevin")
    path.write_text("".join(x for x in text.splitlines(True) if not x.startswith(words)))
    try:
        assert load(model.folder).recipe == model.recipe
    finally:
        path.write_text(text)
