"""What can be asked of a recipe by name: sizes of both networks, parts inside parts."""

import pytest
import torch

from unmist.base.faults import BadInput
from unmist.cli.flags import recipe_of
from unmist.core.condition import Sockets
from unmist.core.schedule import Shifted
from unmist.core.schedules import Cosine, Flow
from unmist.networks.dit import DiT
from unmist.run.recipe import SIZES, Recipe, altered, read_recipe, sized, write_recipe


@pytest.mark.parametrize("size", SIZES)
def test_a_size_is_as_large_in_either_network(size):
    """Fails if the dial leaves a DiT as it is, or makes it 20 % off the U-Net of that size."""
    nets = [sized(Recipe(network=net), size).network for net in (Recipe().network, DiT(patch=2))]
    assert isinstance(nets[1], DiT)
    assert nets[1].patch == 2
    with torch.device("meta"):
        built = [net.build((3, 32, 32), Sockets()) for net in nets]
    counts = [sum(p.numel() for p in net.parameters()) for net in built]
    assert counts[1] == pytest.approx(counts[0], rel=0.2)


def test_the_size_is_that_of_the_network_asked_for():
    """Fails if --size falls on the U-Net before `--set network=dit` replaces it."""
    asked: dict[str, object] = {"network": "dit", "network.head": 32}
    assert recipe_of("digits", None, "tiny", asked).network == DiT(width=64, depth=4, head=32)
    wide = recipe_of("digits", None, "tiny", {"network": "dit", "network.width": 96})
    assert wide.network == DiT(width=96, depth=4)


def test_a_shift_can_be_written(tmp_path):
    """Fails if a schedule inside a schedule cannot be named by flags or read back."""
    assert altered(Recipe(), {"schedule": "shifted"}).schedule == Flow().shifted(3.0)
    inner: dict[str, object] = {"schedule.base": "cosine", "schedule.base.s": 0.01}
    recipe = altered(Recipe(), {"schedule": "shifted", **inner, "schedule.factor": 0.5})
    assert recipe.schedule == Shifted(Cosine(0.01), 0.5)
    write_recipe(tmp_path / "recipe.toml", recipe)
    assert read_recipe(tmp_path / "recipe.toml") == recipe
    with pytest.raises(BadInput, match="schedule: shift -1"):
        altered(recipe, {"schedule.factor": -1})
    with pytest.raises(BadInput, match="did you mean 'cosine'"):
        altered(recipe, {"schedule.base": "cosin"})
