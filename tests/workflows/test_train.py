"""Training from every recipe that can be written: it looks, ends, and can be sampled."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from bars import bars
from PIL import Image

from unmist.base.faults import BadInput
from unmist.core.denoiser import NetDenoiser, Within
from unmist.core.level import NOISE
from unmist.networks.unet import UNet
from unmist.run.card import write_card
from unmist.run.model import denoiser_of, joined
from unmist.run.recipe import Recipe, altered, read_recipe
from unmist.run.settled import measured
from unmist.workflows import planning
from unmist.workflows.order import opened
from unmist.workflows.planning import _aside, _disk, _length, roomy
from unmist.workflows.sample import Shot, sample
from unmist.workflows.train import Order, planned, train, training

NET = UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=())


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """200 bars as an array file."""
    path = tmp_path_factory.mktemp("bars") / "bars.npz"
    np.savez(path, images=bars(200, 0)[0])
    return path


def tiny(source, **settings):
    """32 samples of bars, one look; settings by dotted path with __ for dots."""
    small = {"training.samples": 32, "training.batch": 16, "saving.look": 32, "measuring.every": -1}
    named = {name.replace("__", "."): value for name, value in settings.items()}
    return altered(Recipe(network=NET), {"data.source": str(source), **small, **named})


TOPS = {
    "cosine": {"schedule": "cosine"},
    "sigmoid": {"schedule": "sigmoid"},
    "flow": {"schedule": "flow"},
    "zero-terminal table": {"schedule": "table", "schedule__zero_terminal": True},
    "shifted": {"schedule": "shifted"},
}


@pytest.mark.parametrize("spacing", ["logistic", "time"])
@pytest.mark.parametrize("name", TOPS)
def test_eps_looks_and_samples_where_the_top_is_noise(source, tmp_path, name, spacing):
    """Fails if eps is asked at zero signal: the run then dies at its first look."""
    recipe = tiny(source, prediction="eps", sampling__spacing=spacing, **TOPS[name])
    model = train(recipe, tmp_path / "run", Order(threads=1))
    assert recipe.schedule.top.is_noise
    assert (tmp_path / "run" / "looks" / "000000032.png").is_file()
    assert sample(model, Shot(count=2, steps=4)).pixels.std() > 0


def test_improved_ddpm_trains_looks_and_samples(source, tmp_path):
    """Fails if the variance cannot be reached behind what answers at NOISE (2102.09672)."""
    recipe = tiny(
        source,
        schedule="cosine",
        prediction="eps",
        draw="uniform",
        variance="between",
        variance__path="log",
        sampling__solver="sde",
        sampling__spacing="time",
    )
    model = train(recipe, tmp_path / "run", Order(threads=1))
    assert sample(model, Shot(count=2, steps=4, exact=True)).calls >= 4
    x, there = torch.ones(2, *model.shape), recipe.schedule(0.9)
    mean, gain = model.denoiser.spread(x, NOISE, there=there)
    assert bool(mean.isfinite().all())
    assert torch.equal(mean, model.denoiser(x, NOISE))
    held = model.denoiser.spread(
        x, recipe.schedule.process(-2 * torch.tensor(80.0).log()), there=there
    )
    torch.testing.assert_close(gain, held[1], rtol=1e-4, atol=0)


def test_only_what_says_nothing_at_noise_is_held_back(source, tmp_path):
    """Fails if v is no longer asked at NOISE itself, or eps below sigma/alpha = 80 otherwise."""
    eps = altered(tiny(source, schedule="cosine", prediction="eps"), {"shape": [1, 8, 8]})
    net = joined(eps).eval()
    assert isinstance(denoiser_of(net, altered(eps, {"prediction": "v"})), NetDenoiser)
    assert isinstance(denoiser_of(net, altered(eps, {"schedule": "linear"})), NetDenoiser)
    held = denoiser_of(net, eps)
    assert isinstance(held, Within)
    x = torch.ones(2, 1, 8, 8)
    for log_snr in (-8.7, 0.0, 14.0):
        at = eps.schedule.process(torch.tensor(log_snr).double())
        assert torch.equal(held(x, at), NetDenoiser(net, eps.prediction)(x, at))


def test_bad_files_are_skipped_when_asked_told_and_kept(tmp_path, monkeypatch):
    """Fails if a recipe cannot ask for it, or what was left out is not told and kept by name."""
    monkeypatch.setenv("UNMIST_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "bars"
    folder.mkdir()
    for number, picture in enumerate(bars(40, 0)[0]):
        Image.fromarray(picture[0]).save(folder / f"{number}.png")
    (folder / "half.png").write_bytes((folder / "7.png").read_bytes()[:60])
    with pytest.raises(BadInput, match=r"half\.png: .*--set data\.on_bad=skip"):
        train(tiny(folder), tmp_path / "run", Order(threads=1))
    assert not (tmp_path / "run").exists()
    skipping = tiny(folder, data__on_bad="skip")
    told = [report.notice for report in training(skipping, tmp_path / "run", Order(threads=1))]
    (line,) = [notice for notice in told if "left out" in notice]
    assert line.startswith("unusable pictures left out: 1 (half.png: ")
    about = json.loads((tmp_path / "run" / "about.json").read_text())
    assert line in about["notes"]
    assert "half.png" in write_card(tmp_path / "run").read_text()
    assert about["rows"] == 40
    with pytest.raises(BadInput, match=r"data: .* for on_bad; did you mean 'skip'"):
        tiny(folder, data__on_bad="skipp")


def test_a_parent_of_another_size_is_refused_before_the_data(source, tmp_path):
    """Fails if it is found in the middle of it, by a tensor's name; or what fits is refused."""
    train(tiny(source), tmp_path / "parent", Order(threads=1))
    order = Order(threads=1, start=tmp_path / "parent")
    wide = tiny("no such data", network__width=16, network__levels=[1, 3])
    for ask in (planned, lambda asked, order: train(asked, tmp_path / "run", order)):
        with pytest.raises(BadInput, match="width") as caught:
            ask(wide, order)
        line = str(caught.value)
        assert "network.width is 8 there, asked 16" in line
        assert "network.levels is [1, 2] there, asked [1, 3]" in line
        assert "--set network.width=8 --set network.levels=[1,2], or leave --from out" in line
    for asked in ({"network": "dit"}, {"variance": "between"}):
        with pytest.raises(BadInput, match=f"{next(iter(asked))}.kind is"):
            planned(tiny(source, **asked), order)
    with pytest.raises(BadInput, match=r"data\.channels is 1 there, asked 3"):
        planned(tiny(source, data__channels=3), order)
    assert not (tmp_path / "run").exists()
    train(tiny(source, network__dropout=0.1, schedule="flow"), tmp_path / "run", order)


@pytest.mark.parametrize("budget", [60.0, 240.0, 3600.0])
def test_a_budget_holds_looks_losses_and_checkpoints_too(budget):
    """Fails if what is done beside training comes on top of the time that was given."""
    recipe, speed, parameters = Recipe(), 110.0, 4_400_000
    samples = _length(recipe, speed, parameters, budget)
    whole = samples / speed + _aside(recipe, speed, parameters, samples)
    assert samples / speed >= 0.45 * budget
    assert whole <= budget or budget < 90  # a minute: half of it is for training all the same
    assert _length(recipe, speed, parameters, None) == recipe.training.samples


def test_disk_counts_every_stored_average():
    """Fails if the average that is stored early, for autoguidance, is left out of the plan."""
    with_, without = (
        altered(Recipe(), {"training.samples": 64_000, "snapshots.early": early})
        for early in (0.1, 0.0)
    )
    assert _disk(with_, 1000) - _disk(without, 1000) == 4 * 1000 * len(with_.snapshots.widths)


@pytest.mark.parametrize(
    ("seen", "width"), [(14_000, 24), (59_000, 32), (190_000, 48), (10**7, 64)]
)
def test_a_short_budget_narrows_the_network(source, monkeypatch, tmp_path, seen, width):
    """Fails if the width does not follow the samples that fit, or is chosen where it was said."""
    speeds = []

    def speed(recipe, data, order, teacher):
        speeds.append(recipe.network.width)
        return seen / 1000.0, 1000

    monkeypatch.setattr(planning, "_speed", speed)
    recipe = altered(Recipe(), {"data.source": str(source), "measuring.every": -1})
    order = Order(budget=1000.0, fit=True, threads=1)
    assert planned(recipe, order).recipe.network == replace(recipe.network, width=width)
    assert speeds == ([64] if width == 64 else [64, width])  # its own speed gives the length
    left = planned(recipe, replace(order, fit=False)).recipe.network
    assert left == recipe.network
    small = altered(recipe, {"network.width": 16})
    assert planned(small, order).recipe.network.width == 16  # never wider than asked
    dit = altered(recipe, {"network": "dit"})
    assert planned(dit, order).recipe.network == dit.network


def test_a_run_of_a_fitted_width_is_told_and_resumed(source, monkeypatch, tmp_path):
    """Fails if the choice is silent, or the same command refuses its own run afterwards."""
    monkeypatch.setattr(planning, "WIDTHS", ((10**9, 8),))
    net = replace(NET, width=16)
    recipe = replace(tiny(source), network=net)
    order = Order(budget=1.0, fit=True, threads=1)
    told = [report.notice for report in training(recipe, tmp_path / "run", order)]
    assert any("network.width 8 suits the time given" in line for line in told)
    assert read_recipe(tmp_path / "run" / "recipe.toml").network == replace(net, width=8)
    again = [report.notice for report in training(recipe, tmp_path / "run", order)]
    assert any("already finished" in line for line in again)
    with pytest.raises(BadInput, match=r"network\.width is 8, asked 16"):
        train(recipe, tmp_path / "run", replace(order, fit=False))


def test_too_little_room_is_told_and_met(source):
    """Fails if a run that does not fit is begun without a word, or recomputes without need."""
    data = opened(tiny(source), Order(threads=1))
    recipe = measured(tiny(source), data)
    assert roomy(recipe, 1 << 40) == (recipe, ())
    assert roomy(recipe, 0)[0] == recipe
    changed, (line,) = roomy(recipe, 1 << 16)
    assert changed.network == replace(recipe.network, recompute=True)
    assert "64 KiB free: activations are worked out again" in line
    again, (line,) = roomy(changed, 1 << 16)
    assert again == changed
    assert "this may not fit; a smaller --set training.micro" in line
