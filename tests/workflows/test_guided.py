"""A model led in sampling: what reaches the network, what a picture repeats, what is refused."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.cli.sample import Draw
from unmist.guidance.guide import Guide
from unmist.metrics.estimate import Estimate
from unmist.networks.unet import UNet
from unmist.run.guide import Led, accuracies, scale_of, write_scale
from unmist.run.model import load
from unmist.run.recipe import Data, Recipe, altered
from unmist.training.loop import Schooling
from unmist.workflows import classifying
from unmist.workflows.gallery import save_samples
from unmist.workflows.guided import unheard
from unmist.workflows.guiding import Point, Scorer, chosen, tuning_scale
from unmist.workflows.sample import Shot, sample, settled
from unmist.workflows.shots import altered_shot, shot_like
from unmist.workflows.train import Order, train

GUIDES = {
    "scale": {"guide.scale": [3.0]},
    "in turn": {"guide.scale": [1.0, 3.0]},
    "interval": {"guide.scale": [3.0], "guide.low": 0.2, "guide.high": 5.0},
    "mended": {"guide.scale": [3.0], "guide.rescale": 0.7, "guide.threshold": 0.99},
    "away": {"guide.scale": [3.0], "guide.negative.label": "0"},
    "by name": {"guide.scales.label": 2.5},
    "weaker": {"guide.weaker": 0.1},
    "classifier": {"guide.classifier": 2.0},
}


def trained(source, folder, **settings):
    recipe = Recipe(
        data=Data(source=str(source)),
        network=UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=()),
        training=Schooling(samples=320, batch=32),
    )
    recipe = altered(recipe, {"sampling.steps": 4, "measuring.every": -1, **settings})
    train(recipe, folder, Order(threads=1))
    classifying.classify(folder, Order(threads=1))
    return load(folder)


@pytest.fixture(scope="module")
def models(source, tmp_path_factory):
    """A model that follows labels and one that follows nothing, both with a classifier."""
    place = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifying, "SAMPLES", 640)
        patch.setattr(classifying, "MOST", 100)
        return (
            trained(source, place / "told", **{"conditions.label.kind": "label"}),
            trained(source, place / "plain"),
        )


@pytest.mark.parametrize("name", GUIDES)
def test_a_picture_repeats_how_it_was_led(models, tmp_path, name):
    """Fails if a guide does not reach the samples, or is lost on the way through the picture."""
    model = models[0]
    plain = sample(model, Shot(count=2))
    shot = altered_shot(model, Shot(count=2), GUIDES[name])
    drawn = sample(model, shot)
    assert not np.array_equal(drawn.pixels[1], plain.pixels[1])
    second = save_samples(drawn, shot, tmp_path).pictures[1]
    again = sample(model, shot_like(model, second))
    assert np.array_equal(again.pixels[0], drawn.pixels[1])


def test_what_a_guided_sample_costs(models):
    """Fails if evaluations are not counted by rows: a guided step is two, outside it is one."""

    def calls(**settings):
        found = {name.replace("_", "."): value for name, value in settings.items()}
        return sample(models[0], altered_shot(models[0], Shot(count=3), found)).calls

    assert calls() == 4
    assert calls(guide_scale=[1.0]) == 4
    assert calls(guide_scale=[0.0]) == 4
    assert calls(guide_scale=[2.0]) == 8
    assert calls(guide_weaker=0.1) == 8
    assert calls(guide_classifier=2.0) == 4
    assert 4 < calls(guide_scale=[2.0], guide_low=0.2, guide_high=5.0) < 8


@pytest.mark.parametrize("exact", [True, False])
def test_scales_in_turn_are_each_sample_s_own(models, exact):
    """Fails if a sample's scale is its neighbour's, or depends on where its batch begins."""
    model = models[0]
    settings = {"guide.scale": [1.0, 4.0, 2.0], "exact": exact}
    turns = sample(model, altered_shot(model, Shot(count=5, batch=2), settings))
    for number, scale in ((0, 1.0), (1, 4.0), (4, 4.0)):
        own = altered_shot(
            model, Shot(first=number, count=1), {"guide.scale": [scale], "exact": exact}
        )
        gap = np.abs(sample(model, own).pixels[0].astype(int) - turns.pixels[number])
        assert gap.max() <= (0 if exact else 1)


def test_exact_under_a_classifier(models):
    """Fails if a sample's bits depend on its company where a classifier leads it."""
    settings = {"guide.classifier": 3.0, "exact": True}
    whole = sample(models[0], altered_shot(models[0], Shot(count=10), settings))
    one = sample(models[0], altered_shot(models[0], Shot(count=1, first=7), settings))
    assert np.array_equal(one.pixels[0], whole.pixels[7])


def test_a_classifier_gives_classes_to_a_model_without(models, tmp_path):
    """Fails if a model that follows nothing cannot be asked for a class by a classifier."""
    model = models[1]
    with pytest.raises(BadInput, match="follows no"):
        altered_shot(model, Shot(wish={"label": "1"}), {})
    shot = altered_shot(model, Shot(count=2, wish={"label": "1"}), {"guide.classifier": 4.0})
    drawn = sample(model, shot)
    assert drawn.settings["wish"] == {"label": ["1"]}
    assert not np.array_equal(drawn.pixels, sample(model, Shot(count=2)).pixels)
    flags = Draw(count=2, class_=("1",), set=("guide.classifier=4",))
    assert replace(flags.shot(model), guide=shot.guide) == replace(shot, wish={"label": ("1",)})
    with pytest.raises(BadInput, match=r"follows no 'label'; .* guide.classifier=2"):
        Draw(class_=("1",)).shot(model)
    (first, _) = save_samples(drawn, shot, tmp_path).pictures
    alone = sample(model, shot_like(model, first)).pixels.astype(int)
    assert np.abs(alone[0] - drawn.pixels[0]).max() <= 1


def test_what_does_nothing_is_said(models):
    """Fails if a scale without a wish, or a wish without a scale, passes in silence."""
    told, plain = models
    for model, guide, wish, word in (
        (told, Guide(negative={"label": "1"}), None, "scale 1"),
        (told, Guide(scale=(2.0,)), {}, "nothing is wished"),
        (told, Guide(scales={"label": 2.0}), {"label": ""}, "no label"),
        (plain, Guide(classifier=2.0), {"label": ""}, "no class"),
    ):
        (line,) = unheard(model, guide, wish)
        assert word in line
    for guide in (Guide(), Guide(scale=(2.0,)), Guide(weaker=0.1), Guide(classifier=1.0)):
        assert unheard(told, guide, None) == []
    assert unheard(told, Guide(negative={"label": "1"}, scale=(2.0,)), {}) == []


def test_a_finished_classifier_is_not_taught_again(models):
    """Fails if the same command begins anew, where training says that it is finished."""
    path = models[0].folder / "guide" / "classifier.safetensors"
    before = path.stat().st_mtime_ns
    (report,) = classifying.classifying(models[0].folder, Order(threads=1))
    assert report.finished
    assert "already finished" in report.notice
    assert path.stat().st_mtime_ns == before


def test_the_classifier_is_told_of(models):
    """Fails if its accuracy is not kept by level, or it learned nothing where there is no noise."""
    found = accuracies(models[0].folder)
    assert tuple(found) == classifying.RATIOS
    assert found[0.05] > 1.5 * found[32.0]


def test_what_leads_nowhere_is_refused(models):
    """Fails if a scale or a negative wish that the model cannot follow is ignored in silence."""
    told, plain = models
    for model, settings in (
        (plain, {"guide.scale": [2.0]}),
        (told, {"guide.scales.text": 2.0}),
        (told, {"guide.negative.text": "red"}),
        (told, {"guide.negative.label": "nine"}),
        (told, {"guide.scale": [1e6]}),
        (told, {"guide.low": 3.0, "guide.high": 1.0}),
        (told, {"guide.rescale": 1.5}),
        (told, {"guide.weaker": 0.1, "guide.negative.label": "1"}),
    ):
        with pytest.raises(BadInput):
            altered_shot(model, Shot(), settings)
    assert sample(plain, Shot(count=1)).calls == 4


def test_a_model_without_helpers_says_how_to_get_them(run):
    """Fails if a missing classifier is no refusal that says what to do."""
    with pytest.raises(BadInput, match="train --classifier"):
        altered_shot(load(run), Shot(), {"guide.classifier": 2.0})


def test_the_model_s_own_scale(models, tmp_path):
    """Fails if a kept scale is not used, is used where another is said, or leaks into others."""
    model = models[0]
    shot = Shot(count=1, wish={"label": "1"})
    (early, *_) = save_samples(sample(model, shot), shot, tmp_path / "early").pictures
    try:
        write_scale(model.folder, Led(2.5, model.digest), [])
        assert settled(model, shot_like(model, early)).guide.scale == (1.0,)
        assert settled(model, Shot()).guide.scale == (2.5,)
        assert altered_shot(model, Shot(), {"guide.weaker": 0.2}).guide.scale == ()
        assert settled(model, Shot(guide=Guide(scale=(1.0,)))).guide.scale == (1.0,)
        shot = altered_shot(model, Shot(count=1), {})
        (first, *_) = save_samples(sample(model, shot), shot, tmp_path).pictures
        write_scale(model.folder, Led(0.5, model.digest, high=4.0), [])
        assert settled(model, shot_like(model, first)).guide.scale == (2.5,)
        assert settled(model, Shot()).guide == Guide(scale=(0.5,), high=4.0)
        assert settled(model, Shot(guide=Guide(low=0.5))).guide == Guide(scale=(0.5,), low=0.5)
        assert settled(model, Shot(guide=Guide(scale=(3.0,)))).guide == Guide(scale=(3.0,))
    finally:
        (model.folder / "guide" / "scale.json").unlink()


def test_the_scale_is_chosen_from_a_curve(models, cache):
    """Fails if the curve has no point a scale, or the choice is not kept with the model."""
    model = models[0]
    steps = list(tuning_scale(model, (1.0, 3.0), Shot(count=100, seed=2, steps=2)))
    curve = steps[-1].curve
    assert [(point.scale, point.high) for point in curve.points] == [(1, 0), (3, 0), (3, 4)]
    assert [point.calls for point in curve.points] == [2, 4, 3]
    assert all(0 <= point.right.value <= 1 for point in curve.points)
    led, best = scale_of(model.folder), curve.best
    assert (led.scale, led.low, led.high) == (best.scale, best.low, best.high)
    told = json.loads((model.folder / "guide" / "scale.json").read_text())
    assert len(told["curve"]) == 3
    assert curve.plot.is_file()
    curve.plot.unlink()
    (model.folder / "guide" / "scale.json").unlink()


def test_least_distance_among_those_that_hold_the_class():
    """Fails if a scale is chosen that loses the class where another holds it."""

    def point(scale, right, distance, recall=0.5):
        estimates = (
            Estimate(name="", value=value, low=value - 0.1, high=value + 0.1, count=100)
            for value in (right, distance, recall)
        )
        return Point(scale, *estimates, calls=1)

    points = [point(1.0, 0.90, 1.0), point(2.0, 0.975, 1.5), point(3.0, 0.99, 1.4)]
    assert chosen(points, 0.98)[0].scale == 3
    assert chosen(points, 0.90)[0].scale == 1
    lost = [*points[:2], point(3.0, 0.99, 1.4, recall=0.3)]
    assert chosen(lost, 0.98)[0].scale == 2
    assert chosen(lost[2:], 0.98)[0].scale == 3
    assert "no scale holds" in chosen(points[:1], 0.98)[1]


def test_where_no_class_is_asked_the_scale_follows_what_is():
    """Fails if a text model keeps the scale of least distance though it follows captions worse."""

    def point(scale, follows, distance):
        told, *rest = (
            Estimate(name="", value=value, low=value - 0.1, high=value + 0.1, count=100)
            for value in (follows, distance, 0.5)
        )
        return Point(scale, None, *rest, calls=1, follows=told)

    points = [point(1.0, 0.2, 1.0), point(2.0, 0.45, 1.5), point(3.0, 0.5, 1.6)]
    assert chosen(points, None)[0].scale == 2
    assert chosen(points[:1] + points[2:], None)[0].scale == 3
    assert "0.450, the best 0.500" in chosen(points, None)[1]
    unknown = [replace(one, follows=None) for one in points]
    assert chosen(unknown, None)[0].scale == 1


def test_rank_of_the_picture_asked_for():
    """Fails if samples are compared with another row than the one whose conditions they had."""
    held = torch.tensor([7, 3, 9, 1])
    scorer = Scorer(None, SimpleNamespace(held=held.numpy()), SimpleNamespace(name="own"), None)
    features = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    place = {int(row): number for number, row in enumerate(held)}
    asked = features[[place[int(scorer.rows[i % 4])] for i in range(2, 8)]]
    assert scorer.follows(asked, features, 2).value == 1
    assert scorer.follows(asked, features, 3).value < 1
    assert scorer.follows(2 * features.mean(0) - asked, features, 2).value <= 0.5
