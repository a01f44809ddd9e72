"""A student's run: an ordinary model folder, resumed like training, drawn as it was taught."""

import shutil
from dataclasses import replace

import pytest
import torch

from unmist.base.faults import BadInput
from unmist.conditions.label import Label
from unmist.core.condition import Cond
from unmist.core.level import Level
from unmist.core.solver import Euler
from unmist.guidance.guide import Guide
from unmist.networks.unet import UNet
from unmist.run.model import load
from unmist.run.recipe import Data, Recipe, read_recipe
from unmist.training.loop import Schooling
from unmist.workflows.distill import Lessons, distill, distilling, estimated, home, lessons
from unmist.workflows.order import Order
from unmist.workflows.sample import Shot, sample
from unmist.workflows.teaching import teacher_of
from unmist.workflows.train import train
from unmist.workflows.tune import Tuning, tune

SHORT = {"training.samples": 96, "student.inner": 2, "saving.checkpoint": 32}


def asked(steps=2, **more):
    """A short course."""
    return Lessons(steps=steps, settings=SHORT, order=Order(threads=1), **more)


@pytest.fixture
def folder(run, tmp_path):
    """A copy of the teacher, to be written to."""
    return shutil.copytree(run, tmp_path / "model")


def test_a_student_is_a_model(folder):
    """Fails if the student cannot be loaded and drawn, in as many calls as it has steps."""
    student = distill(folder, asked())
    assert student.folder == home(folder, 2)
    assert student.recipe.student.teacher == load(folder).digest
    assert isinstance(student.recipe.sampling.solver, Euler)
    samples = sample(student, Shot(count=3))
    assert samples.calls == 2
    assert samples.pixels.shape == (3, *student.shape)
    assert student.digest != load(folder).digest


def test_stopped_and_resumed(folder, tmp_path):
    """Fails if a student that was stopped half-way ends with other weights than one in one go."""
    whole = distill(folder, asked(to=tmp_path / "whole"))
    run = distilling(folder, asked(to=tmp_path / "parts"))
    for report in run:
        if report.seen >= 64:
            run.close()
    parts = distill(folder, asked(to=tmp_path / "parts"))
    for one, other in zip(whole.net.parameters(), parts.net.parameters(), strict=True):
        assert torch.equal(one, other)


def test_drawn_as_it_was_taught(folder):
    """Fails if a student answers to steps, solver or noise that it never learned."""
    student = distill(folder, asked(1))
    for shot in (Shot(steps=3), Shot(eta=1.0), Shot(solver=load(folder).recipe.sampling.solver)):
        with pytest.raises(BadInput, match="as it was taught"):
            sample(student, replace(shot, count=1))


def test_taught_by_the_same_weights(folder, tmp_path):
    """Fails if a student goes on with another teacher, or teaches itself."""
    distill(folder, asked())
    with pytest.raises(BadInput, match="cannot teach"):
        lessons(load(home(folder, 2)), asked())
    shutil.copy(home(folder, 2) / "weights/model.safetensors", folder / "weights")
    with pytest.raises(BadInput, match="began otherwise"):
        distill(folder, asked())


def test_before_anything_is_done(folder):
    """Fails if an estimate writes, counts no parameters, or another number of steps passes."""
    told = estimated(folder, asked())
    assert told.samples == 96
    assert told.parameters == sum(p.numel() for p in load(folder).net.parameters())
    assert not home(folder, 2).exists()
    with pytest.raises(BadInput, match="1, 2 or 4"):
        Lessons(steps=3)


def test_its_recipe_is_written_out(folder):
    """Fails if what makes it a student cannot be read back."""
    recipe = read_recipe(distill(folder, asked(4)).folder / "recipe.toml")
    assert len(recipe.student.ratios) == recipe.sampling.steps == 4
    assert recipe.sampling.spacing.ratios == recipe.student.ratios
    assert recipe.student.inner == 2


@pytest.fixture(scope="module")
def labelled(source, tmp_path_factory):
    """A model of bars that follows their classes, barely trained."""
    recipe = Recipe(
        data=Data(source=str(source)),
        network=UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=()),
        conditions={"label": Label()},
        training=Schooling(samples=64, batch=32),
    )
    folder = tmp_path_factory.mktemp("runs") / "labelled"
    train(recipe, folder, Order(threads=1))
    return folder


def test_a_student_follows_what_its_teacher_does(labelled, tmp_path):
    """Fails if a student loses its conditions, or its teacher's plan cannot be tuned with them."""
    student = distill(labelled, asked(to=tmp_path / "student"))
    wish = {"label": student.recipe.conditions["label"].classes[0]}
    samples = sample(student, Shot(count=2, wish=wish))
    assert samples.settings["wish"] == {"label": [wish["label"]]}
    (found,) = tune(labelled, Tuning(budgets=(3,), seeds=8, fine=6))
    assert found.steps == 3


def test_guidance_is_folded_in(labelled):
    """Fails if a student learns from the teacher without the scale that it is sampled with."""
    model = load(labelled)
    guided = replace(model.recipe.sampling, guide=Guide(scale=(2.5,)))
    model = replace(model, recipe=replace(model.recipe, sampling=guided))
    teacher = teacher_of(model, lessons(model, asked()))
    x, here = torch.ones(2, *model.shape), Level(torch.tensor(1.0), torch.tensor(1.5))
    cond = Cond({"label": torch.tensor([0, 1])})
    told, untold = model.denoiser(x, here, cond), model.denoiser(x, here, cond.without())
    torch.testing.assert_close(teacher(x, here, cond), untold + 2.5 * (told - untold))
    assert lessons(model, asked()).sampling.guide == Guide()
    assert teacher_of(model, model.recipe) is None
