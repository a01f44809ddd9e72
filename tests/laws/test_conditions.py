"""What holds for every condition: nothing is one thing, rows are alone, the unknown is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.conditions.family import Column, conditions
from unmist.conditions.image import Image
from unmist.conditions.label import Label
from unmist.conditions.number import Number
from unmist.conditions.remainder import Remainder
from unmist.conditions.small import Small
from unmist.conditions.text import Text
from unmist.core.condition import Cond
from unmist.networks.dit import DiT
from unmist.networks.unet import UNet
from unmist.run.given import cond_of, like
from unmist.run.model import joined
from unmist.run.plain import from_plain, to_plain
from unmist.run.recipe import FAMILIES, Recipe
from unmist.training.loop import Schooling, shortened, thinned, turned

SHAPE = (2, 6, 5)
PICTURE = np.arange(90, dtype=np.uint8).reshape(3, 6, 5)
MEMBERS = {  # an open condition, what the data say of four rows, a wish, one it cannot follow
    "label": (Label(width=6), Column([1, 0, -1, 2], ("ant", "bee", "cat")), "bee", "bea"),
    "text": (
        Text(width=8, layers=1),
        Column(["a red bee", "red", "", "two bees on a blue cat, red"]),
        "a blue Bee!",
        "one two three four five six seven eight",
    ),
    "image": (
        Image(),
        Column([np.full((3, 6, 5), 9, np.uint8), PICTURE, None, PICTURE[::-1]]),
        None,
        None,
    ),
    "small": (
        Small(factor=2),
        Column([np.full((3, 6, 5), 9, np.uint8), PICTURE, None, PICTURE[::-1]]),
        None,
        None,
    ),
    "remainder": (
        Remainder(),
        Column([np.full((3, 6, 5), 9, np.uint8), PICTURE, None, PICTURE[::-1]]),
        None,
        None,
    ),
    "number": (Number(width=6), Column([0.5, 2.0, float("nan"), -1.0]), "1.5", "2.5"),
}
NETWORKS = {
    "unet": UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=(1,), head=8),
    "dit": DiT(width=16, depth=1, head=8, patch=2),
}


def awake(module, seed=0):
    """The module with every weight drawn: what is zero when new would hide a condition."""
    draw = torch.Generator().manual_seed(seed)
    for part in module.parameters():
        part.data = torch.randn(part.shape, generator=draw) * 0.3
    return module.eval().requires_grad_(False)


def told(names, network="unet"):
    """(a model that follows these, its recipe, the four rows' conditions)."""
    parts = {name: MEMBERS[name][0].settled(MEMBERS[name][1]) for name in names}
    recipe = replace(Recipe(), network=NETWORKS[network], shape=SHAPE, conditions=parts)
    plain = {name: (parts[name].reader(), list(MEMBERS[name][1].values)) for name in names}
    return awake(joined(recipe)), recipe, cond_of(plain, torch.device("cpu"))


def asked(net, cond, rows=4):
    draw = torch.Generator().manual_seed(7)
    x, clock = torch.randn(4, *SHAPE, generator=draw), torch.linspace(-2, 2, 4)
    return net(x[:rows], clock[:rows], cond)


def test_every_condition_is_tried_here():
    """Fails if a condition is added to the family without being put under these laws."""
    assert set(MEMBERS) == set(conditions)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", MEMBERS)
def test_not_kept_is_not_given(name, network):
    """Fails if a row that is not kept differs in a bit from one that was told nothing, or from
    itself with another value, even one that is not finite; or if a value is ignored."""
    net, _, cond = told([name], network)
    nothing = asked(net, None)
    assert torch.equal(asked(net, cond.without()), nothing)
    other = cond.rows(torch.tensor([3, 2, 1, 0]))
    assert torch.equal(asked(net, other.without(name)), nothing)
    assert cond.kept(name).tolist() == [True, True, False, True]
    found = asked(net, cond)
    for row, kept in enumerate(cond.kept(name).tolist()):
        assert torch.equal(found[row], nothing[row]) is not kept


@pytest.mark.parametrize("name", MEMBERS)
def test_every_value_says_something_else(name):
    """Fails if two values, or a value and nothing, are the same to the network: above all 0."""
    net, _, cond = told([name])
    x, clock = torch.ones(4, *SHAPE), torch.zeros(4)
    rows = net(x, clock, cond)
    assert min(float((rows[i] - rows[j]).abs().max()) for i in range(4) for j in range(i)) > 1e-6


@pytest.mark.parametrize("name", MEMBERS)
def test_the_order_of_rows_changes_nothing(name):
    """Fails if what a row is told depends on its place in the batch."""
    net, _, cond = told([name])
    order = torch.tensor([2, 0, 3, 1])
    x = torch.ones(4, *SHAPE)
    signals = net.signals(x, cond)
    shuffled = net.signals(x, cond.rows(order))
    for one, other in zip(signals, shuffled, strict=True):
        if isinstance(one, torch.Tensor):
            assert torch.equal(one[order], other)
        elif one is not None:
            assert torch.equal(one.values[order], other.values)
            assert torch.equal(one.mask[order], other.mask)


def test_any_subset_may_be_given():
    """Fails if one condition needs another, or leaks into it."""
    names = list(MEMBERS)
    net, _, cond = told(names)
    for name in names:
        alone = Cond({name: cond.values[name]}, {name: cond.keep[name]})
        others = [other for other in names if other != name]
        assert torch.equal(asked(net, alone), asked(net, cond.without(*others)))


def test_what_is_not_followed_is_refused():
    """Fails if a condition the model was not built for is passed over in silence."""
    net, _, _ = told(["label"])
    strange = Cond({"colour": torch.zeros(4)})
    with pytest.raises(BadInput, match=r"follows no colour \(it follows: label\)"):
        asked(net, strange)


@pytest.mark.parametrize("name", [name for name in MEMBERS if MEMBERS[name][2]])
def test_a_wish_is_read_or_refused(name):
    """Fails if a user's words become no value, or what cannot be followed is taken all the same."""
    condition, column, right, wrong = MEMBERS[name]
    settled = condition.settled(column)
    _, keep = settled.reader()([settled.wish(right), None])
    assert keep.tolist() == [True, False]
    with pytest.raises(BadInput, match="wish: "):
        settled.wish(wrong)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_recipe_keeps_it(name):
    """Fails if a condition is not written and read as it was, or what was open in it is asked for
    again when a run goes on."""
    condition, column, _, _ = MEMBERS[name]
    recipe = replace(Recipe(), conditions={name: condition.settled(column)})
    assert from_plain(to_plain(recipe, FAMILIES), Recipe, FAMILIES) == recipe
    assert like({name: condition}, recipe.conditions) == recipe.conditions


@pytest.mark.parametrize("name", MEMBERS)
def test_training_drops_it_by_itself(name):
    """Fails if dropout is not this keep mask, or hits a row that had nothing to lose."""
    _, _, cond = told([name])
    many = cond.rows(torch.arange(4).repeat(100))
    plan = Schooling(batch=400, drop=0.25)
    kept = thinned(many, plan, 0).kept(name)
    assert not kept[2::4].any()
    assert 0.65 < float(kept[torch.arange(400) % 4 != 2].float().mean()) < 0.85


def test_pictures_are_mirrored_with_their_samples():
    """Fails if training with flips shows a sample one way round and its picture the other."""
    which = torch.tensor([True, False, True, False])
    _, _, cond = told(list(MEMBERS))
    found = turned(cond, which).values
    assert torch.equal(found["image"][0], cond.values["image"][0].flip(-1))
    assert torch.equal(found["image"][1], cond.values["image"][1])
    for name in set(MEMBERS) - {"image", "remainder", "small"}:
        assert found[name] is cond.values[name]


def test_a_picture_of_another_size_is_refused():
    """Fails if it is stretched or cut in silence."""
    net, _, cond = told(["image"])
    wrong = Cond({"image": cond.values["image"][..., :4]}, cond.keep)
    with pytest.raises(BadInput, match=r"shape \(3, 6, 4\) beside \(3, 6, 5\)"):
        asked(net, wrong)


def test_shortened_captions_keep_words_in_their_order():
    """Fails if words of other rows come in, their order is lost, one is never left alone, or rows
    that were not chosen change."""
    texts = ["a b c d", "e", "", "f g h i j k l"] * 64
    reader = Text(words=tuple("abcdefghijkl"), length=7).reader()
    value, keep = reader(texts)
    plan = Schooling(batch=len(texts), shorten=0.5)
    found = shortened(Cond({"text": value}, {"text": keep}), plan, 0).values["text"]
    counts = []
    for text, numbers, mask in zip(texts, found.values[..., 0], found.mask, strict=True):
        words = [" abcdefghijkl"[number] for number in numbers[mask]]
        assert words == sorted(words)
        assert set(words) <= set(text)
        assert not numbers[~mask].any()
        assert bool(mask[: len(words)].all())
        assert bool(words) == bool(text)
        counts.append(len(words))
    whole = np.array([len(text.split()) for text in texts])
    long = whole > 1
    assert 0.5 < np.mean(np.array(counts)[long] == whole[long]) < 0.7  # half, some by luck
    assert set(np.array(counts)[3::4]) == set(range(1, 8))
    untouched = shortened(Cond({"text": value}), replace(plan, shorten=0.0), 0).values["text"]
    assert untouched is value
