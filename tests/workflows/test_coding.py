"""Latents through the same code: taught, resumed, reused, sampled, edited, distilled, refused."""

import json
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.codecs.bottleneck import Vq
from unmist.codecs.latent import Latent
from unmist.guidance.guide import Guide
from unmist.networks.unet import UNet
from unmist.run.codec import codec_of, worth_of
from unmist.run.latents import latents_home, latents_of, with_unit
from unmist.run.model import load
from unmist.run.recipe import Data, Measuring, Recipe, read_recipe
from unmist.run.stop import Stopped
from unmist.training.loop import Schooling
from unmist.training.reconstruct import Coding
from unmist.workflows.coding import worth
from unmist.workflows.distill import Lessons, distill
from unmist.workflows.edit import inpaint, restore, upscale, vary
from unmist.workflows.edit_between import invert
from unmist.workflows.likelihood import bits_per_dimension
from unmist.workflows.order import Order, opened
from unmist.workflows.sample import Shot, sample
from unmist.workflows.train import planned, train, training
from unmist.workflows.tune import Tuning, tune

ONE = Order(threads=1)


def asked(source, **more):
    """A small recipe in latents of a quarter of the places."""
    told = {
        "codec": Latent(factor=2, channels=2, width=8),
        "coding": Coding(samples=3200, rate=3e-3),
        "training": Schooling(samples=640, batch=32),
        **more,
    }
    return Recipe(
        data=Data(source=str(source)),
        network=UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=(), fold=1),
        measuring=Measuring(every=-1),
        **told,
    )


@pytest.fixture(scope="module")
def latent(source, home, tmp_path_factory):
    """A model in latents. Tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("latent") / "bars"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNMIST_CACHE", str(home))
        train(asked(source), folder, ONE)
    return folder


@pytest.fixture
def folder(latent, tmp_path, cache):
    """A copy to be written to."""
    return shutil.copytree(latent, tmp_path / "model")


def test_a_codec_is_taught_and_measured(latent, source, cache):
    """Fails if it learns nothing, its latents are not whitened, or `load` leaves them so."""
    model, data = load(latent), opened(asked(source), ONE)
    assert model.inner == (2, *(-(-n // 2) for n in model.shape[1:]))
    told = worth_of(latent / "codec")
    assert told["psnr"] > 15  # 9 by the mean picture alone
    assert worth(model.codec, data)["psnr"] == told["psnr"]
    x = model.codec.encode(torch.from_numpy(data.values[data.train]))
    axes = (0, *range(2, x.ndim))
    torch.testing.assert_close(x.mean(axes), torch.zeros(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(x.std(axes), torch.ones(2), atol=1e-3, rtol=0)
    assert sample(model, Shot(count=2)).pixels.shape[1:] == model.shape


def test_latents_are_kept_whole_or_not_at_all(latent, source, cache, monkeypatch):
    """Fails if they are encoded twice, a torn file is believed, or a full disk stops the run."""
    codec, data = load(latent).codec, opened(asked(source), ONE)
    first = latents_of(codec, data)
    path = max(latents_home().glob("*.npy"), key=lambda one: one.stat().st_mtime)
    monkeypatch.setattr(Latent, "latents", lambda *_: pytest.fail("encoded again"))
    again = latents_of(codec, data)
    assert isinstance(again, np.memmap)
    assert np.array_equal(first, again)
    again = np.array(again)  # not the file that is torn below
    monkeypatch.undo()
    monkeypatch.setenv("UNMIST_CACHE", str(cache))
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    assert np.array_equal(latents_of(codec, data), again)
    assert path.read_bytes() == content
    assert with_unit(replace(codec, mean=(), spread=()), data) == codec


def test_stopped_anywhere_it_goes_on_to_the_bit(source, latent, cache, tmp_path):
    """Fails if a codec that was stopped half way becomes another, or is taught anew."""
    reports = training(asked(source), tmp_path / "run", ONE)
    while next(reports).seen < 1000:
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Stopped):
        next(reports)
    assert list((tmp_path / "run" / "codec" / "state").iterdir())
    train(asked(source), tmp_path / "run", ONE)
    ours, theirs = load(tmp_path / "run"), load(latent)
    assert (ours.codec.digest, ours.digest) == (theirs.codec.digest, theirs.digest)
    told = [one.notice for one in training(asked(source), tmp_path / "run", ONE)]
    assert any(line.startswith("already finished") for line in told)


def test_other_settings_are_refused_and_a_codec_is_reused(source, folder, tmp_path):
    """Fails if a run goes on in other latents, or a taught codec is taught again."""
    with pytest.raises(BadInput, match=r"recipe\.codec"):
        train(replace(asked(source), codec=None), folder, ONE)
    with pytest.raises(BadInput, match=r"codec\.channels"):
        train(asked(source, codec=Latent(factor=2, channels=3, width=8)), folder, ONE)
    codec = codec_of(folder)
    reused = train(asked(source, codec=codec, coding=None), tmp_path / "other", ONE)
    assert reused.codec.digest == codec.digest
    assert load(tmp_path / "other").codec == load(folder).codec
    (folder / "codec" / "codec.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match="not those the model was made with"):
        load(folder)
    plan = Schooling(samples=64, batch=32, flip=True)
    with pytest.raises(BadInput, match="mirrored"):
        train(asked(source, codec=codec, training=plan), tmp_path / "flip", ONE)


def test_a_codebook_says_how_much_of_it_is_used(source, cache, tmp_path):
    """Fails if vq cannot be taught, most codes die, or the share is made up."""
    codec = Latent(factor=2, channels=2, width=8, bottleneck=Vq(codes=16))
    small = Schooling(samples=64, batch=32)
    model = train(asked(source, codec=codec, training=small), tmp_path / "vq", ONE)
    told = worth_of(tmp_path / "vq" / "codec")
    assert told["use"] > 0.3
    assert told["psnr"] > 12
    data = opened(asked(source), ONE)
    latents = torch.from_numpy(np.array(latents_of(model.codec, data)[data.held[:512]]))
    used = len(model.codec.net.between.chosen(latents).unique())
    assert told["use"] == pytest.approx(used / 16, abs=1e-4)


def test_edits_keep_what_is_known_to_the_bit(folder, source):
    """Fails if the mask is not brought to the latents, or known pixels go through the codec."""
    model, data = load(folder), opened(asked(source), ONE)
    picture = data.values[0]
    known = np.ones(picture.shape[1:], np.float32)
    known[:, 3:] = 0  # an odd column: its block is drawn anew, its pixels come back
    for method in ("keep", "posterior"):
        drawn = inpaint(model, picture, known, Shot(count=2, steps=4), method)
        assert np.array_equal(drawn.pixels[..., :3], picture[None, ..., :3].repeat(2, 0))
        assert not np.array_equal(drawn.pixels[0], drawn.pixels[1])
    strength = (1 - known) * 0.8
    varied = vary(model, picture, strength, Shot(count=2, steps=4)).pixels
    assert np.array_equal(varied[0][..., :3], picture[..., :3])
    assert vary(model, picture, 0.5, Shot(count=1, steps=4)).pixels.shape[1:] == picture.shape
    assert invert(model, picture, Shot(steps=30)).psnr > 10
    odd = np.pad(picture, ((0, 0), (0, 3), (0, 1)))
    sizes = vary(model, odd, 0.5, Shot(count=1, steps=4)).pixels.shape[1:]
    assert sizes == odd.shape


def test_what_lives_in_pixels_is_refused_in_a_line(folder, source):
    """Fails if a likelihood, a linear inverse or a threshold is taken of latents."""
    model, picture = load(folder), opened(asked(source), ONE).values[0]
    works = [
        lambda: bits_per_dimension(model, np.stack([picture] * 16)),
        lambda: upscale(model, picture[:, ::2, ::2], 2, Shot(count=1)),
        lambda: restore(model, picture, Shot(count=1), blur=1.0),
        lambda: sample(model, Shot(count=1, guide=Guide(threshold=0.99))),
    ]
    for work in works:
        with pytest.raises(BadInput, match="latents") as fault:
            work()
        assert "\n" not in str(fault.value)


def test_tuned_and_distilled_as_any_model(folder):
    """Fails if a plan is fitted in pixels' shape, or a student loses its teacher's codec."""
    (found,) = tune(folder, Tuning(budgets=(3,), seeds=8, fine=6))
    assert found.steps == 3
    short = {"training.samples": 96, "student.inner": 2}
    student = distill(folder, Lessons(steps=2, settings=short, order=ONE))
    assert student.codec == load(folder).codec
    assert sample(student, Shot(count=2)).pixels.shape[1:] == student.shape


def test_the_plan_counts_the_codec_and_writes_nothing(source, cache, tmp_path):
    """Fails if --plan needs weights that are not there, or leaves the codec's time out."""
    whole = planned(asked(source, coding=Coding(samples=3_200_000)), ONE)
    assert whole.seconds > 60 + 10 * whole.samples / whole.speed
    assert not list(tmp_path.iterdir())


def test_recipes_of_before_are_pixels(run, tmp_path):
    """Fails if a recipe of format 1, which named no kind of codec, is no longer read."""
    text = (run / "recipe.toml").read_text()
    old = text.replace("format = 2", "format = 1").replace(
        '[codec]\nkind = "pixels"\n', "[codec]\n"
    )
    assert old.count("kind") == text.count("kind") - 1
    (tmp_path / "recipe.toml").write_text(old)
    assert read_recipe(tmp_path / "recipe.toml") == read_recipe(run / "recipe.toml")


def test_the_worth_is_json(latent):
    """Fails if what is told of a codec is no plain table."""
    told = json.loads((latent / "codec" / "codec.json").read_text())
    assert told["samples"] == 3200
    assert not (latent / "codec" / "state").exists()
