"""A model told of its data: trained, resumed, asked, repeated, measured."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from bars import bars

from unmist.base.faults import BadInput
from unmist.conditions.label import Label
from unmist.data.opening import open_data
from unmist.networks.unet import UNet
from unmist.run.given import given_of
from unmist.run.parent import inheriting
from unmist.run.picture import read_settings, save_picture
from unmist.run.recipe import Data, Recipe, altered
from unmist.training.loop import Schooling
from unmist.workflows.blocks import Drawn, Job, Reference, part_of
from unmist.workflows.gallery import save_grid, save_samples
from unmist.workflows.judging import Judge
from unmist.workflows.sample import Shot, sample
from unmist.workflows.shots import altered_shot, shot_like
from unmist.workflows.train import Order, planned, train, training

NAMES = ("standing", "lying")


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """500 bars whose classes have names."""
    path = tmp_path_factory.mktemp("bars") / "bars.npz"
    x, y = bars(500, 0)
    np.savez(path, images=x, labels=y, classes=NAMES)
    return path


def recipe_of(source, **settings):
    recipe = Recipe(
        data=Data(source=str(source)),
        network=UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=()),
        training=Schooling(samples=128, batch=32, drop=0.2),
    )
    settings = {name.replace("__", "."): value for name, value in settings.items()}
    return altered(recipe, {"sampling.steps": 4, "measuring.every": -1, **settings})


@pytest.fixture(scope="module")
def model(named, tmp_path_factory):
    """Barely trained on their labels; weights drawn so that each class looks otherwise."""
    recipe = recipe_of(named, conditions__label__kind="label", conditions__label__width=8)
    model = train(recipe, tmp_path_factory.mktemp("runs") / "bars", Order(threads=1))
    draw = torch.Generator().manual_seed(0)
    for part in model.net.parameters():
        part.data += torch.randn(part.shape, generator=draw) * 0.2
    return model


def test_classes_come_from_the_data_and_in_turn(model, tmp_path):
    """Fails if the recipe does not learn the classes' names, nothing said is not all of them in
    turn, a picture does not tell its own, or the grid not the wish of all."""
    assert model.recipe.conditions == {"label": Label(classes=NAMES, width=8)}
    shot = Shot(count=3, first=3)
    samples = sample(model, shot)
    written = save_samples(samples, shot, tmp_path)
    told = [read_settings(path)["wish"] for path in written.pictures]
    assert told == [{"label": "lying"}, {"label": "standing"}, {"label": "lying"}]
    assert read_settings(save_grid(samples, tmp_path / "all.png"))["wish"] == {"label": [*NAMES]}
    each = [sample(model, replace(shot, wish={"label": name})).pixels for name in NAMES]
    for row, number in enumerate((3, 4, 5)):
        assert np.array_equal(samples.pixels[row], each[number % 2][row])
        assert not np.array_equal(samples.pixels[row], each[1 - number % 2][row])


def test_a_picture_repeats_its_wish(model, tmp_path):
    """Fails if the wish is lost on the way through a picture, or nothing asked becomes a class."""
    for number, wish in enumerate(({"label": "lying"}, {"label": ("lying", "standing", "")}, {})):
        shot = Shot(count=3, wish=wish)
        drawn = sample(model, shot)
        place = tmp_path / str(number)
        written = save_samples(drawn, shot, place)
        again = sample(model, shot_like(model, written.grid))
        assert np.array_equal(again.pixels, drawn.pixels)
        for row, path in enumerate(written.pictures):
            alone = sample(model, shot_like(model, path)).pixels
            assert np.abs(alone[0].astype(int) - drawn.pixels[row]).max() <= 1
    free = sample(model, Shot(count=2, wish={})).pixels
    assert np.array_equal(free, sample(model, Shot(count=2, wish={"label": ""})).pixels)
    assert not np.array_equal(free, sample(model, Shot(count=2)).pixels)


def test_what_cannot_be_followed_is_refused_with_what_can(model):
    """Fails if a wish is passed over, or the refusal does not help."""
    with pytest.raises(BadInput, match="no class 'lyin'; did you mean 'lying'"):
        sample(model, Shot(wish={"label": ("standing", "lyin")}))
    with pytest.raises(BadInput, match="follows no 'colour'; known: label"):
        altered_shot(model, Shot(), {"wish.colour": "red"})
    assert altered_shot(model, Shot(), {"wish.label": "lying"}).wish == {"label": "lying"}


def test_data_without_what_is_asked_are_refused_before_a_folder_is_made(named, tmp_path):
    """Fails if a run begins on labels or numbers that are not there."""
    np.savez(tmp_path / "plain.npz", images=bars(300, 1)[0])
    for source, told in ((tmp_path / "plain.npz", "no labels"), (named, "no column 'size'")):
        name, kind = ("label", "label") if "labels" in told else ("size", "number")
        recipe = recipe_of(source, **{f"conditions__{name}__kind": kind})
        for ask in (planned, lambda asked, order: train(asked, tmp_path / "run", order)):
            with pytest.raises(BadInput, match=told):
                ask(recipe, Order(threads=1))
    assert not (tmp_path / "run").exists()


def test_a_stopped_run_goes_on_to_the_bit(named, tmp_path):
    """Fails if dropped conditions, their order or the embedders' state are not restored; or micro-
    batches get another row's condition."""
    recipe = recipe_of(
        named, conditions__label__kind="label", saving__checkpoint=32, training__micro=8
    )
    for report in (reports := training(recipe, tmp_path / "half", Order(threads=1))):
        if report.seen >= 64:
            break
    reports.close()
    train(recipe, tmp_path / "half", Order(threads=1))
    train(recipe, tmp_path / "whole", Order(threads=1))
    states = [max((tmp_path / run / "state").iterdir()) for run in ("half", "whole")]
    assert states[0].name == states[1].name
    for path in states[0].glob("*.safetensors"):
        assert path.read_bytes() == (states[1] / path.name).read_bytes()
    other = altered(recipe, {"conditions.label.width": 16})
    with pytest.raises(BadInput, match=r"recipe\.conditions\.label\.width is 128, asked 16"):
        train(other, tmp_path / "half", Order(threads=1))
    with pytest.raises(BadInput, match=r"recipe\.conditions\.label is label, asked None, but"):
        train(recipe_of(named, saving__checkpoint=32), tmp_path / "half", Order(threads=1))


def test_a_parent_that_follows_something_else_is_refused(named, model, tmp_path):
    """Fails if it is found by a tensor's name, in the middle of the data."""
    free = recipe_of(named)
    with pytest.raises(BadInput, match=r"conditions is label there, asked nothing.*--on label"):
        train(free, tmp_path / "run", Order(threads=1, start=model.folder))
    same = recipe_of(named, conditions__label__kind="label", conditions__label__width=8)
    train(same, tmp_path / "run", Order(threads=1, start=model.folder))


def test_a_parent_s_words_and_classes_keep_their_meaning(model, tmp_path):
    """Fails if a run from a parent counts words anew, or takes its classes for others."""
    shown = altered(model.recipe, {"conditions.text.kind": "text", "conditions.text.length": 3})
    parent = replace(model, recipe=altered(shown, {"conditions.text.words": ["a", "bar"]}))
    asked = recipe_of("x", conditions__text__kind="text")
    assert inheriting(asked, parent).conditions["text"].words == ("a", "bar")
    assert inheriting(asked, None) == asked
    x, y = bars(300, 2)
    np.savez(tmp_path / "other.npz", images=x, labels=y, classes=("up", "down", "none"))
    other = recipe_of(
        tmp_path / "other.npz", conditions__label__kind="label", conditions__label__width=8
    )
    with pytest.raises(BadInput, match=r"classes \(standing, lying\) are not those of the data"):
        train(other, tmp_path / "run", Order(threads=1, start=model.folder))
    assert not (tmp_path / "run").exists()


def test_classes_are_known_by_their_names(model):
    """Fails if a run that goes on, or is measured, on changed data takes one class for another."""
    data, device = open_data(model.recipe.data.source), torch.device("cpu")
    rows = data.train[:16]
    before = given_of(model.recipe, data, device)(rows).values["label"]
    turned = replace(data, classes=NAMES[::-1], labels=1 - data.labels)
    assert torch.equal(given_of(model.recipe, turned, device)(rows).values["label"], before)
    with pytest.raises(BadInput, match="a class 'leaning' that the model does not know"):
        given_of(model.recipe, replace(data, classes=("leaning", "lying")), device)


def test_a_picture_wish_is_known_by_its_content(named, tmp_path):
    """Fails if a sample is repeated beside a picture that changed since, or the change cannot be
    meant."""
    x, _ = bars(120, 3)
    np.savez(tmp_path / "pairs.npz", images=x, source=255 - x)
    recipe = recipe_of(
        tmp_path / "pairs.npz", conditions__source__kind="image", training__samples=32
    )
    model = train(recipe, tmp_path / "run", Order(threads=1))
    wish = {"source": str(tmp_path / "one.png")}
    save_picture(tmp_path / "one.png", x[0], {})
    shot = Shot(count=1, wish=wish)
    drawn = sample(model, shot)
    (path,) = save_samples(drawn, shot, tmp_path / "out").pictures
    assert np.array_equal(sample(model, shot_like(model, path)).pixels, drawn.pixels)
    save_picture(tmp_path / "one.png", x[1], {})
    with pytest.raises(BadInput, match=r"one\.png: is not as it was"):
        shot_like(model, path)
    assert shot_like(model, path, wish=wish).wish == wish
    (tmp_path / "one.png").unlink()
    with pytest.raises(BadInput, match=r"one\.png"):
        shot_like(model, path)


def test_measured_samples_are_told_what_the_held_out_rows_are(model, cache, tmp_path):
    """Fails if the classes of measured samples are not as frequent as in the data, or change with
    the block or the process that draws them; or a wish is passed over."""
    reference = Reference(model.recipe.data)
    job = Job(
        Drawn(model.folder, model.digest, Shot()), reference, Judge("classifier", cache),
        "", tmp_path, 0,
    )  # fmt: skip
    data = reference.open()
    part = part_of(replace(job, features=job.judge.open(data).name), data)
    assert part.told is not None
    count = len(data.held)
    labels = part.told(range(count)).values["label"].numpy()
    assert np.array_equal(np.sort(labels), np.sort(data.labels[data.held]))
    assert np.array_equal(part.told(range(count + 3, count + 5)).values["label"], labels[3:5])
    source = replace(job.source, shot=Shot(wish={"label": "lying"}))
    assert part_of(replace(part.job, source=source), data).told is None
